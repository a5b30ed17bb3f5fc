//! One member on its way to its target: first it lets go, then it is given what nobody else has any more.

use std::collections::{BTreeMap, BTreeSet};

use chronik_protocol::types::TopicId;

use super::member::{Member, MemberState};
use super::{Assignment, ConsumerGroup, Owned, View};

impl ConsumerGroup {
    /// Leads a member on. `owned` is what it says it has, `None` if it does not say.
    pub(super) fn reconcile(
        &mut self,
        view: &View,
        member_id: &str,
        subscription_changed: bool,
        owned: Option<&Assignment>,
    ) {
        let Some(member) = self.members.get(member_id) else { return };
        let next = match member.state {
            MemberState::Stable if member.epoch != self.target_epoch => self.next(view, member_id, member, owned),
            MemberState::UnrevokedPartitions if !has_any(owned, &member.revoking) => {
                self.next(view, member_id, member, owned)
            }
            MemberState::UnreleasedPartitions => self.next(view, member_id, member, owned),
            _ if subscription_changed => self.unsubscribed(view, member, owned),
            _ => return,
        };
        if next == *member {
            return;
        }
        let before = std::mem::replace(self.members.entry(member_id.to_owned()).or_insert_with(Member::new), next);
        self.give_up(member_id, &before);
        self.take_up(member_id);
        self.touched.members.insert(member_id.to_owned());
    }

    /// The topics a member may have partitions of.
    pub(super) fn subscribed_ids(&self, view: &View, member: &Member) -> BTreeMap<TopicId, i32> {
        let matching = member.pattern().and_then(|pattern| self.subscriptions.matching(pattern));
        let names = member.subscribed_names.iter().chain(matching.into_iter().flatten());
        names.filter_map(|name| view.topics.topic(name)).map(|topic| (topic.id, topic.partitions)).collect()
    }

    /// The member with its next step to the target done.
    fn next(&self, view: &View, member_id: &str, member: &Member, owned: Option<&Assignment>) -> Member {
        let subscribed = self.subscribed_ids(view, member);
        let target = self.targets.get(member_id);
        let wanted = |topic_id: &TopicId| {
            let partitions = target.and_then(|target| target.get(topic_id));
            partitions.filter(|_| subscribed.contains_key(topic_id))
        };
        let mut next = member.clone();
        let (mut kept, mut revoking) = (Owned::new(), Owned::new());
        for (topic_id, partitions) in &member.assigned {
            let wanted = wanted(topic_id);
            for (partition, epoch) in partitions {
                let is_kept = wanted.is_some_and(|wanted| wanted.contains(partition));
                let side = if is_kept { &mut kept } else { &mut revoking };
                side.entry(*topic_id).or_default().insert(*partition, *epoch);
            }
        }
        next.previous_epoch = member.epoch;
        if has_any(owned, &revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.assigned = kept;
            next.revoking = revoking;
            next.let_go_by(view);
            return next;
        }
        let mut unreleased = false;
        for topic_id in target.into_iter().flat_map(|target| target.keys()) {
            for partition in wanted(topic_id).into_iter().flatten() {
                if kept.get(topic_id).is_some_and(|kept| kept.contains_key(partition)) {
                    continue;
                }
                match self.owners.get(&(*topic_id, *partition)) {
                    Some(owner) if owner != member_id => unreleased = true,
                    _ => {
                        kept.entry(*topic_id).or_default().insert(*partition, self.target_epoch);
                    }
                }
            }
        }
        next.state = if unreleased { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        next.epoch = self.target_epoch;
        next.assigned = kept;
        next.revoking = Owned::new();
        next.rebalance_deadline_ms = None;
        next.unless_only_told_again(member)
    }

    /// The member without the topics it no longer subscribes to.
    fn unsubscribed(&self, view: &View, member: &Member, owned: Option<&Assignment>) -> Member {
        let subscribed = self.subscribed_ids(view, member);
        let gone: BTreeSet<TopicId> =
            member.assigned.keys().filter(|topic_id| !subscribed.contains_key(topic_id)).copied().collect();
        let mut next = member.clone();
        if gone.is_empty() {
            return next;
        }
        let mut revoking = member.revoking.clone();
        for topic_id in gone {
            if let Some(partitions) = next.assigned.remove(&topic_id) {
                revoking.entry(topic_id).or_default().extend(partitions);
            }
        }
        next.previous_epoch = member.epoch;
        if has_any(owned, &revoking) {
            next.revoking = revoking;
            next.state = MemberState::UnrevokedPartitions;
            next.let_go_by(view);
        }
        next
    }
}

impl Member {
    /// A classic member has to join or sync in time instead.
    fn let_go_by(&mut self, view: &View) {
        if self.classic.is_none() {
            self.rebalance_deadline_ms = Some(view.now_ms + i64::from(self.rebalance_timeout_ms));
        }
    }

    /// A member that stays where it is and still waits keeps the epoch that it is let in with: nothing is to be written
    /// for it.
    fn unless_only_told_again(self, before: &Member) -> Member {
        let moved = (self.epoch, self.state) != (before.epoch, before.state)
            || self.assigned != before.assigned
            || self.revoking != before.revoking;
        if moved { self } else { before.clone() }
    }
}

/// Whether the member may still have any of these: it says so, or does not say.
fn has_any(owned: Option<&Assignment>, these: &Owned) -> bool {
    let Some(owned) = owned else { return !these.is_empty() };
    these.iter().any(|(topic_id, partitions)| {
        owned.get(topic_id).is_some_and(|owned| partitions.keys().any(|partition| owned.contains(partition)))
    })
}
