//! One error enum per operation, each with a total map to Kafka's error codes. Nothing here is retriable by itself.

use chronik_protocol::types::InvalidTopicName;

use crate::placement::PlacementError;

/// Kafka's numbers of the errors that decisions can end in.
pub mod code {
    pub const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub const INVALID_TOPIC_EXCEPTION: i16 = 17;
    pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
    pub const TOPIC_ALREADY_EXISTS: i16 = 36;
    pub const INVALID_PARTITIONS: i16 = 37;
    pub const INVALID_REPLICATION_FACTOR: i16 = 38;
    pub const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
    pub const INVALID_CONFIG: i16 = 40;
    pub const INVALID_REQUEST: i16 = 42;
    pub const POLICY_VIOLATION: i16 = 44;
    pub const STALE_BROKER_EPOCH: i16 = 77;
    pub const INVALID_UPDATE_VERSION: i16 = 95;
    pub const UNKNOWN_TOPIC_ID: i16 = 100;
    pub const BROKER_ID_NOT_REGISTERED: i16 = 102;
    pub const INCONSISTENT_CLUSTER_ID: i16 = 104;
}

/// A cap of [`crate::request::Limits`] would be passed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("the cluster may hold at most {0} topics")]
    Topics(u64),
    #[error("a topic may have at most {0} partitions")]
    PartitionsPerTopic(u32),
    #[error("the cluster may hold at most {0} partitions")]
    Partitions(u64),
    #[error("the configs of one resource may take at most {0} bytes")]
    ConfigBytes(usize),
    #[error("the changes of one request may take at most {0} bytes; split the request")]
    BatchBytes(usize),
}

impl LimitError {
    pub fn code(&self) -> i16 {
        match self {
            LimitError::ConfigBytes(_) => code::INVALID_CONFIG,
            _ => code::POLICY_VIOLATION,
        }
    }
}

/// An assignment of replicas given by hand that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    #[error("the partitions of a manual assignment must be numbered {first} to {last} without gaps")]
    Gaps { first: i32, last: i32 },
    #[error("the manual assignment of partition {0} names no replicas")]
    NoReplicas(i32),
    #[error("the manual assignment of partition {partition} names broker {broker} twice")]
    Twice { partition: i32, broker: i32 },
    #[error("the manual assignment of partition {partition} names broker {broker}, which is not registered")]
    UnknownBroker { partition: i32, broker: i32 },
    #[error("the manual assignment of partition {partition} has {found} replicas where {expected} are expected")]
    Uneven { partition: i32, found: usize, expected: usize },
    #[error("all brokers of the manual assignment of partition {0} are fenced")]
    AllFenced(i32),
    #[error("{assignments} assignments were given for {partitions} new partitions")]
    Count { assignments: usize, partitions: i32 },
}

impl AssignmentError {
    pub fn code(&self) -> i16 {
        code::INVALID_REPLICA_ASSIGNMENT
    }
}

