//! What can be asked of the controller, and what it answers. Kafka's shapes, freed of wire versions.
//!
//! A request becomes one atomic batch of records, or none. Where a request names several topics or resources each has a
//! result of its own, and those that succeed share the batch.

use chronik_protocol::types::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId};

use crate::error::{
    ActivateError, AllocateProducerIdsError, AlterQuotasError, ChangeLogStartError, CreatePartitionsError,
    CreateTopicError, DeleteTopicError, GroupError, LimitError, RegisterBrokerError, SetConfigsError,
    UnregisterBrokerError, UpdateFeaturesError,
};
use crate::image::QuotaEntity;
use crate::record::{ConsumerGroupRecord, ConsumerMember, ConsumerTarget, Endpoint, GroupRecord, TopicPartitions};

/// Caps on what the metadata may grow to. All are settings of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_topics: u64,
    pub max_partitions_per_topic: u32,
    pub max_partitions: u64,
    /// Keys and values of one resource, in bytes.
    pub max_config_bytes: usize,
    pub max_groups: u64,
    /// Committed offsets of all groups.
    pub max_committed_offsets: u64,
    pub max_quota_entities: u64,
    /// Groups with settings of their own, and as many subscriptions to clients' metrics.
    pub max_configured_resources: u64,
    /// Encoded records of one decision, in bytes: one request, one batch.
    pub max_batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_topics: 1_000_000,
            max_partitions_per_topic: 10_000,
            max_partitions: 2_000_000,
            max_config_bytes: 64 * 1024,
            max_groups: 1_000_000,
            max_committed_offsets: 10_000_000,
            max_quota_entities: 100_000,
            max_configured_resources: 10_000,
            max_batch_bytes: 4 * 1024 * 1024,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Activate(Activate),
    CreateTopics(CreateTopics),
    DeleteTopics(DeleteTopics),
    CreatePartitions(CreatePartitions),
    SetConfigs(SetConfigs),
    RegisterBroker(RegisterBroker),
    UnregisterBroker(UnregisterBroker),
    AllocateProducerIds(AllocateProducerIds),
    ChangeLogStart(ChangeLogStart),
    RaiseLeaderEpochs(RaiseLeaderEpochs),
    StoreGroup(StoreGroup),
    /// See [`StoreConsumerGroup`].
    StoreConsumerGroup(StoreConsumerGroup),
    CommitOffsets(CommitOffsets),
    RemoveGroups(RemoveGroups),
    DeleteOffsets(DeleteOffsets),
    AlterQuotas(AlterQuotas),
    UpdateFeatures(UpdateFeatures),
}

/// The answer to the [`Request`] variant of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Activate(Result<(), ActivateError>),
    CreateTopics(Vec<CreateTopicResult>),
    DeleteTopics(Vec<DeleteTopicResult>),
    CreatePartitions(Vec<CreatePartitionsResult>),
    SetConfigs(Vec<SetConfigsResult>),
    RegisterBroker(Result<RegisteredBroker, RegisterBrokerError>),
    UnregisterBroker(Result<(), UnregisterBrokerError>),
    AllocateProducerIds(Result<ProducerIdBlock, AllocateProducerIdsError>),
    ChangeLogStart(Result<Offset, ChangeLogStartError>),
    RaiseLeaderEpochs(Result<u32, LimitError>),
    StoreGroup(Result<(), GroupError>),
    StoreConsumerGroup(Result<(), GroupError>),
    CommitOffsets(Result<(), GroupError>),
    RemoveGroups(Result<(), GroupError>),
    DeleteOffsets(Result<(), GroupError>),
    AlterQuotas(Vec<Result<(), AlterQuotasError>>),
    UpdateFeatures(Result<(), UpdateFeaturesError>),
}

/// Features are to go to other levels, all of them or none (KIP-1022).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateFeatures {
    pub updates: Vec<FeatureUpdate>,
    pub validate_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    pub feature: String,
    /// 0 = off.
    pub level: i16,
    /// `None` for one that is not known.
    pub upgrade_type: Option<UpgradeType>,
}

/// Which way the level of a feature may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    Upgrade,
    /// Nothing may be lost by it.
    SafeDowngrade,
    UnsafeDowngrade,
}

/// Quotas of some entities are to change.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterQuotas {
    pub entries: Vec<QuotaChanges>,
    pub validate_only: bool,
}

/// What is to be set for an entity, or with `None` taken away.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaChanges {
    pub entity: QuotaEntity,
    pub changes: Vec<(String, Option<f64>)>,
}

/// A generation of a group is to outlive a restart; its time is the controller's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreGroup {
    pub group: GroupRecord,
}

/// What has changed of a consumer group is to outlive a restart, all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConsumerGroup {
    pub epochs: ConsumerGroupRecord,
    /// Ids of members that are gone.
    pub removed: Vec<String>,
    pub members: Vec<ConsumerMember>,
    pub targets: Vec<ConsumerTarget>,
}

