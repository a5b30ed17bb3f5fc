//! One member of a group.

use bytes::Bytes;

use super::Waiter;

/// How long a member that has never been in a generation may wait for one; Kafka's.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// A way of assigning that a member supports, with what it tells the leader, e.g. its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Members are numbered as they come.
    pub number: u64,
    /// It has never been in a generation.
    pub is_new: bool,
    pub awaiting_join: Option<Waiter>,
    pub awaiting_sync: Option<Waiter>,
    /// It has joined this generation and not synced yet.
    pub must_sync: bool,
    /// When it is given up unless heard of.
    pub session_deadline_ms: i64,
}

impl Member {
    pub fn heard_of(&mut self, now_ms: i64) {
        self.session_deadline_ms = now_ms + i64::from(self.session_timeout_ms);
    }

    /// A member that waits for others cannot be heard of; one that has yet to get into a generation waits only so long.
    pub fn joins(&mut self, now_ms: i64, waiter: Waiter) {
        self.awaiting_join = Some(waiter);
        self.session_deadline_ms = now_ms + NEW_MEMBER_JOIN_TIMEOUT_MS;
    }

    /// When the member is to be removed, unless it is heard of; `None` while it waits for others.
    pub fn deadline_ms(&self) -> Option<i64> {
        let waits = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        (!waits || (self.is_new && self.awaiting_join.is_some())).then_some(self.session_deadline_ms)
    }

    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|known| known.name == protocol)
            .map(|known| known.metadata.clone())
            .unwrap_or_default()
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|known| known.name == protocol)
    }

    pub fn summary(&self, member_id: &str, protocol: Option<&str>, stable: bool) -> MemberSummary {
        MemberSummary {
            member_id: member_id.to_owned(),
            instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: protocol.filter(|_| stable).map(|protocol| self.metadata(protocol)).unwrap_or_default(),
            assignment: if stable { self.assignment.clone() } else { Bytes::new() },
        }
    }
}

/// A member as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSummary {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// What it told the leader under the protocol in force; empty unless the group is stable.
    pub metadata: Bytes,
    /// Empty unless the group is stable.
    pub assignment: Bytes,
}
