//! A group with members goes from the classic protocol to this one and back.
//!
//! It comes here with the first member of this protocol, all its members as they are; they live on here as what they are.
//! It goes back when only they are left.

use chronik_protocol::error::ErrorCode;

use super::classic_members::{given_in, ids};
use super::embedded;
use super::member::{ClassicMembership, Member, Subscription};
use super::{ConsumerGroup, ConsumerState, Refusal, View};
use crate::classic::{ClassicGroup, Effects, MovingMember, Settings};

/// Which groups with members change their protocol: `group.consumer.migration.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    Disabled,
    Downgrade,
    Upgrade,
    Bidirectional,
}

impl ConsumerGroup {
    /// A classic group with members, under this protocol.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND: the policy is against it, the group is too large, its members are no consumers, or what they
    /// say is not understood.
    pub fn upgraded(view: &View, classic: &ClassicGroup) -> Result<Self, Refusal> {
        let refused = |why: &str| Err(Refusal::new(ErrorCode::GroupIdNotFound, why));
        if !matches!(view.settings.migration, Migration::Upgrade | Migration::Bidirectional) {
            return refused("the group has members of the classic protocol, and may not change to this one");
        }
        let Some(members) = classic.moving() else {
            return refused("the group has members of the classic protocol that are no consumers");
        };
        if members.len() > view.settings.max_size {
            return refused("the group has more members of the classic protocol than it may have of this one");
        }
        let epoch = classic.generation();
        let mut group = ConsumerGroup { epoch, target_epoch: epoch, ..ConsumerGroup::default() };
        for moving in members {
            if group.take_over(view, epoch, moving).is_none() {
                return refused("the group has members of the classic protocol that say what is not understood here");
            }
        }
        let names = group.members.values().flat_map(|member| member.subscription.subscribed_names.iter());
        group.subscriptions.refresh(view, names, true);
        group.touched.head = true;
        Ok(group)
    }

    fn take_over(&mut self, view: &View, epoch: i32, moving: MovingMember) -> Option<()> {
        let said = embedded::subscription(&moving.protocols.first()?.metadata)?;
        let assigned = ids(view, &embedded::assignment(&moving.assignment)?);
        let member = Member {
            subscription: Subscription {
                instance_id: moving.instance_id,
                rack_id: said.rack_id,
                client_id: moving.client_id,
                client_host: moving.client_host,
                rebalance_timeout_ms: moving.rebalance_timeout_ms,
                subscribed_names: said.topics,
                classic: Some(ClassicMembership {
                    session_timeout_ms: moving.session_timeout_ms,
                    protocols: moving.protocols,
                }),
                ..Subscription::default()
            },
            epoch,
            previous_epoch: epoch,
            assigned: given_in(epoch, &assigned),
            session_deadline_ms: view.now_ms + i64::from(moving.session_timeout_ms),
            ..Member::new()
        };
        let member_id = moving.member_id;
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        self.touched.members.insert(member_id.clone());
        self.touched.targets.insert(member_id.clone());
        self.targets.insert(member_id.clone(), assigned);
        self.members.insert(member_id.clone(), member);
        self.take_up(&member_id);
        Some(())
    }

    /// The group under the classic protocol, if all its members are of that and it may change. `left`: a member is gone,
    /// so that the others rebalance; they need not where one only changed its protocol and all have what they are to have.
    pub fn downgraded(&self, view: &View, settings: Settings, left: bool, out: &mut Effects) -> Option<ClassicGroup> {
        let may = matches!(view.settings.migration, Migration::Downgrade | Migration::Bidirectional);
        if self.dead || !may || self.members.is_empty() || self.members.len() > settings.max_size {
            return None;
        }
        let members = self.members.iter().map(|(member_id, member)| self.moving(view, member_id, member));
        let members = members.collect::<Option<Vec<_>>>()?;
        // Of those that have reached the target it is the generation: they may still commit before they join again.
        let mut group = ClassicGroup::moved_here(settings, view.now_ms, self.target_epoch, members, out);
        if left || self.state() != ConsumerState::Stable {
            group.rebalance_or_go_on(view.now_ms, out);
        }
        Some(group)
    }

    fn moving(&self, view: &View, member_id: &str, member: &Member) -> Option<MovingMember> {
        let classic = member.classic.clone()?;
        let target = self.targets.get(member_id).cloned().unwrap_or_default();
        let said = classic.protocols.first().map(|protocol| protocol.metadata.clone()).unwrap_or_default();
        Some(MovingMember {
            member_id: member_id.to_owned(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: classic.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            protocols: classic.protocols,
            assignment: self.embedded_assignment(view, &said, &target),
        })
    }
}
