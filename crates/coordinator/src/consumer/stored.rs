//! A group as it is written down, and back.

use super::member::{Member, Subscription};
use super::pattern::Pattern;
use super::topics::Subscriptions;
use super::{Assignment, ClassicMembership, ConsumerGroup, MemberState, Owned, View};

/// What outlives a restart: all of a group, or what has changed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredConsumerGroup {
    pub epoch: i32,
    pub target_epoch: i32,
    /// Of the topics subscribed to when the epoch was last raised.
    pub topics_digest: u64,
    pub members: Vec<StoredConsumerMember>,
    /// Members that are gone.
    pub removed: Vec<String>,
    /// Targets by member id.
    pub targets: Vec<(String, Assignment)>,
}

/// A member of a stored group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConsumerMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub subscribed_names: Vec<String>,
    pub subscribed_regex: Option<String>,
    pub server_assignor: Option<String>,
    /// Of a member of the classic protocol.
    pub classic: Option<ClassicMembership>,
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Owned,
    pub revoking: Owned,
}

impl ConsumerGroup {
    /// Whether it differs from what [`ConsumerGroup::take_changes`] last gave.
    pub fn has_changes(&self) -> bool {
        self.touched.head || !self.touched.members.is_empty() || !self.touched.targets.is_empty()
    }

    /// What has changed since this was last asked; `None` if nothing has.
    pub fn take_changes(&mut self) -> Option<StoredConsumerGroup> {
        if !self.has_changes() {
            return None;
        }
        let touched = std::mem::take(&mut self.touched);
        let (present, removed): (Vec<_>, Vec<_>) =
            touched.members.into_iter().partition(|member_id| self.members.contains_key(member_id));
        let member = |member_id: String| self.members.get(&member_id).map(|member| to_store(member_id, member));
        // A member that left and is back has none yet: that, too, is written over what it had.
        let target = |member_id: String| {
            let target = self.targets.get(&member_id).cloned().unwrap_or_default();
            self.members.contains_key(&member_id).then_some((member_id, target))
        };
        Some(StoredConsumerGroup {
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            topics_digest: self.subscriptions.digest,
            members: present.into_iter().filter_map(member).collect(),
            removed,
            targets: touched.targets.into_iter().filter_map(target).collect(),
        })
    }

    /// A group as it was stored. Its members have their whole session timeout to be heard of again.
    pub fn restore(view: &View, stored: StoredConsumerGroup) -> Self {
        let mut group = ConsumerGroup {
            epoch: stored.epoch,
            target_epoch: stored.target_epoch,
            subscriptions: Subscriptions::restored(stored.topics_digest),
            ..ConsumerGroup::default()
        };
        for stored in stored.members {
            let member_id = stored.member_id.clone();
            let member = restored(view, stored);
            if let Some(instance_id) = &member.instance_id {
                group.static_members.insert(instance_id.clone(), member_id.clone());
            }
            // Every pattern was valid when it was stored; one that is not any more matches nothing.
            if let Some(pattern) = member.pattern().filter(|pattern| !group.subscriptions.knows(pattern)) {
                group.subscriptions.add(Pattern::new(pattern).ok(), view);
            }
            group.members.insert(member_id.clone(), member);
            group.take_up(&member_id);
        }
        let is_member = |member_id: &String| group.members.contains_key(member_id);
        group.targets = stored.targets.into_iter().filter(|(member_id, _)| is_member(member_id)).collect();
        group
    }
}

fn to_store(member_id: String, member: &Member) -> StoredConsumerMember {
    StoredConsumerMember {
        member_id,
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        subscribed_names: member.subscribed_names.iter().cloned().collect(),
        subscribed_regex: member.subscribed_regex.clone(),
        server_assignor: member.server_assignor.clone(),
        classic: member.classic.clone(),
        epoch: member.epoch,
        previous_epoch: member.previous_epoch,
        state: member.state,
        assigned: member.assigned.clone(),
        revoking: member.revoking.clone(),
    }
}

fn restored(view: &View, stored: StoredConsumerMember) -> Member {
    let has_to_let_go = stored.state == MemberState::UnrevokedPartitions && stored.classic.is_none();
    let session_timeout_ms =
        stored.classic.as_ref().map_or(view.settings.session_timeout_ms, |classic| classic.session_timeout_ms);
    Member {
        subscription: Subscription {
            instance_id: stored.instance_id,
            rack_id: stored.rack_id,
            client_id: stored.client_id,
            client_host: stored.client_host,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            subscribed_names: stored.subscribed_names.into_iter().collect(),
            subscribed_regex: stored.subscribed_regex,
            server_assignor: stored.server_assignor,
            classic: stored.classic,
        },
        epoch: stored.epoch,
        previous_epoch: stored.previous_epoch,
        state: stored.state,
        assigned: stored.assigned,
        revoking: stored.revoking,
        session_deadline_ms: view.now_ms + i64::from(session_timeout_ms),
        rebalance_deadline_ms: has_to_let_go.then(|| view.now_ms + i64::from(stored.rebalance_timeout_ms)),
    }
}
