//! Members leave, or are given up.

use chronik_protocol::error::ErrorCode;

use super::heartbeat::{STATIC_LEAVE_EPOCH, unknown_member};
use super::member::{Member, MemberState};
use super::{ConsumerGroup, Heartbeat, Heartbeaten, Refusal, View};

impl ConsumerGroup {
    pub(super) fn leave(&mut self, view: &View, beat: &Heartbeat) -> Result<Heartbeaten, Refusal> {
        let member_id = match &beat.instance_id {
            None => beat.member_id.clone(),
            Some(instance_id) => match self.static_members.get(instance_id) {
                None => {
                    let message = format!("instance {instance_id} is unknown");
                    return Err(Refusal::new(ErrorCode::UnknownMemberId, message));
                }
                Some(known) if *known != beat.member_id => {
                    let message = format!("instance {instance_id} is in the group as member {known}");
                    return Err(Refusal::new(ErrorCode::FencedInstanceId, message));
                }
                Some(known) => known.clone(),
            },
        };
        if !self.members.contains_key(&member_id) {
            return Err(unknown_member(&member_id));
        }
        if beat.member_epoch == STATIC_LEAVE_EPOCH {
            self.stay_away(&member_id);
        } else {
            self.remove(view, std::slice::from_ref(&member_id));
        }
        Ok(Heartbeaten { member_id, member_epoch: beat.member_epoch, heartbeat_interval_ms: 0, assignment: None })
    }

    /// A static member is away for a while: what it has stays its own until its session ends, what it had to let go of is
    /// free.
    fn stay_away(&mut self, member_id: &str) {
        let Some(mut member) = self.members.remove(member_id) else { return };
        self.give_up(member_id, &member);
        member.epoch = STATIC_LEAVE_EPOCH;
        member.revoking.clear();
        member.rebalance_deadline_ms = None;
        if member.state == MemberState::UnrevokedPartitions {
            member.state = MemberState::Stable;
        }
        for epoch in member.assigned.values_mut().flat_map(|partitions| partitions.values_mut()) {
            *epoch = 0;
        }
        self.members.insert(member_id.to_owned(), member);
        self.take_up(member_id);
        self.touched.members.insert(member_id.to_owned());
    }

    /// Members are gone, and what they had is free.
    pub(super) fn remove(&mut self, view: &View, member_ids: &[String]) {
        for member_id in member_ids {
            let Some(member) = self.members.remove(member_id) else { continue };
            if let Some(instance_id) = &member.instance_id
                && self.static_members.get(instance_id) == Some(member_id)
            {
                self.static_members.remove(instance_id);
            }
            self.give_up(member_id, &member);
            self.touched.members.insert(member_id.clone());
            if self.targets.remove(member_id).is_some() {
                self.touched.targets.insert(member_id.clone());
            }
        }
        self.forget_unused_patterns();
        let names = self.members.values().flat_map(|member| member.subscription.subscribed_names.iter());
        self.subscriptions.refresh(view, names, true);
        self.raise_epoch();
    }

    /// The partitions of a member have no owner any more.
    pub(super) fn give_up(&mut self, member_id: &str, member: &Member) {
        for (topic_id, partitions) in member.assigned.iter().chain(&member.revoking) {
            for partition in partitions.keys() {
                let place = (*topic_id, *partition);
                if self.owners.get(&place).is_some_and(|owner| owner == member_id) {
                    self.owners.remove(&place);
                }
            }
        }
    }

    /// The partitions of a member are its own.
    pub(super) fn take_up(&mut self, member_id: &str) {
        let Some(member) = self.members.get(member_id) else { return };
        for (topic_id, partitions) in member.assigned.iter().chain(&member.revoking) {
            for partition in partitions.keys() {
                self.owners.insert((*topic_id, *partition), member_id.to_owned());
            }
        }
    }

    pub(super) fn forget_unused_patterns(&mut self) {
        let members = &self.members;
        self.subscriptions.retain(|pattern| members.values().any(|member| member.pattern() == Some(pattern)));
    }
}
