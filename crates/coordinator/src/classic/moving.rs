//! A group of consumers changes to the consumer protocol (KIP-848), or comes back from it.

use bytes::Bytes;
use chronik_protocol::error::ErrorCode;

use super::member::{Member, Protocol};
use super::{CONSUMER, ClassicGroup, Effects, Settings, State, StoredGroup};

/// A member that goes from one protocol to the other with its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovingMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// The members of a group of consumers, in the order in which they came, each with the protocol in force first.
    /// `None` of any other group.
    pub fn moving(&self) -> Option<Vec<MovingMember>> {
        if self.state == State::Dead || self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let of = |(id, member): (&String, &Member)| {
            let mut protocols = member.protocols.clone();
            protocols.sort_by_key(|protocol| Some(&protocol.name) != self.protocol.as_ref());
            MovingMember {
                member_id: id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols,
                assignment: member.assignment.clone(),
            }
        };
        Some(self.in_order().map(of).collect())
    }

    /// The group lives on under the other protocol: whoever waits joins again there.
    pub fn move_away(&mut self, out: &mut Effects) {
        self.end(ErrorCode::RebalanceInProgress, out);
    }

    /// A stable group with these members and what is assigned to them.
    pub fn moved_here(
        settings: Settings,
        now_ms: i64,
        generation: i32,
        members: Vec<MovingMember>,
        out: &mut Effects,
    ) -> Self {
        let mut group = ClassicGroup::new(settings);
        group.state = State::Stable;
        group.protocol_type = Some(CONSUMER.to_owned());
        group.generation = generation;
        for moving in members {
            group.joined += 1;
            if let Some(instance_id) = &moving.instance_id {
                group.static_members.insert(instance_id.clone(), moving.member_id.clone());
            }
            group.leader.get_or_insert_with(|| moving.member_id.clone());
            let mut member = Member {
                instance_id: moving.instance_id,
                client_id: moving.client_id,
                client_host: moving.client_host,
                session_timeout_ms: moving.session_timeout_ms,
                rebalance_timeout_ms: moving.rebalance_timeout_ms,
                protocols: moving.protocols,
                assignment: moving.assignment,
                number: group.joined,
                is_new: false,
                awaiting_join: None,
                awaiting_sync: None,
                must_sync: false,
                session_deadline_ms: 0,
            };
            member.heard_of(now_ms);
            group.members.insert(moving.member_id, member);
        }
        group.protocol = group.chosen_protocol();
        out.store = Some(group.to_store());
        group
    }

    /// What is stored of a group of this protocol that has no members.
    pub fn nothing_to_store() -> StoredGroup {
        StoredGroup { protocol_type: None, generation: 0, protocol: None, leader: None, members: Vec::new() }
    }
}
