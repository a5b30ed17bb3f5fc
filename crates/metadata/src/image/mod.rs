//! The state that the metadata log adds up to. Immutable when published: a copy is cheap and shares all that did not
//! change.

mod apply;
mod consumer;
mod groups;
mod index;
mod load;
mod name;
mod partition;
mod quotas;
mod topics;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chronik_protocol::types::{BrokerId, LeaderEpoch, Offset, PartitionId, TopicId};
use imbl::OrdMap;
use uuid::Uuid;

pub use consumer::ConsumerGroup;
pub use groups::{CommittedOffset, Group};
pub use load::Load;
pub use partition::Partition;
pub(crate) use quotas::record as quota_record;
pub use quotas::{QuotaEntity, Quotas};
pub use topics::Topic;

use crate::features::feature;
use crate::hash::Fnv128;
use crate::record::Endpoint;
use crate::request::ConfigResource;
use groups::Groups;
use load::Loads;
use partition::Interner;
use quotas::ClientQuotas;
use topics::Topics;

/// Kafka's number of the resource "topic".
pub const RESOURCE_TOPIC: i32 = 2;
/// Kafka's number of the resource "broker".
pub const RESOURCE_BROKER: i32 = 4;
/// Kafka's number of the resource "client metrics".
pub const RESOURCE_CLIENT_METRICS: i32 = 16;
/// Kafka's number of the resource "group".
pub const RESOURCE_GROUP: i32 = 32;

/// Keys and values set on one resource, by key.
pub type Configs = BTreeMap<String, String>;

static NO_CONFIGS: Configs = BTreeMap::new();

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: BrokerId,
    /// Raised at each registration of a new process.
    pub epoch: i64,
    /// Random id of the broker's process.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    /// A fenced broker is listed, but gets no replicas and leads nothing.
    pub fenced: bool,
    /// Milliseconds since the Unix epoch.
    pub registered_ms: i64,
}

/// All metadata after the record at [`Image::offset`]. Changed only by `Image::apply`.
#[derive(Clone)]
pub struct Image {
    offset: Offset,
    epoch: LeaderEpoch,
    cluster_id: Option<Arc<str>>,
    created_ms: i64,
    feature_level: u32,
    controller: Option<(BrokerId, i64)>,
    /// The levels that the log says, by name of the feature.
    features: OrdMap<Arc<str>, i32>,
    brokers: OrdMap<BrokerId, Arc<Broker>>,
    topics: Topics,
    /// By resource type, then by resource name.
    configs: OrdMap<i32, OrdMap<Arc<str>, Arc<Configs>>>,
    next_producer_id: i64,
    groups: Groups,
    quotas: ClientQuotas,
    partitions: u64,
    /// The offset of the last record by which a topic or a partition came or went.
    topics_version: Offset,
    loads: Loads,
    interner: Interner,
}

impl Default for Image {
    fn default() -> Self {
        Image {
            offset: -1,
            epoch: -1,
            cluster_id: None,
            created_ms: 0,
            feature_level: 0,
            controller: None,
            features: OrdMap::new(),
            brokers: OrdMap::new(),
            topics: Topics::default(),
            configs: OrdMap::new(),
            next_producer_id: 0,
            groups: Groups::default(),
            quotas: ClientQuotas::default(),
            partitions: 0,
            topics_version: -1,
            loads: Loads::default(),
            interner: Interner::default(),
        }
    }
}

impl Image {
    /// Offset of the last applied record; -1 = none.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Controller epoch of the last applied record; -1 = none.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// `None` only before the first record of a new log.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// When the cluster was created, in milliseconds since the Unix epoch.
    pub fn created_ms(&self) -> i64 {
        self.created_ms
    }

    /// 0 before the first record of a new log.
    pub fn feature_level(&self) -> u32 {
        self.feature_level
    }

    /// The node that last became the controller: the leader of `__meta`-0.
    pub fn controller(&self) -> Option<BrokerId> {
        self.controller.map(|(id, _)| id)
    }

    /// The level at which a feature is in force; 0 = off, or not known.
    pub fn finalized_level(&self, name: &str) -> i32 {
        self.features.get(name).copied().unwrap_or_else(|| feature(name).map_or(0, |feature| feature.unset.into()))
    }

