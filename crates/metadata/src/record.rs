//! Metadata records and their bytes.
//!
//! A record travels as the value of one record of a v2 batch, which brings length and CRC. The value is an envelope,
//! type (u16, big-endian) and version (u8), and then the protobuf encoding of the payload. Fields are evolved by tag:
//! an unknown field is skipped, an unknown record type or version is an error that names it, since skipping it would
//! make images differ. Type numbers by tens: 0 cluster, 10 brokers, 20 topics, 30 configs, 40 producer ids, 50 groups
//! and offsets, 60 transactions, 70 users, ACLs and quotas. A number is never used twice.

use bytes::Bytes;
use chronik_protocol::types::TopicId;
use prost::Message;

/// The feature level this program writes and understands (KIP-584 in spirit): it gates new record types.
pub const FEATURE_LEVEL: u32 = 1;

/// Bytes before the payload.
pub const ENVELOPE_LEN: usize = 3;

/// A topic id as two big-endian halves, 18 bytes encoded.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Id {
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

impl From<TopicId> for Id {
    fn from(id: TopicId) -> Self {
        let (high, low) = id.as_u64_pair();
        Id { high, low }
    }
}

impl Id {
    pub fn uuid(self) -> TopicId {
        TopicId::from_u64_pair(self.high, self.low)
    }
}

/// A list of brokers whose absence differs from its emptiness.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BrokerList {
    #[prost(int32, repeated, tag = "1")]
    pub ids: Vec<i32>,
}

/// The cluster exists from here on. The first record of a metadata log.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ClusterCreated {
    /// Kafka's cluster id: 22 characters of URL-safe base64.
    #[prost(string, tag = "1")]
    pub cluster_id: String,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub created_ms: i64,
}

/// The feature level in force; see [`FEATURE_LEVEL`].
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct FeatureLevel {
    #[prost(uint32, tag = "1")]
    pub level: u32,
}

/// A node became the controller. The first record under each controller epoch, so that the epoch is on disk before it
/// is used.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ControllerElected {
    #[prost(int32, tag = "1")]
    pub controller_id: i32,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub elected_ms: i64,
}

/// A feature of Kafka's is at this level from here on (KIP-584).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FinalizedFeature {
    /// `group.version` or another of [`crate::features::FEATURES`].
    #[prost(string, tag = "1")]
    pub name: String,
    /// 0 = off.
    #[prost(int32, tag = "2")]
    pub level: i32,
}

/// Where a broker can be reached on one of its listeners.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Endpoint {
    /// The listener's name, e.g. `PLAINTEXT`.
    #[prost(string, tag = "1")]
    pub listener: String,
    #[prost(string, tag = "2")]
    pub host: String,
    /// 0 to 65535.
    #[prost(uint32, tag = "3")]
    pub port: u32,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    #[prost(int32, tag = "4")]
    pub security_protocol: i32,
}

/// A broker is there, new or again; replaces what was known of the same id.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RegisterBroker {
    #[prost(int32, tag = "1")]
    pub broker_id: i32,
    /// Raised at each registration: the offset of this record.
    #[prost(int64, tag = "2")]
    pub broker_epoch: i64,
    /// Random id of the broker's process.
    #[prost(message, required, tag = "3")]
    pub incarnation_id: Id,
    #[prost(message, repeated, tag = "4")]
    pub endpoints: Vec<Endpoint>,
    #[prost(string, optional, tag = "5")]
    pub rack: Option<String>,
    /// A fenced broker is listed, but gets no replicas and leads nothing.
    #[prost(bool, tag = "6")]
    pub fenced: bool,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "7")]
    pub registered_ms: i64,
}

/// A broker is gone for good.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct UnregisterBroker {
    #[prost(int32, tag = "1")]
    pub broker_id: i32,
    /// The epoch that is removed; a record for another epoch changes nothing.
    #[prost(int64, tag = "2")]
    pub broker_epoch: i64,
}

/// A topic exists. Its partitions follow in the same batch.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TopicRecord {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
    #[prost(string, tag = "2")]
    pub name: String,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "3")]
    pub created_ms: i64,
}

