//! Names for the numbers and strings that travel everywhere.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A position in a partition's log.
pub type Offset = i64;
/// Raised at each change of a partition's leader; -1 = unknown.
pub type LeaderEpoch = i32;
/// A broker's `node.id`.
pub type BrokerId = i32;
/// A partition's index within its topic, from 0.
pub type PartitionId = i32;
/// A topic's random id (KIP-516): a recreated topic has a new one.
pub type TopicId = uuid::Uuid;

/// Kafka's limit on a topic name's length, in bytes.
pub const MAX_TOPIC_NAME: usize = 249;

/// A topic name that Kafka would accept: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`. Safe as a part of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a string is not a topic name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    #[error("the empty string is not allowed")]
    Empty,
    #[error("the length of '{0}' is longer than the max allowed length {MAX_TOPIC_NAME}")]
    TooLong(String),
    #[error("'.' or '..' is not allowed")]
    Dots,
    #[error("'{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")]
    Character(String),
}

impl TopicName {
    pub fn new(name: &str) -> Result<Self, InvalidTopicName> {
        if name.is_empty() {
            Err(InvalidTopicName::Empty)
        } else if name.len() > MAX_TOPIC_NAME {
            Err(InvalidTopicName::TooLong(name.chars().take(300).collect()))
        } else if name == "." || name == ".." {
            Err(InvalidTopicName::Dots)
        } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            Err(InvalidTopicName::Character(name.to_owned()))
        } else {
            Ok(TopicName(name.into()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names that differ only in `.` and `_` collide in Kafka's metric names; a new topic may not do so.
    pub fn collision_key(&self) -> String {
        self.0.replace('.', "_")
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_kafkas() {
        for good in ["a", "A.b_c-9", &"x".repeat(249), "...", "__meta"] {
            assert!(TopicName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "/", "a/b", "a b", "ä", "a\0", &"x".repeat(250), &"x".repeat(300)] {
            assert!(TopicName::new(bad).is_err(), "{bad}");
        }
    }
}
