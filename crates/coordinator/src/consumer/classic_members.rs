//! Members of the classic protocol in a consumer group: they join, sync and heartbeat, and do not notice that the
//! coordinator assigns. A generation is their member epoch.

use chronik_protocol::error::ErrorCode;

use super::embedded::{self, EmbeddedSubscription, Named};
use super::member::{ClassicMembership, Member, MemberState, Subscription};
use super::{Assignment, ConsumerGroup, Migration, Owned, View};
use crate::classic::{CONSUMER, Join, Joined, Leaver, Sync, Synced};

impl ConsumerGroup {
    /// A JoinGroup. Its answer may be given once what has changed is durable.
    pub fn join_classic(&mut self, view: &View, join: Join, new_member_id: String) -> Result<Joined, ErrorCode> {
        if self.dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if !view.settings.classic_session_timeouts_ms.contains(&join.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if view.settings.migration == Migration::Disabled {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let member_id = if join.member_id.is_empty() { new_member_id } else { join.member_id.clone() };
        if self.members.len() >= view.settings.max_size && !self.members.contains_key(&member_id) {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let said = self.understood(&join).ok_or(ErrorCode::InconsistentGroupProtocol)?;
        if join.requires_member_id && join.member_id.is_empty() && join.instance_id.is_none() {
            return Ok(Joined::refused(member_id, ErrorCode::MemberIdRequired));
        }
        let former_id = self.admit_classic(&join)?;
        let before = self.members.get(former_id.as_ref().unwrap_or(&member_id));
        let former = before.map(|member| member.subscription.clone()).unwrap_or_default();
        if let Some(former_id) = former_id {
            self.replace_static(&former_id, &member_id);
        }
        let changed = former.subscribed_names != said.topics || former.pattern().is_some();
        let protocol = join.protocols.first().map(|protocol| protocol.name.clone());
        let subscription = Subscription {
            instance_id: join.instance_id.or(former.instance_id),
            rack_id: said.rack_id.or(former.rack_id),
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            subscribed_names: said.topics,
            subscribed_regex: None,
            server_assignor: None,
            classic: Some(ClassicMembership { session_timeout_ms: join.session_timeout_ms, protocols: join.protocols }),
        };
        self.subscribe(&member_id, subscription);
        self.forget_unused_patterns();
        self.raise_epoch_if_due(view, changed);
        self.assign_if_due(view);
        let owned = ids(view, &said.owned);
        self.reconcile(view, &member_id, changed, Some(&owned));

        let member = self.members.get_mut(&member_id).ok_or(ErrorCode::UnknownMemberId)?;
        member.session_deadline_ms = view.now_ms + i64::from(join.session_timeout_ms);
        // Until it has synced.
        member.rebalance_deadline_ms = Some(view.now_ms + i64::from(join.rebalance_timeout_ms));
        Ok(Joined {
            generation: member.epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol,
            ..Joined::refused(member_id, ErrorCode::None)
        })
    }

    /// What a consumer says with the first of its protocols; `None` if it is no consumer, or shares no protocol with all
    /// the other classic members.
    fn understood(&self, join: &Join) -> Option<EmbeddedSubscription> {
        let others =
            || self.members.iter().filter(|(id, _)| **id != join.member_id).filter_map(|(_, one)| one.classic.as_ref());
        let shared = |name: &str| others().all(|one| one.protocols.iter().any(|protocol| protocol.name == name));
        if join.protocol_type != CONSUMER || !join.protocols.iter().any(|protocol| shared(&protocol.name)) {
            return None;
        }
        embedded::subscription(&join.protocols.first()?.metadata)
    }

    /// Whether the member may join. Where a static member comes back: the id of its former self.
    fn admit_classic(&self, join: &Join) -> Result<Option<String>, ErrorCode> {
        let Some(instance_id) = &join.instance_id else { return Ok(None) };
        match self.static_members.get(instance_id) {
            None if join.member_id.is_empty() => Ok(None),
            None => Err(ErrorCode::UnknownMemberId),
            Some(known) if join.member_id.is_empty() => Ok(Some(known.clone())),
            Some(known) if *known != join.member_id => Err(ErrorCode::FencedInstanceId),
            Some(_) => Ok(None),
        }
    }

    /// A SyncGroup: what the member is to have now.
    pub fn sync_classic(&mut self, view: &View, sync: &Sync) -> Result<Synced, ErrorCode> {
        let member_id = self.classic_member(&sync.member_id, sync.instance_id.as_deref(), sync.generation)?;
        let target_epoch = self.target_epoch;
        let Some((member, classic)) = self.with_membership(&member_id) else { return Err(ErrorCode::UnknownMemberId) };
        let protocol = classic.protocols.first().cloned();
        let protocol = protocol.ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let differs = |said: &Option<String>, known: &str| said.as_ref().is_some_and(|said| said != known);
        if differs(&sync.protocol_type, CONSUMER) || differs(&sync.protocol, &protocol.name) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if target_epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            member.must_join_by(view);
            return Err(ErrorCode::RebalanceInProgress);
        }
        member.rebalance_deadline_ms = None;
        member.session_deadline_ms = view.now_ms + i64::from(classic.session_timeout_ms);
        let assigned = member.assigned.clone();
        Ok(Synced {
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: Some(protocol.name),
            assignment: self.embedded_assignment(view, &protocol.metadata, &super::member::partitions(&assigned)),
        })
    }

    /// A Heartbeat: whether the member has to join again.
    pub fn heartbeat_classic(
        &mut self,
        view: &View,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let member_id = self.classic_member(member_id, instance_id, generation)?;
        self.raise_epoch_if_due(view, false);
        self.assign_if_due(view);
        let waits = self.members.get(&member_id).is_some_and(|member| self.waits_for_others(&member_id, member));
        let target_epoch = self.target_epoch;
        let Some((member, classic)) = self.with_membership(&member_id) else { return Err(ErrorCode::UnknownMemberId) };
        member.session_deadline_ms = view.now_ms + i64::from(classic.session_timeout_ms);
        let joins_again = member.epoch < target_epoch
            || match member.state {
                MemberState::Stable => false,
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !waits,
            };
        if !joins_again {
            return Ok(());
        }
        member.must_join_by(view);
        Err(ErrorCode::RebalanceInProgress)
    }

    /// A LeaveGroup: members leave, each with an outcome of its own.
    pub fn leave_classic(&mut self, view: &View, leavers: &[Leaver]) -> Vec<Result<(), ErrorCode>> {
        let mut gone = Vec::new();
        let leave = |leaver: &Leaver| {
            let member_id = match &leaver.instance_id {
                None => leaver.member_id.clone(),
                Some(instance_id) => {
                    let known = self.static_members.get(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
                    if !leaver.member_id.is_empty() && *known != leaver.member_id {
                        return Err(ErrorCode::FencedInstanceId);
                    }
                    known.clone()
                }
            };
            if !self.members.contains_key(&member_id) {
                return Err(ErrorCode::UnknownMemberId);
            }
            gone.push(member_id);
            Ok(())
        };
        let outcomes = leavers.iter().map(leave).collect();
        if !gone.is_empty() {
            self.remove(view, &gone);
        }
        outcomes
    }

    /// The id of a classic member, if it is one in this generation.
    fn classic_member(&self, member_id: &str, instance_id: Option<&str>, generation: i32) -> Result<String, ErrorCode> {
        if self.dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if known != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        let member = self.members.get(member_id).filter(|member| member.classic.is_some());
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        if member.epoch == generation { Ok(member_id.to_owned()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    fn with_membership(&mut self, member_id: &str) -> Option<(&mut Member, ClassicMembership)> {
        let member = self.members.get_mut(member_id)?;
        let classic = member.classic.clone()?;
        Some((member, classic))
    }

    /// Whether others have yet to let go of something that the member is to have.
    fn waits_for_others(&self, member_id: &str, member: &Member) -> bool {
        let target = self.targets.get(member_id).into_iter().flatten();
        target.into_iter().any(|(topic_id, partitions)| {
            let has = member.assigned.get(topic_id);
            partitions.iter().any(|partition| {
                has.is_none_or(|has| !has.contains_key(partition)) && self.owners.contains_key(&(*topic_id, *partition))
            })
        })
    }

    /// An assignment in the version of a subscription.
    pub(super) fn embedded_assignment(
        &self,
        view: &View,
        subscription: &[u8],
        assignment: &Assignment,
    ) -> bytes::Bytes {
        let version = embedded::subscription(subscription).map_or(0, |subscription| subscription.version);
        let mut named = Named::new();
        for (topic_id, partitions) in assignment {
            if let Some(name) = view.topics.name(*topic_id) {
                named.insert(name.to_owned(), partitions.clone());
            }
        }
        embedded::to_assignment(version, &named)
    }
}

impl Member {
    /// It has to join again; it has the time that it asks for, from when it is first told.
    fn must_join_by(&mut self, view: &View) {
        let by_ms = view.now_ms + i64::from(self.subscription.rebalance_timeout_ms);
        self.rebalance_deadline_ms.get_or_insert(by_ms);
    }
}

/// Topics that are gone are left out.
pub(super) fn ids(view: &View, named: &Named) -> Assignment {
    let of = |(name, partitions): (&String, &_)| {
        let partitions: &std::collections::BTreeSet<i32> = partitions;
        Some((view.topics.topic(name)?.id, partitions.clone()))
    };
    named.iter().filter_map(of).collect()
}

/// As given in one epoch.
pub(super) fn given_in(epoch: i32, assignment: &Assignment) -> Owned {
    let with_epoch =
        |partitions: &std::collections::BTreeSet<i32>| partitions.iter().map(|partition| (*partition, epoch)).collect();
    assignment.iter().map(|(topic_id, partitions)| (*topic_id, with_epoch(partitions))).collect()
}