/// A partition exists, or is replaced whole. Partitions of a topic arrive in the order of their numbers.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PartitionRecord {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// Preferred leader first.
    #[prost(int32, repeated, tag = "3")]
    pub replicas: Vec<i32>,
    #[prost(int32, repeated, tag = "4")]
    pub isr: Vec<i32>,
    /// -1 = none.
    #[prost(int32, tag = "5")]
    pub leader: i32,
    #[prost(int32, tag = "6")]
    pub leader_epoch: i32,
    #[prost(int32, tag = "7")]
    pub partition_epoch: i32,
    /// The first offset that can be read.
    #[prost(int64, tag = "8")]
    pub log_start_offset: i64,
}

/// Some fields of a partition change; an absent field stays as it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PartitionChange {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
    #[prost(int32, tag = "2")]
    pub partition: i32,
    #[prost(message, optional, tag = "3")]
    pub replicas: Option<BrokerList>,
    #[prost(message, optional, tag = "4")]
    pub isr: Option<BrokerList>,
    #[prost(int32, optional, tag = "5")]
    pub leader: Option<i32>,
    #[prost(int32, optional, tag = "6")]
    pub leader_epoch: Option<i32>,
    #[prost(int32, optional, tag = "7")]
    pub partition_epoch: Option<i32>,
    #[prost(int64, optional, tag = "8")]
    pub log_start_offset: Option<i64>,
}

/// A topic is gone, and with it its partitions and its configs.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RemoveTopic {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
}

/// One config of one resource.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Config {
    /// Kafka's number: 2 topic, 4 broker.
    #[prost(int32, tag = "1")]
    pub resource_type: i32,
    /// A topic's name; a broker's id in decimal, empty for the default of all brokers.
    #[prost(string, tag = "2")]
    pub resource_name: String,
    #[prost(string, tag = "3")]
    pub key: String,
    /// Absent: the key is unset.
    #[prost(string, optional, tag = "4")]
    pub value: Option<String>,
}

/// Producer ids below `next_producer_id` are given out.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ProducerIds {
    #[prost(int32, tag = "1")]
    pub broker_id: i32,
    #[prost(int64, tag = "2")]
    pub next_producer_id: i64,
}

/// A member of a stored group, and what it was assigned.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupMember {
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    #[prost(string, optional, tag = "2")]
    pub instance_id: Option<String>,
    #[prost(string, tag = "3")]
    pub client_id: String,
    #[prost(string, tag = "4")]
    pub client_host: String,
    #[prost(int32, tag = "5")]
    pub session_timeout_ms: i32,
    #[prost(int32, tag = "6")]
    pub rebalance_timeout_ms: i32,
    /// What it told the leader under the protocol in force; bytes of the clients' own.
    #[prost(bytes = "bytes", tag = "7")]
    pub metadata: Bytes,
    /// What the leader assigned it; bytes of the clients' own.
    #[prost(bytes = "bytes", tag = "8")]
    pub assignment: Bytes,
}

/// A generation of a classic group, with all its members; replaces what was known of them. The group's offsets stay.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GroupRecord {
    #[prost(string, tag = "1")]
    pub group_id: String,
    /// `consumer` or what else its clients agree on.
    #[prost(string, optional, tag = "2")]
    pub protocol_type: Option<String>,
    #[prost(int32, tag = "3")]
    pub generation: i32,
    #[prost(string, optional, tag = "4")]
    pub protocol: Option<String>,
    /// The member id of the leader.
    #[prost(string, optional, tag = "5")]
    pub leader: Option<String>,
    /// In the order in which they joined.
    #[prost(message, repeated, tag = "6")]
    pub members: Vec<GroupMember>,
    /// When this generation began to hold, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "7")]
    pub changed_ms: i64,
}

/// A group is gone, and with it its members and its offsets.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RemoveGroup {
    #[prost(string, tag = "1")]
    pub group_id: String,
}

/// How far a group has got in a partition.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PartitionOffset {
    #[prost(int32, tag = "1")]
    pub partition: i32,
    #[prost(int64, tag = "2")]
    pub offset: i64,
    /// Leader epoch of the last record consumed; absent when the client did not say.
    #[prost(int32, optional, tag = "3")]
    pub leader_epoch: Option<i32>,
    /// The client's own words.
    #[prost(string, tag = "4")]
    pub metadata: String,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "5")]
    pub committed_ms: i64,
    /// When it expires, where the client said so; milliseconds since the Unix epoch.
    #[prost(int64, optional, tag = "6")]
    pub expires_ms: Option<i64>,
}

