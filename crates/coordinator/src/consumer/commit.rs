//! Who may commit and read offsets.

use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{PartitionId, TopicId};

use super::ConsumerGroup;
use super::member::Member;

/// What a member may commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commits {
    /// Any partition.
    All,
    /// Only what it was given in its epoch or before, as [`ConsumerGroup::gave`] says; the rest is refused with this.
    Given(ErrorCode),
}

impl ConsumerGroup {
    /// Whether offsets may be committed. A consumer outside the group (epoch -1) may while it has no members.
    /// `knows_epochs`: the request is of a version that has member epochs (9).
    pub fn check_commit(&self, member_id: &str, epoch: i32, knows_epochs: bool) -> Result<Commits, ErrorCode> {
        if self.dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if epoch < 0 && self.members.is_empty() {
            return Ok(Commits::All);
        }
        let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !knows_epochs && member.classic.is_none() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let stale = stale(member);
        match epoch.cmp(&member.epoch) {
            std::cmp::Ordering::Equal => Ok(Commits::All),
            std::cmp::Ordering::Greater => Err(stale),
            std::cmp::Ordering::Less => Ok(Commits::Given(stale)),
        }
    }

    /// Whether the member was given a partition in this epoch or before, and has it still.
    pub fn gave(&self, member_id: &str, epoch: i32, topic_id: TopicId, partition: PartitionId) -> bool {
        let given_in = self.members.get(member_id).and_then(|member| member.given_in(topic_id, partition));
        given_in.is_some_and(|given_in| given_in <= epoch)
    }

    /// Whether offsets may be read; anybody may who names no member.
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = self.members.get(member_id.unwrap_or_default()).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == member.epoch { Ok(()) } else { Err(stale(member)) }
    }
}

/// What a member is told whose epoch, or generation, is not the one it says.
fn stale(member: &Member) -> ErrorCode {
    if member.classic.is_some() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
