//! A group as it is written down, and back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::member::{Member, Protocol};
use super::{ClassicGroup, Settings, State};

/// What outlives a restart: the generation with its members and their assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGroup {
    pub protocol_type: Option<String>,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// In the order in which they came.
    pub members: Vec<StoredMember>,
}

/// A member of a stored group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// What it told the leader under the protocol in force.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

impl ClassicGroup {
    pub(super) fn to_store(&self) -> StoredGroup {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |(id, member): (&String, &Member)| StoredMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            metadata: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        StoredGroup {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self.in_order().map(member).collect(),
        }
    }

    /// A group as it was stored. Its members have their whole session timeout to be heard of again.
    pub fn restore(settings: Settings, stored: StoredGroup, now_ms: i64) -> Self {
        let protocol = stored.protocol.clone().unwrap_or_default();
        let mut static_members = BTreeMap::new();
        let mut members = BTreeMap::new();
        for (number, one) in stored.members.into_iter().enumerate() {
            if let Some(instance_id) = &one.instance_id {
                static_members.insert(instance_id.clone(), one.member_id.clone());
            }
            let mut member = Member {
                instance_id: one.instance_id,
                client_id: one.client_id,
                client_host: one.client_host,
                session_timeout_ms: one.session_timeout_ms,
                rebalance_timeout_ms: one.rebalance_timeout_ms,
                protocols: vec![Protocol { name: protocol.clone(), metadata: one.metadata }],
                assignment: one.assignment,
                number: number as u64 + 1,
                is_new: false,
                awaiting_join: None,
                awaiting_sync: None,
                must_sync: false,
                session_deadline_ms: 0,
            };
            member.heard_of(now_ms);
            members.insert(one.member_id, member);
        }
        ClassicGroup {
            state: if members.is_empty() { State::Empty } else { State::Stable },
            protocol_type: stored.protocol_type,
            generation: stored.generation,
            protocol: stored.protocol,
            leader: stored.leader,
            joined: members.len() as u64,
            members,
            static_members,
            ..ClassicGroup::new(settings)
        }
    }
}
