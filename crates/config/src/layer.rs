//! Where settings come from.

use std::fmt;

/// The source a layer of settings was read from. Later layers win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table.
    Default,
    /// A properties file, by the path the operator gave.
    File(String),
    /// Environment variables.
    Environment,
    /// Flags of the command line.
    Flag,
    /// Set for all brokers while running (resource type broker, empty name).
    ClusterDynamic,
    /// Set for this broker while running.
    BrokerDynamic,
}

/// The place of one entry within its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// The environment variable's name.
    Variable(String),
    /// The flag as it was given, for example `--listen`.
    Argument(String),
    /// Nothing more is known than the origin.
    Unknown,
}

/// One `key=value` as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    pub place: Place,
}

impl Entry {
    pub fn new(key: impl Into<String>, value: impl Into<String>, place: Place) -> Entry {
        Entry { key: key.into(), value: value.into(), place }
    }
}

/// Settings of one origin. Where a key occurs twice the last occurrence counts, as in Java's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub origin: Origin,
    pub entries: Vec<Entry>,
}

impl Layer {
    pub fn new(origin: Origin, entries: Vec<Entry>) -> Layer {
        Layer { origin, entries }
    }
}

/// Where an entry was set, in words: `server.properties, line 12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAt {
    pub origin: Origin,
    pub place: Place,
}

impl fmt::Display for SetAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.place) {
            (Origin::File(path), Place::Line(line)) => write!(f, "{path}, line {line}"),
            (_, Place::Variable(name)) => write!(f, "environment variable {name}"),
            (_, Place::Argument(flag)) => write!(f, "flag {flag}"),
            (Origin::Default, _) => f.write_str("the default"),
            (Origin::File(path), _) => f.write_str(path),
            (Origin::Environment, _) => f.write_str("the environment"),
            (Origin::Flag, _) => f.write_str("the command line"),
            (Origin::ClusterDynamic, _) => f.write_str("the cluster's dynamic configuration"),
            (Origin::BrokerDynamic, _) => f.write_str("the broker's dynamic configuration"),
        }
    }
}
