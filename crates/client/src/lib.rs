//! A small Kafka client: single connections, and a cluster seen through them.
//!
//! Used where the project talks to a broker itself: the command line, simulation, tests. Asks in the highest version
//! both sides know, so any broker since Kafka 2.1 will do. Knows nothing of a broker's state.

mod address;
mod admin;
mod assignment;
mod broker;
mod client;
mod configs;
mod connection;
mod error;
mod fetch;
mod groups;
mod member;
mod metadata;
mod offsets;
mod partitioner;
mod produce;
mod quotas;

pub use address::{HostPort, InvalidHostPort};
pub use admin::{NewTopic, TopicResult};
pub use broker::{BrokerConnection, ClientOptions};
pub use client::Client;
pub use configs::{ConfigChange, ConfigEntry, Resource, ResourceType};
pub use connection::{CallError, Connection};
pub use error::{ApiError, ClientError};
pub use fetch::{FetchLimits, Fetched, FetchedRecord, Fetcher, Isolation, Position};
pub use groups::{CommittedOffset, GroupDescription, ListedGroup, MemberDescription, PartitionResult};
pub use member::{GroupMember, GroupOptions};
pub use metadata::{BrokerInfo, Metadata, PartitionInfo, TopicInfo};
pub use offsets::{OffsetSpec, PartitionOffset};
pub use partitioner::partition_for_key;
pub use produce::{Acks, Produced, Producer, ProducerOptions};
pub use quotas::{EntityQuotas, QuotaEntity};