    /// All brokers, fenced ones too, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values().map(|broker| &**broker)
    }

    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.brokers.get(&id).map(|broker| &**broker)
    }

    /// What a broker holds.
    pub fn load(&self, id: BrokerId) -> Load {
        self.loads.get(id)
    }

    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.by_name(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.by_id(id)
    }

    /// All topics by name, ascending.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter()
    }

    /// Topics by name, ascending, from the first that is not less than `name`.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Topic> {
        self.topics.iter_from(name)
    }

    pub fn topic_count(&self) -> u64 {
        self.topics.len() as u64
    }

    /// Another number whenever a topic or a partition has come or gone.
    pub fn topics_version(&self) -> Offset {
        self.topics_version
    }

    /// Partitions of all topics.
    pub fn partition_count(&self) -> u64 {
        self.partitions
    }

    pub fn partition(&self, topic: TopicId, partition: PartitionId) -> Option<&Partition> {
        self.topic_by_id(topic)?.partition(partition)
    }

    /// What is set on a topic; empty for an unknown one.
    pub fn topic_configs(&self, name: &str) -> &Configs {
        self.configs_of(RESOURCE_TOPIC, name)
    }

    /// What is set on a group, whether or not there is one.
    pub fn group_configs(&self, group_id: &str) -> &Configs {
        self.configs_of(RESOURCE_GROUP, group_id)
    }

    /// The names of the resources of a type on which anything is set.
    pub fn configured(&self, resource_type: i32) -> impl Iterator<Item = &str> {
        self.configs.get(&resource_type).into_iter().flat_map(|of_type| of_type.keys().map(|name| &**name))
    }

    /// What is set on one broker, or on all of them (`None`).
    pub fn broker_configs(&self, id: Option<BrokerId>) -> &Configs {
        self.configs_of(RESOURCE_BROKER, &id.map(|id| id.to_string()).unwrap_or_default())
    }

    pub fn configs(&self, resource: &ConfigResource) -> &Configs {
        match resource {
            ConfigResource::Topic(name) => self.topic_configs(name),
            ConfigResource::Broker(id) => self.broker_configs(*id),
            ConfigResource::ClientMetrics(name) => self.configs_of(RESOURCE_CLIENT_METRICS, name),
            ConfigResource::Group(id) => self.group_configs(id),
        }
    }

    fn configs_of(&self, resource_type: i32, name: &str) -> &Configs {
        self.configs.get(&resource_type).and_then(|of_type| of_type.get(name)).map_or(&NO_CONFIGS, |configs| configs)
    }

    /// The first producer id not given out yet.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    pub fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    /// All groups by id, ascending.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter()
    }

    /// The ids of the groups with committed offsets in a topic, ascending.
    pub fn groups_of_topic(&self, topic_id: TopicId) -> impl Iterator<Item = &str> {
        self.groups.of_topic(topic_id).map(|group_id| &**group_id)
    }

    pub fn group_count(&self) -> u64 {
        self.groups.len() as u64
    }

    /// Committed offsets of all groups.
    pub fn committed_offset_count(&self) -> u64 {
        self.groups.offset_count()
    }

    /// Client quotas. The same value until one changes.
    pub fn quotas(&self) -> &Arc<Quotas> {
        self.quotas.all()
    }

    /// Fingerprint of the state, without offset and epoch: equal state has an equal hash, whatever path led to it.
    /// Reads everything: about 3 ns a byte.
    pub fn hash(&self) -> u128 {
        let mut hash = Fnv128::default();
        self.for_each_record(|record| hash.update(&record.encode()));
        hash.finish()
    }

    /// Bytes of memory that the state takes, counted from lengths and sizes; what the allocator adds is left out.
    pub fn memory_bytes(&self) -> usize {
        let configs = |configs: &Configs| configs.iter().map(|(k, v)| 48 + k.len() + v.len()).sum::<usize>();
        let of_type = |of_type: &OrdMap<Arc<str>, Arc<Configs>>| {
            of_type.iter().map(|(name, set)| 2 * 16 + 64 + name.len() + configs(set)).sum::<usize>()
        };
        let endpoints = |b: &Broker| {
            b.endpoints.iter().map(|e| size_of::<Endpoint>() + e.listener.len() + e.host.len()).sum::<usize>()
        };
        self.topics.memory_bytes()
            + self.configs.values().map(of_type).sum::<usize>()
            + self.brokers().map(|b| size_of::<Broker>() + 32 + endpoints(b)).sum::<usize>()
            + self.groups.memory_bytes()
            + self.quotas.memory_bytes()
            + self.features.keys().map(|name| 16 + 32 + name.len()).sum::<usize>()
            + self.interner.memory_bytes()
            + self.loads.memory_bytes()
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("offset", &self.offset)
            .field("epoch", &self.epoch)
            .field("cluster_id", &self.cluster_id)
            .field("brokers", &self.brokers.len())
            .field("topics", &self.topics.len())
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}
