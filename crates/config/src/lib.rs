//! Settings of a broker and of its topics: one table of Kafka's keys and our own, and what is derived from it.
//!
//! From the table come checking with errors that name key, value, place and what is allowed ([`Settings::parse`]), typed
//! structs ([`BrokerConfig`], [`TopicConfig`]), the answers of DescribeConfigs ([`describe_topic`], [`describe_broker`])
//! and the reference page ([`reference_markdown`]).
//!
//! This crate is pure: it never reads a file, the environment, the command line or a clock, and it keeps no state.
//! Its caller hands it the text of a file, the variables and the flags.

mod broker_config;
mod describe;
mod environment;
mod error;
mod groups_config;
mod key;
mod layer;
mod listener;
mod lists;
mod nearest;
mod properties;
mod reference;
mod resources;
mod settings;
pub mod table;
mod topic_config;
mod value;

pub use broker_config::{BrokerConfig, FlushMode};
pub use describe::{
    ConfigSource, Described, Synonym, describe_broker, describe_client_metrics, describe_group, describe_topic,
};
pub use environment::{Environment, from_env, variable_of};
pub use error::{ConfigError, DynamicConfigError, ListenerError, ResourceConfigError, TopicConfigError, Warning};
pub use groups_config::{ConsumerGroupsConfig, GroupsConfig, MigrationPolicy};
pub use key::{Dynamic, Importance, Key, Kind, Scope, Status, Validator};
pub use layer::{Entry, Layer, Origin, Place, SetAt};
pub use listener::{HostPort, Listener, SecurityProtocol};
pub use lists::{append_to_list, subtract_from_list};
pub use nearest::nearest;
pub use properties::{PropertiesError, parse_properties};
pub use reference::reference_markdown;
pub use resources::{validate_client_metrics, validate_group_overrides};
pub use settings::{Setting, Settings, validate_dynamic};
pub use topic_config::{
    CleanupPolicy, CompressionType, TimestampType, TopicConfig, topic_config_has_effect, validate_topic_config,
    validate_topic_overrides,
};
pub use value::{Password, Rejected, Value, allowed};
