//! ConsumerGroupHeartbeat: a member joins, stays or leaves by it.

use std::collections::BTreeSet;

use chronik_protocol::error::ErrorCode;

use super::member::{Member, Subscription, partitions};
use super::pattern::Pattern;
use super::{Assignment, ConsumerGroup, Owned, Refusal, View};

/// The epoch of a member that joins.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch of a member that leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch of a static member that leaves for a while: its part stays its own.
pub const STATIC_LEAVE_EPOCH: i32 = -2;

/// What a member says; what is `None` has not changed since it last said it.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    /// Empty for a member that is to be given one.
    pub member_id: String,
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: Option<i32>,
    pub subscribed_names: Option<BTreeSet<String>>,
    /// Empty: no pattern any more.
    pub subscribed_regex: Option<String>,
    pub server_assignor: Option<String>,
    /// What it has.
    pub owned: Option<Assignment>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeaten {
    pub member_id: String,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// What the member is to have now; `None`: as before.
    pub assignment: Option<Assignment>,
}

impl Heartbeat {
    pub fn joins(&self) -> bool {
        self.member_epoch == JOIN_EPOCH
    }

    /// Whether it says everything, and is therefore told everything.
    fn is_full(&self) -> bool {
        let subscribes = self.subscribed_names.is_some() || self.subscribed_regex.is_some();
        self.rebalance_timeout_ms.is_some() && subscribes && self.owned.is_some()
    }

    /// What cannot be right whatever the group is like. `needs_member_id`: members bring their ids (from version 1).
    ///
    /// # Errors
    /// INVALID_REQUEST, or UNSUPPORTED_ASSIGNOR.
    pub fn check(&self, group_id: &str, needs_member_id: bool, view: &View) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
        let blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        let needs_member_id = needs_member_id || self.member_epoch > 0 || self.member_epoch == LEAVE_EPOCH;
        if needs_member_id && self.member_id.trim().is_empty() {
            return invalid("a member id is needed");
        }
        if group_id.trim().is_empty() {
            return invalid("a group id is needed");
        }
        if blank(&self.instance_id) {
            return invalid("the instance id is empty");
        }
        if blank(&self.rack_id) {
            return invalid("the rack id is empty");
        }
        match self.member_epoch {
            JOIN_EPOCH => {
                if self.rebalance_timeout_ms.is_none() {
                    return invalid("a member that joins has to give a rebalance timeout");
                }
                if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
                    return invalid("a member that joins cannot own partitions, and has to say so");
                }
                if self.subscribed_names.is_none() && self.subscribed_regex.is_none() {
                    return invalid("a member that joins has to subscribe, by names or by a pattern");
                }
            }
            STATIC_LEAVE_EPOCH if self.instance_id.is_none() => return invalid("only a static member can stay away"),
            ..STATIC_LEAVE_EPOCH => return invalid("there is no such member epoch"),
            _ => {}
        }
        match &self.server_assignor {
            Some(name) if !view.settings.assignors.iter().any(|assignor| assignor.name() == name) => {
                let names: Vec<_> = view.settings.assignors.iter().map(|assignor| assignor.name()).collect();
                let message = format!("the assignor {name} is not one of {}", names.join(", "));
                Err(Refusal::new(ErrorCode::UnsupportedAssignor, message))
            }
            _ => Ok(()),
        }
    }
}

