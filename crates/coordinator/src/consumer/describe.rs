//! A group as others may see it.

use super::member::{Member, partitions};
use super::{Assignment, ConsumerGroup, ConsumerState, Owned, View};

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSummary {
    pub state: ConsumerState,
    pub epoch: i32,
    pub target_epoch: i32,
    /// The name of the assignor.
    pub assignor: &'static str,
    pub members: Vec<ConsumerMemberSummary>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberSummary {
    pub member_id: String,
    /// A member of the classic protocol.
    pub is_classic: bool,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_names: Vec<String>,
    pub subscribed_regex: Option<String>,
    /// What it has, or has yet to let go of.
    pub assignment: Assignment,
    pub target: Assignment,
}

impl ConsumerGroup {
    pub fn summary(&self, view: &View) -> ConsumerSummary {
        ConsumerSummary {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.assignor(view).name(),
            members: self.members.iter().map(|(id, member)| self.member_summary(id, member)).collect(),
        }
    }

    /// The id and epoch of each member, by id, with what it has and what it has yet to let go of.
    pub fn holdings(&self) -> impl Iterator<Item = (&str, i32, [&Owned; 2])> {
        self.members.iter().map(|(id, member)| (id.as_str(), member.epoch, [&member.assigned, &member.revoking]))
    }

    fn member_summary(&self, member_id: &str, member: &Member) -> ConsumerMemberSummary {
        let mut assignment = partitions(&member.assigned);
        for (topic_id, revoking) in partitions(&member.revoking) {
            assignment.entry(topic_id).or_default().extend(revoking);
        }
        ConsumerMemberSummary {
            member_id: member_id.to_owned(),
            is_classic: member.classic.is_some(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_names: member.subscribed_names.iter().cloned().collect(),
            subscribed_regex: member.subscribed_regex.clone(),
            assignment,
            target: self.targets.get(member_id).cloned().unwrap_or_default(),
        }
    }
}