/// Offsets of one topic.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TopicOffsets {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<PartitionOffset>,
}

/// A group commits offsets; each replaces what was known of its partition. A group nobody has joined exists by them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OffsetCommit {
    #[prost(string, tag = "1")]
    pub group_id: String,
    #[prost(message, repeated, tag = "2")]
    pub topics: Vec<TopicOffsets>,
}

/// Some partitions of one topic.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TopicPartitions {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
    #[prost(int32, repeated, tag = "2")]
    pub partitions: Vec<i32>,
}

/// Offsets of a group are gone.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RemoveOffsets {
    #[prost(string, tag = "1")]
    pub group_id: String,
    #[prost(message, repeated, tag = "2")]
    pub topics: Vec<TopicPartitions>,
}

/// The epochs of a consumer group (KIP-848). The group is of that protocol from here on: a generation of the classic one
/// is gone, the offsets stay.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConsumerGroupRecord {
    #[prost(string, tag = "1")]
    pub group_id: String,
    #[prost(int32, tag = "2")]
    pub epoch: i32,
    /// The epoch of which the members' targets are the outcome.
    #[prost(int32, tag = "3")]
    pub target_epoch: i32,
    /// Of the topics subscribed to; another digest is reason to assign anew.
    #[prost(fixed64, tag = "4")]
    pub topics_digest: u64,
}

/// Some partitions of one topic that a member of a consumer group has.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OwnedPartitions {
    #[prost(message, required, tag = "1")]
    pub topic_id: Id,
    #[prost(int32, repeated, tag = "2")]
    pub partitions: Vec<i32>,
    /// Of each partition, the member epoch in which it was given.
    #[prost(int32, repeated, tag = "3")]
    pub epochs: Vec<i32>,
}

/// A way of assigning that a member of the classic protocol supports.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ClassicProtocol {
    #[prost(string, tag = "1")]
    pub name: String,
    /// Bytes of the clients' own.
    #[prost(bytes = "bytes", tag = "2")]
    pub metadata: Bytes,
}

/// What makes a member of a consumer group one of the classic protocol.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ClassicMembership {
    #[prost(int32, tag = "1")]
    pub session_timeout_ms: i32,
    /// In order of preference.
    #[prost(message, repeated, tag = "2")]
    pub protocols: Vec<ClassicProtocol>,
}

/// A member of a consumer group and how far it has got; replaces what was known of it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConsumerMember {
    #[prost(string, tag = "1")]
    pub group_id: String,
    #[prost(string, tag = "2")]
    pub member_id: String,
    #[prost(string, optional, tag = "3")]
    pub instance_id: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub rack_id: Option<String>,
    #[prost(string, tag = "5")]
    pub client_id: String,
    #[prost(string, tag = "6")]
    pub client_host: String,
    #[prost(int32, tag = "7")]
    pub rebalance_timeout_ms: i32,
    #[prost(string, repeated, tag = "8")]
    pub subscribed_names: Vec<String>,
    #[prost(string, optional, tag = "9")]
    pub subscribed_regex: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub server_assignor: Option<String>,
    #[prost(int32, tag = "11")]
    pub epoch: i32,
    #[prost(int32, tag = "12")]
    pub previous_epoch: i32,
    /// Kafka's number: 0 stable, 1 unrevoked partitions, 2 unreleased partitions.
    #[prost(int32, tag = "13")]
    pub state: i32,
    #[prost(message, repeated, tag = "14")]
    pub assigned: Vec<OwnedPartitions>,
    /// What it has yet to let go of.
    #[prost(message, repeated, tag = "15")]
    pub revoking: Vec<OwnedPartitions>,
    #[prost(message, optional, tag = "16")]
    pub classic: Option<ClassicMembership>,
}

/// Members of a consumer group are gone, and their targets with them.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RemoveConsumerMembers {
    #[prost(string, tag = "1")]
    pub group_id: String,
    #[prost(string, repeated, tag = "2")]
    pub member_ids: Vec<String>,
}

