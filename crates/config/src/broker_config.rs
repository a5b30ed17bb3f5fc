//! The broker's own settings, typed.

use std::path::PathBuf;

use crate::error::ConfigError;
use crate::groups_config::GroupsConfig;
use crate::initial_topics::InitialTopic;
use crate::listener::{self, HostPort, Listener};
use crate::settings::Settings;

/// When an acknowledged batch is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// Written and synced before it is acknowledged.
    Sync,
    /// Written to the page cache before it is acknowledged, as Kafka does; a crash of the machine can lose it.
    Async,
}

impl FlushMode {
    pub(crate) fn parse(text: &str) -> FlushMode {
        if text == "async" { FlushMode::Async } else { FlushMode::Sync }
    }
}

/// What a broker needs to know at start. One field per honoured key; the unit is the end of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `node.id`, or `broker.id` where only that is set; at least 0.
    pub node_id: i32,
    /// `broker.rack`
    pub rack: Option<String>,
    /// `listeners` with `advertised.listeners`; at least one that is not a controller's.
    pub listeners: Vec<Listener>,
    /// `http.listener`; `None` when it is set to nothing.
    pub http_listener: Option<HostPort>,
    /// `allow.insecure.listeners`
    pub insecure: bool,
    /// `log.dirs`, or `log.dir` where that is not set. Relative to the working directory.
    pub data_dir: PathBuf,
    /// `log.dirs.min.free.bytes`; 0 = no mark.
    pub min_free_bytes: u64,
    /// Windows over which client quotas are taken: how many, and how long in seconds.
    pub quota_windows: (usize, i64),
    /// The same for the quota on changes of topics.
    pub controller_quota_windows: (usize, i64),
    /// Partitions, and committed offsets, that have metrics of their own.
    pub max_metric_partitions: usize,
    /// `log.max.open.files`
    pub max_open_files: usize,
    /// `flush.mode`, the default of topics.
    pub flush_mode: FlushMode,
    /// `socket.send.buffer.bytes`; `None` = the system's default (-1).
    pub socket_send_buffer_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`; `None` = the system's default (-1).
    pub socket_receive_buffer_bytes: Option<u32>,
    /// `socket.listen.backlog.size`
    pub socket_listen_backlog: u32,
    /// `socket.request.max.bytes`
    pub socket_request_max_bytes: u32,
    /// `max.connections`
    pub max_connections: usize,
    /// `max.connections.per.ip`
    pub max_connections_per_ip: usize,
    /// `connections.max.idle.ms`; `None` = never closed (-1).
    pub connections_max_idle_ms: Option<u64>,
    /// `queued.max.request.bytes`: bytes of requests being read or handled, over all connections; `None` = no limit (-1).
    pub queued_max_request_bytes: Option<u64>,
    /// `max.in.flight.requests.per.connection`
    pub max_in_flight_requests: usize,
    /// `batch.max.decompressed.bytes`
    pub batch_max_decompressed_bytes: u64,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: u32,
    /// `max.incremental.fetch.session.cache.slots`
    pub max_fetch_sessions: usize,
    /// `max.request.partition.size.limit`: partitions in one DescribeTopicPartitions answer.
    pub max_request_partition_size_limit: usize,
    /// `auto.create.topics.enable`
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `num.partitions`
    pub num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub log_flush_offset_checkpoint_interval_ms: u64,
    /// `log.retention.check.interval.ms`
    pub log_retention_check_interval_ms: u64,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    pub groups: GroupsConfig,
    /// Topics to make at start where they are missing (`KAFKA_CREATE_TOPICS`).
    pub initial_topics: Vec<InitialTopic>,
    /// The cluster id that a new data directory gets, and another must have (`CLUSTER_ID`); `None` = a random one.
    pub cluster_id: Option<String>,
}

impl BrokerConfig {
    /// Types the settings and checks them against each other. What is no setting is left out: topics to make, the cluster id.
    ///
    /// # Errors
    /// Listeners that are malformed, clash, are exposed without `allow.insecure.listeners`, or ask for a protocol that is
    /// not offered; `node.id` against `broker.id`; not exactly one data directory.
    pub fn resolve(settings: &Settings) -> Result<BrokerConfig, ConfigError> {
        let listeners = listener::resolve(settings)?;
        let http_listener = http_listener(settings)?;
        let insecure = settings.bool("allow.insecure.listeners");
        if !insecure {
            refuse_exposed(settings, &listeners, http_listener.as_ref())?;
        }
        Ok(BrokerConfig {
            node_id: node_id(settings)?,
            rack: settings.text("broker.rack").filter(|rack| !rack.is_empty()),
            listeners,
            http_listener,
            insecure,
            data_dir: data_dir(settings)?,
            min_free_bytes: count(settings, "log.dirs.min.free.bytes"),
            quota_windows: windows(settings, "quota.window.num", "quota.window.size.seconds"),
            controller_quota_windows: windows(
                settings,
                "controller.quota.window.num",
                "controller.quota.window.size.seconds",
            ),
            max_metric_partitions: size(settings, "metrics.max.partitions"),
            max_open_files: size(settings, "log.max.open.files"),
            flush_mode: FlushMode::parse(&settings.text("flush.mode").unwrap_or_default()),
            socket_send_buffer_bytes: limit(settings, "socket.send.buffer.bytes"),
            socket_receive_buffer_bytes: limit(settings, "socket.receive.buffer.bytes"),
            socket_listen_backlog: small(settings, "socket.listen.backlog.size"),
            socket_request_max_bytes: small(settings, "socket.request.max.bytes"),
            max_connections: size(settings, "max.connections"),
            max_connections_per_ip: size(settings, "max.connections.per.ip"),
            connections_max_idle_ms: limit(settings, "connections.max.idle.ms"),
            queued_max_request_bytes: limit(settings, "queued.max.request.bytes"),
            max_in_flight_requests: size(settings, "max.in.flight.requests.per.connection"),
            batch_max_decompressed_bytes: count(settings, "batch.max.decompressed.bytes"),
            fetch_max_bytes: small(settings, "fetch.max.bytes"),
            max_fetch_sessions: size(settings, "max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: size(settings, "max.request.partition.size.limit"),
            auto_create_topics_enable: settings.bool("auto.create.topics.enable"),
            delete_topic_enable: settings.bool("delete.topic.enable"),
            num_partitions: settings.int("num.partitions"),
            default_replication_factor: narrow(settings, "default.replication.factor"),
            log_flush_offset_checkpoint_interval_ms: count(settings, "log.flush.offset.checkpoint.interval.ms"),
            log_retention_check_interval_ms: count(settings, "log.retention.check.interval.ms"),
            producer_id_expiration_ms: settings.long("producer.id.expiration.ms"),
            groups: GroupsConfig::resolve(settings)?,
            initial_topics: Vec::new(),
            cluster_id: None,
        })
    }
}

/// Below 0 means "none" for a limit.
fn limit<T: TryFrom<i64>>(settings: &Settings, key: &'static str) -> Option<T> {
    let value = settings.long(key);
    if value < 0 { None } else { T::try_from(value).ok() }
}

pub(crate) fn count(settings: &Settings, key: &'static str) -> u64 {
    u64::try_from(settings.long(key)).expect("the row's validator excludes negative values (tested)")
}

fn windows(settings: &Settings, count: &'static str, seconds: &'static str) -> (usize, i64) {
    (size(settings, count), i64::from(settings.int(seconds)))
}

pub(crate) fn size(settings: &Settings, key: &'static str) -> usize {
    usize::try_from(settings.int(key)).expect("the row's validator excludes negative values (tested)")
}

fn small(settings: &Settings, key: &'static str) -> u32 {
    u32::try_from(settings.int(key)).expect("the row's validator excludes negative values (tested)")
}

fn narrow(settings: &Settings, key: &'static str) -> i16 {
    i16::try_from(settings.int(key)).expect("the row's validator ends at the largest short (tested)")
}

fn refuse_exposed(settings: &Settings, listeners: &[Listener], http: Option<&HostPort>) -> Result<(), ConfigError> {
    for listener in listeners {
        listener::refuse_exposed("listeners", &listener.address, || settings.set_at("listeners"))?;
    }
    if let Some(address) = http {
        listener::refuse_exposed("http.listener", address, || settings.set_at("http.listener"))?;
    }
    Ok(())
}

fn http_listener(settings: &Settings) -> Result<Option<HostPort>, ConfigError> {
    let text = settings.text("http.listener").unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let malformed = || invalid(settings, "http.listener", "host:port, or nothing to serve no HTTP");
    HostPort::parse(&text).map(Some).ok_or_else(malformed)
}

fn node_id(settings: &Settings) -> Result<i32, ConfigError> {
    let (node, broker) = (settings.setting("node.id"), settings.setting("broker.id"));
    let broker_id = settings.int("broker.id");
    match (node, broker) {
        (Some(node), Some(broker)) if broker_id >= 0 && node.value != broker.value => Err(ConfigError::Contradiction {
            key: "node.id".to_owned(),
            value: node.text.clone(),
            at: node.at.clone().into(),
            other: "broker.id".to_owned(),
            other_value: broker.text.clone(),
            other_at: broker.at.clone().into(),
        }),
        (None, Some(_)) if broker_id >= 0 => Ok(broker_id),
        _ => Ok(settings.int("node.id")),
    }
}

fn data_dir(settings: &Settings) -> Result<PathBuf, ConfigError> {
    let (key, dirs) = match settings.list("log.dirs") {
        Some(dirs) => ("log.dirs", dirs),
        None => ("log.dir", settings.list("log.dir").unwrap_or_default()),
    };
    match dirs.as_slice() {
        [dir] => Ok(PathBuf::from(dir)),
        _ => Err(invalid(settings, key, "exactly one directory")),
    }
}

fn invalid(settings: &Settings, key: &'static str, expected: &str) -> ConfigError {
    let value = settings.value(key).map(|value| value.to_string()).unwrap_or_default();
    ConfigError::InvalidValue {
        key: key.to_owned(),
        value,
        at: settings.set_at(key).into(),
        expected: expected.to_owned(),
    }
}
