//! What a row of the settings table holds.

use crate::value::{self, Rejected, Value};

/// A key's type. The numbers are Kafka's, as DescribeConfigs v3+ sends them (KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

impl Kind {
    /// The number on the wire.
    pub fn number(self) -> i8 {
        self as i8
    }

    /// The word used in messages and in the reference page.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        }
    }
}

/// What a value must be beyond its type.
#[derive(Clone, Copy, Debug)]
pub enum Validator {
    /// Anything of the key's type.
    Any,
    /// An integer of at least this.
    AtLeast(i64),
    /// An integer within both ends.
    Between(i64, i64),
    /// An integer within both ends, or this one besides.
    BetweenOr(i64, i64, i64),
    /// A double within both ends.
    Fraction(f64, f64),
    /// One of these words, spelled exactly so.
    OneOf(&'static [&'static str]),
    /// One of these words in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of these words only. Repeats count once.
    ListOf(&'static [&'static str]),
    /// A list without empty elements. Repeats count once.
    Distinct,
    /// A list of at least one of these words. Repeats count once.
    SomeOf(&'static [&'static str]),
    /// Text with at least one character.
    NotEmpty,
    /// `*`, or a list of `partition:broker` pairs.
    ThrottledReplicas,
}

/// Where a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Broker,
    Topic,
    Group,
    ClientMetrics,
}

/// Who may change a broker key while the broker runs (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dynamic {
    /// Only at start.
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker, or for all as their default.
    ClusterWide,
}

impl Dynamic {
    /// Kafka's name for the level.
    pub fn word(self) -> &'static str {
        match self {
            Dynamic::ReadOnly => "read-only",
            Dynamic::PerBroker => "per-broker",
            Dynamic::ClusterWide => "cluster-wide",
        }
    }
}

/// How likely an operator is to need the key, as Kafka ranks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    pub fn word(self) -> &'static str {
        match self {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        }
    }
}

/// Whose key it is, and what becomes of a value that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The broker acts on it.
    Honoured,
    /// The broker acts on it, and Kafka has no such key.
    Own,
    /// Kafka has it; accepted and checked, changes nothing here. Setting it gives a warning.
    Ignored,
    /// Kafka had it once and tools still send it; accepted whatever its value, never described.
    Retired,
    /// Kafka has it for its own tests: accepted and checked, never described.
    Internal,
}

/// One row of the settings table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written in a file; `None` is Kafka's `null`.
    pub default: Option<&'static str>,
    pub validator: Validator,
    pub scope: Scope,
    pub dynamic: Dynamic,
    /// The broker keys a value is taken from, nearest first, where this key itself is not set.
    pub synonyms: &'static [&'static str],
    pub importance: Importance,
    pub status: Status,
    /// One or two sentences, in plain text.
    pub doc: &'static str,
}

impl Key {
    /// Whether setting it changes what the broker does.
    pub fn honoured(&self) -> bool {
        matches!(self.status, Status::Honoured | Status::Own)
    }

    /// Whether DescribeConfigs and the reference page show it.
    pub fn public(&self) -> bool {
        !matches!(self.status, Status::Retired | Status::Internal)
    }

    /// A sensitive value is never shown; Kafka hides passwords only.
    pub fn sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Reads `text` as a value of this key.
    ///
    /// # Errors
    /// Says what would have been allowed.
    pub fn parse(&self, text: &str) -> Result<Value, Rejected> {
        if self.status == Status::Retired {
            return Ok(Value::Text(text.to_owned()));
        }
        value::parse(self, text)
    }

    /// The default as a value.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| self.parse(text).expect("every default in the table passes its own validator (tested)"))
    }

    pub(crate) const fn is(self, status: Status) -> Key {
        Key { status, ..self }
    }

    pub(crate) const fn ranked(self, importance: Importance) -> Key {
        Key { importance, ..self }
    }

    pub(crate) const fn falls_back_to(self, synonyms: &'static [&'static str]) -> Key {
        Key { synonyms, ..self }
    }
}
