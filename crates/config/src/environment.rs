//! Environment variables to keys, by the rule of Apache Kafka's container image.

use crate::layer::{Entry, Layer, Origin, Place};

/// Prefixes of rising precedence: the Kafka image's, the one common before it, and our own.
const PREFIXES: [&str; 3] = ["KAFKA_", "KAFKA_CFG_", "CHRONIK_"];

/// Variables with a Kafka prefix that speak to launch scripts and images, never to the broker.
const LAUNCHER: [&str; 29] = [
    "KAFKA_BASE_DIR",
    "KAFKA_CLASSPATH",
    "KAFKA_CONF_DIR",
    "KAFKA_CONF_FILE",
    "KAFKA_DATA_DIR",
    "KAFKA_DEBUG",
    "KAFKA_DEBUG_SUSPEND_FLAG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_GROUP",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JDK_VERSION",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_MODE",
    "KAFKA_MOUNTED_CONF_DIR",
    "KAFKA_OPTS",
    "KAFKA_SCALA_VERSION",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_URL",
    "KAFKA_USER",
    "KAFKA_VERSION",
    "KAFKA_VOLUME_DIR",
    "KAFKA_GPG_KEYS",
    "KAFKA_DOWNLOAD_URL",
    "KAFKA_DAEMON_GROUP",
    "KAFKA_DAEMON_USER",
];

/// What the environment says to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The keys that were set, ordered by precedence and then by variable.
    pub layer: Layer,
    /// `KAFKA_CREATE_TOPICS` (or `CHRONIK_CREATE_TOPICS`): topics to create at start, `name:partitions:replicas[:policy]`
    /// separated by commas. Given as it is.
    pub create_topics: Option<String>,
    /// `CLUSTER_ID`, `KAFKA_CLUSTER_ID` or `KAFKA_KRAFT_CLUSTER_ID`: the cluster id for a new data directory.
    pub cluster_id: Option<String>,
}

/// Reads variables named `KAFKA_*`, `KAFKA_CFG_*` and `CHRONIK_*`; of several that name one key the later prefix wins.
/// After the prefix `_` stands for `.`, `__` for `_` and `___` for `-`. The order of `variables` does not matter.
/// Left out: variables of Kafka's launch scripts, and those that Kubernetes adds for a service called kafka or chronik.
pub fn from_env(variables: impl Iterator<Item = (String, String)>) -> Environment {
    let mut found: Vec<(usize, Entry)> = Vec::new();
    let (mut create_topics, mut cluster_id) = (Ranked::default(), Ranked::default());
    for (name, value) in variables {
        match name.as_str() {
            "CHRONIK_CREATE_TOPICS" => create_topics.offer(1, value),
            "KAFKA_CREATE_TOPICS" => create_topics.offer(0, value),
            "CLUSTER_ID" => cluster_id.offer(2, value),
            "KAFKA_CLUSTER_ID" => cluster_id.offer(1, value),
            "KAFKA_KRAFT_CLUSTER_ID" => cluster_id.offer(0, value),
            _ => found.extend(entry(name, value)),
        }
    }
    found.sort_by(|(rank, entry), (other_rank, other)| (rank, variable(entry)).cmp(&(other_rank, variable(other))));
    let entries = found.into_iter().map(|(_, entry)| entry).collect();
    let layer = Layer::new(Origin::Environment, entries);
    Environment { layer, create_topics: create_topics.value(), cluster_id: cluster_id.value() }
}

/// The best of several values that are offered in any order.
#[derive(Default)]
struct Ranked(Option<(u8, String)>);

impl Ranked {
    fn offer(&mut self, rank: u8, value: String) {
        if !value.trim().is_empty() && self.0.as_ref().is_none_or(|(best, _)| rank > *best) {
            self.0 = Some((rank, value));
        }
    }

    fn value(self) -> Option<String> {
        self.0.map(|(_, value)| value)
    }
}

fn variable(entry: &Entry) -> &str {
    match &entry.place {
        Place::Variable(name) => name,
        _ => "",
    }
}

fn entry(name: String, value: String) -> Option<(usize, Entry)> {
    let (rank, rest) = PREFIXES.iter().enumerate().rev().find_map(|(rank, p)| Some((rank, name.strip_prefix(p)?)))?;
    if rest.is_empty() || speaks_to_launcher(&name) || of_kubernetes(rest, &value) {
        return None;
    }
    Some((rank, Entry::new(key_of(rest), value, Place::Variable(name))))
}

fn speaks_to_launcher(name: &str) -> bool {
    LAUNCHER.contains(&name) || name.starts_with("KAFKA_LOG4J_") || name == "CHRONIK_LOG"
}

/// Kubernetes gives each pod `<SERVICE>_SERVICE_HOST`, `<SERVICE>_SERVICE_PORT[_<NAME>]`, `<SERVICE>_PORT` and
/// `<SERVICE>_PORT_<n>_TCP[_ADDR|_PORT|_PROTO]` for every service.
fn of_kubernetes(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    let link = value.starts_with("tcp://") || value.starts_with("udp://");
    let numbered = rest.split_once("_PORT_").is_some_and(|(_, after)| after.starts_with(|c: char| c.is_ascii_digit()));
    rest.ends_with("_SERVICE_HOST") || rest.contains("_SERVICE_PORT") || numbered || (rest.ends_with("_PORT") && link)
}

/// `LOG_RETENTION_MS` to `log.retention.ms`: of a run of underscores each three are a hyphen, then two an underscore,
/// then one a dot.
fn key_of(rest: &str) -> String {
    rest.to_ascii_lowercase().replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_")
}

/// The variable of the Kafka image that sets `key`: `log.retention.ms` to `KAFKA_LOG_RETENTION_MS`.
pub fn variable_of(key: &str) -> String {
    let rest = key.replace('_', "__").replace('-', "___").replace('.', "_");
    format!("KAFKA_{}", rest.to_ascii_uppercase())
}
