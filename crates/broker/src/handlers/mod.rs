//! One file per API key. A handler sees the newest request shape and returns the newest response shape; it touches no socket.

pub(crate) mod admin;
pub(crate) mod cluster;
pub(crate) mod data;
pub(crate) mod group;

use chronik_protocol::StrBytes;
use chronik_protocol::messages::TopicName as WireTopicName;

/// Kafka's words for THROTTLING_QUOTA_EXCEEDED.
const QUOTA_EXCEEDED: &str = "The throttling quota has been exceeded.";

/// A string for the wire.
pub(crate) fn text(s: impl Into<String>) -> StrBytes {
    StrBytes::from_string(s.into())
}

/// A topic name for the wire.
pub(crate) fn wire_name(name: &str) -> WireTopicName {
    WireTopicName(StrBytes::from_string(name.to_owned()))
}
