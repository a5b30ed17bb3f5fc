//! Why a configuration is refused, and what is said about one that is accepted.

use std::fmt;

use crate::layer::SetAt;

/// Why the broker's configuration was refused. The server exits with 78.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("unknown key '{key}' ({at}){}", did_you_mean(nearest))]
    UnknownKey { key: String, at: Box<SetAt>, nearest: Option<&'static str> },
    #[error("'{key}' is a topic's key ({at}); {}", broker_advice(broker_key))]
    TopicKey { key: String, at: Box<SetAt>, broker_key: Option<&'static str> },
    #[error("{key}: '{value}' is not allowed ({at}); expected {expected}")]
    InvalidValue { key: String, value: String, at: Box<SetAt>, expected: String },
    #[error("{key} and {other} contradict each other: '{value}' ({at}) and '{other_value}' ({other_at})")]
    Contradiction {
        key: String,
        value: String,
        at: Box<SetAt>,
        other: String,
        other_value: String,
        other_at: Box<SetAt>,
    },
    #[error(transparent)]
    Listener(#[from] ListenerError),
}

/// Why the listeners were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    #[error(
        "{key}: '{value}' is not a listener ({at}); expected NAME://host:port, \
         for example PLAINTEXT://127.0.0.1:9092"
    )]
    Malformed { key: &'static str, value: String, at: Box<SetAt> },
    #[error("{key}: the name {name} occurs twice ({at}); each listener needs its own name")]
    NameTwice { key: &'static str, name: String, at: Box<SetAt> },
    #[error("{key}: port {port} is used twice ({at}); each listener needs its own port")]
    PortTwice { key: &'static str, port: u16, at: Box<SetAt> },
    #[error("listeners is empty ({at}); at least one is needed that is not a controller's")]
    None { at: Box<SetAt> },
    #[error(
        "listener {name} has no security protocol ({at}); \
         add '{name}:PLAINTEXT' or another protocol to listener.security.protocol.map"
    )]
    NoProtocol { name: String, at: Box<SetAt> },
    #[error(
        "listener.security.protocol.map: '{value}' is not allowed ({at}); \
         expected NAME:PROTOCOL pairs, the protocol one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
    )]
    MalformedMap { value: String, at: Box<SetAt> },
    #[error("listener {name} asks for {protocol} ({at}), which this broker does not offer yet; use PLAINTEXT")]
    UnsupportedProtocol { name: String, protocol: &'static str, at: Box<SetAt> },
    #[error("advertised.listeners names {name} ({at}), which is not among the listeners")]
    AdvertisedUnknown { name: String, at: Box<SetAt> },
    #[error(
        "advertised.listeners: {address} is not an address that a client could connect to ({at}); \
         name the host and port under which clients reach this broker"
    )]
    AdvertisedUnroutable { address: String, at: Box<SetAt> },
    #[error(
        "{key} would serve {address} without authentication to the network ({at}); \
         use a loopback address, or accept it with --insecure (allow.insecure.listeners=true)"
    )]
    Exposed { key: &'static str, address: String, at: Box<SetAt> },
}

/// Why a topic's setting was refused: Kafka's INVALID_CONFIG (40).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    #[error("Unknown topic config name: {key}{}", did_you_mean(nearest))]
    UnknownKey { key: String, nearest: Option<&'static str> },
    #[error("Invalid value '{value}' for configuration {key}: expected {expected}")]
    InvalidValue { key: String, value: String, expected: String },
    #[error("Invalid value '{value}' for configuration {key}: it may not exceed {limit_key}, which is {limit}")]
    Exceeds { key: &'static str, value: i64, limit_key: &'static str, limit: i64 },
    #[error("Invalid value 'true' for configuration remote.storage.enable: this broker has no tiered storage")]
    NoTieredStorage,
}

/// Why a setting of a group, or of a subscription to clients' metrics, is not allowed. The texts are those of Kafka's controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceConfigError {
    #[error("Unknown group config name: {0}")]
    UnknownGroupKey(String),
    #[error("Unknown client metrics configuration: {0}")]
    UnknownClientMetricsKey(String),
    #[error("Invalid value {value} for configuration {key}: expected {expected}")]
    InvalidValue { key: &'static str, value: String, expected: String },
    #[error("{key} must be greater than or equal to {than}")]
    Less { key: &'static str, than: &'static str },
    #[error("{key} must be less than or equal to {than}")]
    More { key: &'static str, than: &'static str },
    #[error("{key} must be greater than {than}")]
    NotMore { key: &'static str, than: &'static str },
    #[error("Invalid value {0} for interval.ms, interval must be between 100 and 3600000 (1 hour)")]
    Interval(i32),
    #[error("Illegal client matching pattern: {0}")]
    Pattern(String),
}

impl ResourceConfigError {
    /// Whether it is Kafka's INVALID_REQUEST; else it is INVALID_CONFIG.
    pub fn is_invalid_request(&self) -> bool {
        matches!(self, ResourceConfigError::UnknownClientMetricsKey(_) | ResourceConfigError::Interval(_))
    }
}

/// Why a broker's setting may not be changed while it runs: Kafka's INVALID_CONFIG (40) or INVALID_REQUEST (42).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DynamicConfigError {
    #[error("Unknown broker config name: {key}{}", did_you_mean(nearest))]
    UnknownKey { key: String, nearest: Option<&'static str> },
    #[error("Invalid value '{value}' for configuration {key}: expected {expected}")]
    InvalidValue { key: String, value: String, expected: String },
    #[error("{key} can only be set at start, in the configuration file, the environment or a flag")]
    ReadOnly { key: String },
    #[error("{key} can only be set for one broker at a time, not as the default of all")]
    PerBrokerOnly { key: String },
}

/// Something the operator should know about a configuration that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Kafka has the key; nothing here acts on it.
    NotHonoured { key: String, at: Box<SetAt> },
    /// Kafka had the key once; nothing acts on it.
    Retired { key: String, at: Box<SetAt> },
    /// A `KAFKA_` variable that names no key and resembles none. Programs other than brokers use the prefix too.
    UnknownVariable { name: String, key: String },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NotHonoured { key, at } => write!(f, "{key} is accepted but has no effect here ({at})"),
            Warning::Retired { key, at } => write!(f, "{key} was removed from Kafka and has no effect ({at})"),
            Warning::UnknownVariable { name, key } => write!(f, "variable {name} ignored: there is no key '{key}'"),
        }
    }
}

impl Warning {
    /// The key concerned.
    pub fn key(&self) -> &str {
        match self {
            Warning::NotHonoured { key, .. } | Warning::Retired { key, .. } | Warning::UnknownVariable { key, .. } => {
                key
            }
        }
    }
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(", did you mean '{name}'?")).unwrap_or_default()
}

fn broker_advice(broker_key: &Option<&'static str>) -> String {
    match broker_key {
        Some(name) => format!("the broker's default for all topics is '{name}'"),
        None => "it can only be set on a topic".to_owned(),
    }
}
