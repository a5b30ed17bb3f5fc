//! Changes to topics, and their settings.

pub(crate) mod alter_configs;
mod broker_loggers;
pub(crate) mod client_quotas;
mod config_changes;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_topics;
pub(crate) mod describe_configs;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod elect_leaders;
pub(crate) mod incremental_alter_configs;
pub(crate) mod list_config_resources;
pub(crate) mod partition_reassignments;
mod resource_type;
pub(crate) mod unregister_broker;
pub(crate) mod update_features;
