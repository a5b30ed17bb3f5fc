//! The features whose levels a cluster agrees on (KIP-584, KIP-1022): what there is, and in which range.

use std::ops::RangeInclusive;

/// Level 1: groups of the consumer protocol (KIP-848).
pub const GROUP_VERSION: &str = "group.version";

/// A feature this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    /// The levels this program can work at; at 0 the feature is off.
    pub supported: RangeInclusive<i16>,
    /// The level in force as long as the log says nothing of the feature. It stays what it is, whatever becomes possible later.
    pub unset: i16,
}

/// All of them, by name. Kafka's others stand for things that are not here: `metadata.version` numbers the records of
/// Kafka's own metadata log.
pub const FEATURES: &[Feature] = &[Feature { name: GROUP_VERSION, supported: 0..=1, unset: 1 }];

/// `None` for one this program does not know.
pub fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}