impl ConsumerGroup {
    /// Takes a heartbeat that [`Heartbeat::check`] lets through. `new_member_id` is used where the member has none.
    pub fn heartbeat(
        &mut self,
        view: &View,
        mut beat: Heartbeat,
        new_member_id: String,
    ) -> Result<Heartbeaten, Refusal> {
        if self.dead {
            return Err(Refusal::new(ErrorCode::CoordinatorNotAvailable, "the group is being deleted"));
        }
        if beat.member_epoch < JOIN_EPOCH {
            return self.leave(view, &beat);
        }
        if beat.member_id.is_empty() {
            beat.member_id = new_member_id;
        }
        if self.members.len() >= view.settings.max_size && !self.members.contains_key(&beat.member_id) {
            let message = format!("the group has the most members it may have, {}", view.settings.max_size);
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message));
        }
        let replaces = self.admit(&beat)?;
        let before = match &replaces {
            Some(former) => self.members.get(former),
            None => self.members.get(&beat.member_id),
        };
        let former = before.map(|member| member.subscription.clone()).unwrap_or_default();
        let subscription = updated(former.clone(), &beat);
        // The last thing that can be refused; from here on the group changes.
        let new_pattern = match subscription.pattern().filter(|pattern| !self.subscriptions.knows(pattern)) {
            Some(pattern) => Some(Pattern::new(pattern)?),
            None => None,
        };
        if let Some(former_id) = replaces {
            self.replace_static(&former_id, &beat.member_id);
        }
        if former.classic.is_some()
            && let Some(member) = self.members.get_mut(&beat.member_id)
        {
            // It need not join or sync any more.
            member.rebalance_deadline_ms = None;
        }
        let member_id = beat.member_id.clone();
        let subscription_changed =
            former.subscribed_names != subscription.subscribed_names || former.pattern() != subscription.pattern();
        self.subscribe(&member_id, subscription);
        self.subscriptions.add(new_pattern, view);
        if subscription_changed {
            self.forget_unused_patterns();
        }
        self.raise_epoch_if_due(view, subscription_changed);
        self.assign_if_due(view);

        let had = self.members.get(&member_id).map(|member| member.assigned.clone()).unwrap_or_default();
        self.reconcile(view, &member_id, subscription_changed, beat.owned.as_ref());
        Ok(self.answered(view, &member_id, &beat, &had))
    }

    /// Whether the member may be in the group. Where a static member comes back: the id of its former self.
    fn admit(&self, beat: &Heartbeat) -> Result<Option<String>, Refusal> {
        let Some(instance_id) = &beat.instance_id else {
            return match self.members.get(&beat.member_id) {
                Some(member) => check_epoch(member, beat).map(|()| None),
                None if beat.joins() => Ok(None),
                None => Err(unknown_member(&beat.member_id)),
            };
        };
        let Some(known_id) = self.static_members.get(instance_id) else {
            return match beat.joins() {
                true => Ok(None),
                false => Err(Refusal::new(ErrorCode::UnknownMemberId, format!("instance {instance_id} is unknown"))),
            };
        };
        let Some(known) = self.members.get(known_id) else { return Err(unknown_member(known_id)) };
        match (*known_id == beat.member_id, beat.joins()) {
            // The answer to its first try may have been lost.
            (true, _) if known.epoch != STATIC_LEAVE_EPOCH && known.classic.is_none() => {
                check_epoch(known, beat).map(|()| None)
            }
            (_, true) if known.epoch == STATIC_LEAVE_EPOCH || known.classic.is_some() => Ok(Some(known_id.clone())),
            (true, false) => check_epoch(known, beat).map(|()| None),
            (_, true) => Err(Refusal::new(
                ErrorCode::UnreleasedInstanceId,
                format!("instance {instance_id} is in the group as member {known_id}"),
            )),
            (false, false) => Err(Refusal::new(
                ErrorCode::FencedInstanceId,
                format!("instance {instance_id} is in the group as member {known_id}"),
            )),
        }
    }

    /// A static member comes back: what was its former self's is its own.
    pub(super) fn replace_static(&mut self, former_id: &str, member_id: &str) {
        let Some(mut member) = self.members.remove(former_id) else { return };
        member.epoch = JOIN_EPOCH;
        member.previous_epoch = JOIN_EPOCH;
        member.rebalance_deadline_ms = None;
        self.touched.members.insert(former_id.to_owned());
        self.touched.members.insert(member_id.to_owned());
        if let Some(target) = self.targets.remove(former_id) {
            self.touched.targets.insert(former_id.to_owned());
            self.touched.targets.insert(member_id.to_owned());
            self.targets.insert(member_id.to_owned(), target);
        }
        self.give_up(former_id, &member);
        self.members.insert(member_id.to_owned(), member);
        self.take_up(member_id);
    }

    pub(super) fn subscribe(&mut self, member_id: &str, subscription: Subscription) {
        let former = self.members.get(member_id).and_then(|member| member.instance_id.clone());
        if let Some(former) = former.filter(|former| Some(former) != subscription.instance_id.as_ref()) {
            self.static_members.remove(&former);
        }
        if let Some(instance_id) = &subscription.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.to_owned());
        }
        let member = self.members.entry(member_id.to_owned()).or_insert_with(|| {
            self.touched.members.insert(member_id.to_owned());
            Member::new()
        });
        if member.subscription != subscription {
            member.subscription = subscription;
            self.touched.members.insert(member_id.to_owned());
        }
    }

    pub(super) fn raise_epoch_if_due(&mut self, view: &View, subscription_changed: bool) {
        let names = self.members.values().flat_map(|member| member.subscription.subscribed_names.iter());
        let topics_changed = self.subscriptions.refresh(view, names, subscription_changed);
        // A member that is in the group has an epoch above that with which it joins.
        if topics_changed || subscription_changed || self.epoch == 0 {
            self.raise_epoch();
        }
    }

    fn answered(&mut self, view: &View, member_id: &str, beat: &Heartbeat, had: &Owned) -> Heartbeaten {
        let heartbeat_interval_ms = view.settings.heartbeat_interval_ms;
        let Some(member) = self.members.get_mut(member_id) else {
            let (member_id, member_epoch) = (member_id.to_owned(), beat.member_epoch);
            return Heartbeaten { member_id, member_epoch, heartbeat_interval_ms, assignment: None };
        };
        member.session_deadline_ms = view.now_ms + i64::from(view.settings.session_timeout_ms);
        let is_told = beat.joins() || beat.is_full() || member.assigned != *had;
        Heartbeaten {
            member_id: member_id.to_owned(),
            member_epoch: member.epoch,
            heartbeat_interval_ms,
            assignment: is_told.then(|| partitions(&member.assigned)),
        }
    }
}