/// What a member of a consumer group is to have in the end; replaces what was known of it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConsumerTarget {
    #[prost(string, tag = "1")]
    pub group_id: String,
    #[prost(string, tag = "2")]
    pub member_id: String,
    #[prost(message, repeated, tag = "3")]
    pub topics: Vec<TopicPartitions>,
}

/// One part of who a quota is for.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct QuotaEntityPart {
    /// `user`, `client-id` or `ip`.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Absent for the default of its kind.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

/// A client quota is set, or without a value taken away (KIP-546).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ClientQuota {
    /// Ascending by kind.
    #[prost(message, repeated, tag = "1")]
    pub entity: Vec<QuotaEntityPart>,
    #[prost(string, tag = "2")]
    pub key: String,
    /// The bits of a 64-bit floating-point number.
    #[prost(fixed64, optional, tag = "3")]
    pub value_bits: Option<u64>,
}

/// Why bytes are not a record this program can apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("a metadata record of {0} bytes is shorter than its envelope")]
    Short(usize),
    #[error(
        "metadata record type {record_type} version {version} is not known here: it was written by a newer program"
    )]
    Unknown { record_type: u16, version: u8 },
    #[error("the payload of a {name} metadata record cannot be decoded: {source}")]
    Payload { name: &'static str, source: prost::DecodeError },
}

/// The table of record types: variant, payload, type number, version.
macro_rules! records {
    ($($variant:ident($payload:ty) = $number:literal v $version:literal),* $(,)?) => {
        /// One change of the metadata.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Record { $($variant($payload)),* }

        impl Record {
            /// Name and type number of every record type, in order of number.
            pub const TYPES: &'static [(&'static str, u16)] = &[$((stringify!($variant), $number)),*];

            pub fn name(&self) -> &'static str {
                match self { $(Record::$variant(_) => stringify!($variant)),* }
            }

            /// Length in bytes of the envelope and its payload.
            pub fn encoded_len(&self) -> usize {
                ENVELOPE_LEN + match self { $(Record::$variant(payload) => payload.encoded_len()),* }
            }

            /// Appends envelope and payload.
            pub fn encode_into(&self, out: &mut Vec<u8>) {
                match self {
                    $(Record::$variant(payload) => {
                        out.extend_from_slice(&u16::to_be_bytes($number));
                        out.push($version);
                        payload.encode_raw(out);
                    })*
                }
            }

            /// Reads one record from exactly these bytes.
            pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
                let [high, low, version, payload @ ..] = bytes else {
                    return Err(RecordError::Short(bytes.len()));
                };
                match (u16::from_be_bytes([*high, *low]), *version) {
                    $(($number, $version) => <$payload>::decode(payload)
                        .map(Record::$variant)
                        .map_err(|source| RecordError::Payload { name: stringify!($variant), source }),)*
                    (record_type, version) => Err(RecordError::Unknown { record_type, version }),
                }
            }
        }
    };
}

records! {
    ClusterCreated(ClusterCreated) = 1 v 1,
    FeatureLevel(FeatureLevel) = 2 v 1,
    ControllerElected(ControllerElected) = 3 v 1,
    FinalizedFeature(FinalizedFeature) = 4 v 1,
    RegisterBroker(RegisterBroker) = 10 v 1,
    UnregisterBroker(UnregisterBroker) = 11 v 1,
    Topic(TopicRecord) = 20 v 1,
    Partition(PartitionRecord) = 21 v 1,
    PartitionChange(PartitionChange) = 22 v 1,
    RemoveTopic(RemoveTopic) = 23 v 1,
    Config(Config) = 30 v 1,
    ProducerIds(ProducerIds) = 40 v 1,
    Group(GroupRecord) = 50 v 1,
    RemoveGroup(RemoveGroup) = 51 v 1,
    OffsetCommit(OffsetCommit) = 52 v 1,
    RemoveOffsets(RemoveOffsets) = 53 v 1,
    ConsumerGroup(ConsumerGroupRecord) = 54 v 1,
    ConsumerMember(ConsumerMember) = 55 v 1,
    RemoveConsumerMembers(RemoveConsumerMembers) = 56 v 1,
    ConsumerTarget(ConsumerTarget) = 57 v 1,
    ClientQuota(ClientQuota) = 70 v 1,
}

impl Record {
    /// Envelope and payload as a vector of its own.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode_into(&mut out);
        out
    }
}
