//! What there is: versions, brokers, topics.

pub(crate) mod api_versions;
pub(crate) mod describe_cluster;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod find_coordinator;
pub(crate) mod metadata;