/// Why one topic was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    #[error("the topic name is invalid: {0}")]
    Name(#[from] InvalidTopicName),
    #[error("the topic '{0}' is internal and is not made by request")]
    Internal(String),
    #[error("a topic named '{0}' already exists")]
    Exists(String),
    #[error(
        "the topic '{name}' collides with the existing topic '{existing}': names may not differ only in '.' and '_'"
    )]
    Collision { name: String, existing: String },
    #[error("the topic '{0}' appears more than once in the request")]
    Duplicate(String),
    #[error("the number of partitions must be positive, or -1 for the default; it is {0}")]
    Partitions(i32),
    #[error("the replication factor must be positive, or -1 for the default; it is {0}")]
    ReplicationFactor(i16),
    #[error("with a manual assignment the number of partitions and the replication factor must be -1")]
    AssignmentAndNumbers,
    #[error("{0}")]
    Assignment(#[from] AssignmentError),
    #[error("{0}")]
    Placement(#[from] PlacementError),
    #[error("the config '{0}' is given twice")]
    ConfigTwice(String),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl CreateTopicError {
    pub fn code(&self) -> i16 {
        match self {
            CreateTopicError::Name(_) | CreateTopicError::Collision { .. } => code::INVALID_TOPIC_EXCEPTION,
            CreateTopicError::Internal(_) => code::TOPIC_AUTHORIZATION_FAILED,
            CreateTopicError::Exists(_) => code::TOPIC_ALREADY_EXISTS,
            CreateTopicError::Duplicate(_) | CreateTopicError::AssignmentAndNumbers => code::INVALID_REQUEST,
            CreateTopicError::Partitions(_) => code::INVALID_PARTITIONS,
            CreateTopicError::ReplicationFactor(_) => code::INVALID_REPLICATION_FACTOR,
            CreateTopicError::Assignment(e) => e.code(),
            CreateTopicError::Placement(e) => e.code(),
            CreateTopicError::ConfigTwice(_) => code::INVALID_CONFIG,
            CreateTopicError::Limit(e) => e.code(),
        }
    }
}

/// Why one topic was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    #[error("the topic '{0}' does not exist")]
    UnknownName(String),
    #[error("no topic has the id {0}")]
    UnknownId(uuid::Uuid),
    #[error("the topic '{0}' is internal and is not deleted by request")]
    Internal(String),
    #[error("the same topic appears more than once in the request")]
    Duplicate,
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl DeleteTopicError {
    pub fn code(&self) -> i16 {
        match self {
            DeleteTopicError::UnknownName(_) => code::UNKNOWN_TOPIC_OR_PARTITION,
            DeleteTopicError::UnknownId(_) => code::UNKNOWN_TOPIC_ID,
            DeleteTopicError::Internal(_) => code::TOPIC_AUTHORIZATION_FAILED,
            DeleteTopicError::Duplicate => code::INVALID_REQUEST,
            DeleteTopicError::Limit(e) => e.code(),
        }
    }
}

/// Why a topic got no new partitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    #[error("the topic '{0}' does not exist")]
    UnknownTopic(String),
    #[error("the topic '{0}' appears more than once in the request")]
    Duplicate(String),
    #[error("the topic has {current} partitions; {asked} would not be more")]
    NotMore { current: i32, asked: i32 },
    #[error("{0}")]
    Assignment(#[from] AssignmentError),
    #[error("{0}")]
    Placement(#[from] PlacementError),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl CreatePartitionsError {
    pub fn code(&self) -> i16 {
        match self {
            CreatePartitionsError::UnknownTopic(_) => code::UNKNOWN_TOPIC_OR_PARTITION,
            CreatePartitionsError::Duplicate(_) => code::INVALID_REQUEST,
            CreatePartitionsError::NotMore { .. } => code::INVALID_PARTITIONS,
            CreatePartitionsError::Assignment(e) => e.code(),
            CreatePartitionsError::Placement(e) => e.code(),
            CreatePartitionsError::Limit(e) => e.code(),
        }
    }
}

/// Why the configs of one resource stayed as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetConfigsError {
    #[error("the topic '{0}' does not exist")]
    UnknownTopic(String),
    #[error("'{0}' is not the id of a registered broker")]
    UnknownBroker(String),
    #[error("the resource appears more than once in the request")]
    DuplicateResource,
    #[error("the config '{0}' is given twice")]
    DuplicateKey(String),
    #[error("{0} resources of the kind have settings, which is the limit")]
    Resources(u64),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl SetConfigsError {
    pub fn code(&self) -> i16 {
        match self {
            SetConfigsError::Resources(_) => code::POLICY_VIOLATION,
            SetConfigsError::UnknownTopic(_) => code::UNKNOWN_TOPIC_OR_PARTITION,
            SetConfigsError::UnknownBroker(_)
            | SetConfigsError::DuplicateResource
            | SetConfigsError::DuplicateKey(_) => code::INVALID_REQUEST,
            SetConfigsError::Limit(e) => e.code(),
        }
    }
}

/// Why a node did not become the controller of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivateError {
    #[error("the metadata belongs to cluster {found}, not to cluster {asked}")]
    OtherCluster { found: String, asked: String },
    #[error("the metadata has feature level {found}; this program knows levels up to {known}")]
    NewerFeatureLevel { found: u32, known: u32 },
}

impl ActivateError {
    pub fn code(&self) -> i16 {
        match self {
            ActivateError::OtherCluster { .. } => code::INCONSISTENT_CLUSTER_ID,
            ActivateError::NewerFeatureLevel { .. } => code::INVALID_REQUEST,
        }
    }
}

/// Why a broker was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterBrokerError {
    #[error("{0} is not a broker id")]
    Id(i32),
    #[error("{0} is not a port")]
    Port(u32),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl RegisterBrokerError {
    pub fn code(&self) -> i16 {
        match self {
            RegisterBrokerError::Id(_) | RegisterBrokerError::Port(_) => code::INVALID_REQUEST,
            RegisterBrokerError::Limit(e) => e.code(),
        }
    }
}

/// Why a broker was not unregistered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnregisterBrokerError {
    #[error("broker {0} is not registered")]
    Unknown(i32),
    #[error("broker {0} still holds replicas")]
    HoldsReplicas(i32),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl UnregisterBrokerError {
    pub fn code(&self) -> i16 {
        match self {
            UnregisterBrokerError::Unknown(_) => code::BROKER_ID_NOT_REGISTERED,
            UnregisterBrokerError::HoldsReplicas(_) => code::INVALID_REQUEST,
            UnregisterBrokerError::Limit(e) => e.code(),
        }
    }
}

/// Why a broker got no producer ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateProducerIdsError {
    #[error("broker {0} is not registered")]
    UnknownBroker(i32),
    #[error("broker {broker} has epoch {current}, not {asked}")]
    StaleBrokerEpoch { broker: i32, current: i64, asked: i64 },
    #[error("{0} producer ids cannot be given out at once")]
    Count(i32),
    #[error("all producer ids are given out")]
    Exhausted,
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl AllocateProducerIdsError {
    pub fn code(&self) -> i16 {
        match self {
            AllocateProducerIdsError::UnknownBroker(_) => code::BROKER_ID_NOT_REGISTERED,
            AllocateProducerIdsError::StaleBrokerEpoch { .. } => code::STALE_BROKER_EPOCH,
            AllocateProducerIdsError::Count(_) | AllocateProducerIdsError::Exhausted => code::INVALID_REQUEST,
            AllocateProducerIdsError::Limit(e) => e.code(),
        }
    }
}

/// Why a partition's log start offset stayed where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeLogStartError {
    #[error("no topic has the id {0}")]
    UnknownTopic(uuid::Uuid),
    #[error("the topic has no partition {0}")]
    UnknownPartition(i32),
    #[error("{0} is not an offset")]
    Offset(i64),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl ChangeLogStartError {
    pub fn code(&self) -> i16 {
        match self {
            ChangeLogStartError::UnknownTopic(_) => code::UNKNOWN_TOPIC_ID,
            ChangeLogStartError::UnknownPartition(_) => code::UNKNOWN_TOPIC_OR_PARTITION,
            ChangeLogStartError::Offset(_) => code::OFFSET_OUT_OF_RANGE,
            ChangeLogStartError::Limit(e) => e.code(),
        }
    }
}

/// Why a group or its offsets were not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("there are {0} groups, which is the limit")]
    Groups(u64),
    #[error("there are {0} committed offsets, which is the limit")]
    CommittedOffsets(u64),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl GroupError {
    pub fn code(&self) -> i16 {
        match self {
            GroupError::Groups(_) | GroupError::CommittedOffsets(_) => code::POLICY_VIOLATION,
            GroupError::Limit(e) => e.code(),
        }
    }
}

/// Why a client quota was not altered. The texts are those of Kafka's controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterQuotasError {
    #[error("Invalid empty client quota entity")]
    EmptyEntity,
    #[error("Unhandled client quota entity type: {0}")]
    UnknownEntityType(String),
    #[error("Empty {0} not supported")]
    EmptyName(String),
    #[error("Invalid quota entity combination, IP entity should not be combined with User or ClientId")]
    Combination,
    #[error("{0} is not a valid IP or resolvable host.")]
    NotAnAddress(String),
    #[error("Invalid configuration key {0}")]
    UnknownKey(String),
    #[error("Quota {0} must be greater than 0")]
    NotPositive(String),
    #[error("Proposed value for {0} is too large")]
    TooLarge(String),
    #[error("{0} cannot be a fractional value.")]
    Fractional(String),
    #[error("there are quotas for {0} entities, which is the limit")]
    Entities(u64),
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl AlterQuotasError {
    pub fn code(&self) -> i16 {
        match self {
            AlterQuotasError::Entities(_) => code::POLICY_VIOLATION,
            AlterQuotasError::Limit(e) => e.code(),
            _ => code::INVALID_REQUEST,
        }
    }
}

/// Why a feature cannot go to a level. The texts are those of Kafka's controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureRefusal {
    #[error("The controller does not support the given upgrade type.")]
    UnknownUpgradeType,
    #[error("A feature version cannot be less than 0.")]
    Negative,
    #[error("Feature {0} not found.")]
    NotFound(String),
    #[error("Local controller {controller} does not support this feature.")]
    NotSupported { controller: i32 },
    #[error("Local controller {controller} only supports versions {min}-{max}")]
    OutOfRange { controller: i32, min: i16, max: i16 },
    #[error(
        "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
    )]
    DowngradeNotAllowed,
    #[error("Can't downgrade to a newer version.")]
    DowngradeToNewer,
}

/// Why the levels of features stayed as they are, all of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateFeaturesError {
    #[error("Invalid update version {level} for feature {feature}. {refusal}")]
    Refused { feature: String, level: i16, refusal: FeatureRefusal },
    #[error("{0}")]
    Limit(#[from] LimitError),
}

impl UpdateFeaturesError {
    pub fn code(&self) -> i16 {
        match self {
            UpdateFeaturesError::Refused { .. } => code::INVALID_UPDATE_VERSION,
            UpdateFeaturesError::Limit(e) => e.code(),
        }
    }
}