/// How far a group says it has got in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOffset {
    pub partition: PartitionId,
    pub offset: Offset,
    /// -1 = the client did not say.
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
}

/// A group commits offsets, which its coordinator has allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    pub group_id: String,
    pub topics: Vec<(TopicId, Vec<NewOffset>)>,
    /// How long the client wants them kept, in milliseconds; `None` as long as the group's.
    pub retention_ms: Option<i64>,
}

/// Groups are deleted, or have nothing left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveGroups {
    pub group_ids: Vec<String>,
    /// Whether groups that have offsets stay.
    pub only_without_offsets: bool,
}

/// Offsets of a group are deleted, or have expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsets {
    pub group_id: String,
    pub topics: Vec<TopicPartitions>,
    /// Offsets committed after this time stay, in milliseconds since the Unix epoch.
    pub committed_until_ms: i64,
}

/// This node is the controller now. The first request under a controller epoch; creates the cluster when the log is
/// empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activate {
    pub node_id: BrokerId,
    /// The id that the data directory is stamped with; must be the log's.
    pub cluster_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    /// Decide and answer, but change nothing.
    pub validate_only: bool,
    pub defaults: TopicDefaults,
}

/// What -1 stands for in a [`NewTopic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    pub num_partitions: i32,
    pub replication_factor: i16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// As the client sent it; checked here.
    pub name: String,
    /// -1 = the default, or given by `assignments`.
    pub num_partitions: i32,
    /// -1 = the default, or given by `assignments`.
    pub replication_factor: i16,
    /// Empty = placed by the controller. Otherwise partition number and replicas, preferred leader first.
    pub assignments: Vec<(PartitionId, Vec<BrokerId>)>,
    /// Keys and values, already found valid by the table of settings.
    pub configs: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopicResult {
    pub name: String,
    pub result: Result<CreatedTopic, CreateTopicError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// With `validate_only`: all zero.
    pub topic_id: TopicId,
    pub num_partitions: i32,
    pub replication_factor: i16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopics {
    pub topics: Vec<TopicRef>,
}

/// A topic by name or by id, as the client named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopicResult {
    pub topic: TopicRef,
    pub result: Result<DeletedTopic, DeleteTopicError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub topic_id: TopicId,
    pub name: String,
    /// How many partitions it had.
    pub partitions: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    pub topics: Vec<NewPartitions>,
    pub validate_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    pub name: String,
    /// How many partitions the topic shall have in all.
    pub count: i32,
    /// `None` = placed by the controller. Otherwise the replicas of each new partition, preferred leader first.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitionsResult {
    pub name: String,
    pub result: Result<(), CreatePartitionsError>,
}

/// A thing that has configs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    Topic(String),
    /// `None` = the default of all brokers.
    Broker(Option<BrokerId>),
    /// A subscription to clients' metrics, by name.
    ClientMetrics(String),
    /// A group, by id, whether or not there is one.
    Group(String),
}

/// Config changes already found valid by the table of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetConfigs {
    pub resources: Vec<ResourceChanges>,
    pub validate_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChanges {
    pub resource: ConfigResource,
    /// Key and new value; `None` unsets the key.
    pub changes: Vec<(String, Option<String>)>,
    /// Unset every key that `changes` does not name (AlterConfigs); otherwise they stay (IncrementalAlterConfigs,
    /// KIP-339).
    pub replace: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetConfigsResult {
    pub resource: ConfigResource,
    pub result: Result<(), SetConfigsError>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBroker {
    pub broker_id: BrokerId,
    /// Random id of the broker's process.
    pub incarnation_id: uuid::Uuid,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredBroker {
    /// Raised at each registration of a new incarnation.
    pub broker_epoch: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnregisterBroker {
    pub broker_id: BrokerId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocateProducerIds {
    pub broker_id: BrokerId,
    pub broker_epoch: i64,
    /// How many; Kafka asks for 1,000 at a time (KIP-730).
    pub count: i32,
}

/// Producer ids `first .. first + count`, given to nobody else, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first: i64,
    pub count: i32,
}

/// The first readable offset of a partition moves up (DeleteRecords, retention). Answered with the offset in force,
/// which is the larger of the asked one and the one before: it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeLogStart {
    pub topic_id: TopicId,
    pub partition: PartitionId,
    pub offset: Offset,
}

/// The log of a partition may have lost records that clients have seen, as after a crash with `flush.mode=async`. Under a new leader
/// epoch clients find that out (KIP-320) instead of taking other records at the same offsets for those. Answered with how many were
/// raised: partitions that are gone or that another broker leads are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaiseLeaderEpochs {
    pub broker_id: BrokerId,
    pub partitions: Vec<(TopicId, PartitionId)>,
}