fn updated(mut subscription: Subscription, beat: &Heartbeat) -> Subscription {
    let beat = beat.clone();
    subscription.instance_id = beat.instance_id.or(subscription.instance_id);
    subscription.rack_id = beat.rack_id.or(subscription.rack_id);
    subscription.client_id = beat.client_id;
    subscription.client_host = beat.client_host;
    subscription.rebalance_timeout_ms = beat.rebalance_timeout_ms.unwrap_or(subscription.rebalance_timeout_ms);
    subscription.subscribed_names = beat.subscribed_names.unwrap_or(subscription.subscribed_names);
    subscription.subscribed_regex = beat.subscribed_regex.or(subscription.subscribed_regex);
    subscription.server_assignor = beat.server_assignor.or(subscription.server_assignor);
    subscription.classic = None;
    subscription
}

pub(super) fn unknown_member(member_id: &str) -> Refusal {
    Refusal::new(ErrorCode::UnknownMemberId, format!("{member_id} is not a member of the group"))
}

/// Whether the epoch is the member's, or the one before should the answer that raised it have been lost: then it can only
/// have what is its own.
fn check_epoch(member: &Member, beat: &Heartbeat) -> Result<(), Refusal> {
    let (epoch, known) = (beat.member_epoch, member.epoch);
    if beat.joins() || epoch == known {
        return Ok(());
    }
    let owns_no_more = || beat.owned.as_ref().is_some_and(|owned| is_within(owned, &member.assigned));
    if epoch < known && epoch == member.previous_epoch && owns_no_more() {
        return Ok(());
    }
    let message =
        format!("the member's epoch is {known}, not {epoch}; it has to give up its partitions and join again");
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
}

fn is_within(some: &Assignment, owned: &Owned) -> bool {
    some.iter().all(|(topic_id, partitions)| {
        owned.get(topic_id).is_some_and(|known| partitions.iter().all(|partition| known.contains_key(partition)))
    })
}
