//! The broker: one value that owns everything a request may need, and the order in which it starts and stops.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use chronik_config::{BrokerConfig, ConfigError, HostPort, Settings};
use chronik_env::Env;
use chronik_env::block::BlockPool;
use chronik_env::task::blocking;
use chronik_metadata::Image;
use chronik_metadata::image::Configs;
use chronik_metadata::record::Endpoint;
use chronik_metadata::request::{Limits, RegisterBroker, TopicDefaults};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::Offset;
use chronik_quorum::{ControllerHandle, ControllerOptions, LocalOptions, StartOptions, SubmitError};
use chronik_storage::checkpoint::CheckpointError;
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use crate::checkpoints::Checkpoints;
use crate::connection::Origin;
use crate::data_dir::{DataDir, DataDirError, Identity};
use crate::fetch_session::FetchSessions;
use crate::groups::Groups;
use crate::initial_topics;
use crate::listener::{self, Connections};
use crate::live_settings::LiveSettings;
use crate::loggers::Loggers;
use crate::maintenance;
use crate::metrics::Metrics;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::quotas::ClientQuotas;
use crate::recovery;
use crate::request_memory::RequestMemory;
use crate::topics::META;

/// Why a broker did not start. Each text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("metadata: {0}")]
    Metadata(#[from] chronik_quorum::StartError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot list the data directory: {0}")]
    Recovery(std::io::Error),
    /// The address is in use, not ours, or cannot be resolved.
    #[error("cannot listen on {address}: {source}")]
    Bind { key: &'static str, address: String, source: std::io::Error },
    #[error("cannot register with the controller: {0}")]
    Register(String),
    #[error("cannot create the topic '{name}' of KAFKA_CREATE_TOPICS: {reason}")]
    InitialTopic { name: String, reason: String },
}

/// A node as it is told to clients.
pub(crate) struct NodeEndpoint {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) rack: Option<String>,
}

/// Tells tasks that the broker stops.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) async fn wait(&mut self) {
        // An error means that the broker is gone, which is a stop as well.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

pub struct Broker {
    env: Env,
    loggers: Arc<dyn Loggers>,
    settings: Arc<LiveSettings>,
    /// Held while configs are read, changed and written back.
    changing_configs: Arc<tokio::sync::Mutex<()>>,
    dir: Arc<DataDir>,
    controller: ControllerHandle,
    partitions: Arc<Partitions>,
    fetch_sessions: FetchSessions,
    groups: Arc<Groups>,
    producer_ids: ProducerIds,
    metrics: Metrics,
    quotas: ClientQuotas,
    connections: Connections,
    broker_epoch: i64,
    ready: AtomicBool,
    stop: watch::Sender<bool>,
    next_connection: AtomicU64,
    request_memory: RequestMemory,
    /// Bytes of responses that clients have not read yet.
    unread_bytes: AtomicUsize,
    /// The addresses bound, in the order of the configured listeners.
    bound: ArcSwap<Vec<SocketAddr>>,
}

impl Broker {
    /// Starts a broker and returns once it serves. Listening sockets are taken first, so that a taken port changes nothing on disk.
    pub async fn start(
        env: Env,
        loggers: Arc<dyn Loggers>,
        settings: Settings,
        config: BrokerConfig,
    ) -> Result<Arc<Broker>, StartError> {
        let pool = BlockPool::default();
        let listeners = listener::bind_all(&env, &config).await?;
        let http = listener::bind_http(&env, &config).await?;
        let dir = Arc::new(DataDir::open(
            env.clone(),
            &config.data_dir,
            config.node_id,
            config.cluster_id.as_deref(),
            config.min_free_bytes,
        )?);
        let checkpoints = Arc::new(Checkpoints::open(dir.clone())?);
        let metadata = metadata_options(&config, &dir, checkpoints.get(META, 0).recovery_point);
        let controller = chronik_quorum::start(&env, config.data_dir.clone(), metadata).await?;
        let bound: Vec<SocketAddr> = listeners.iter().map(|l| l.address).collect();
        let broker_epoch = register(&env, &controller, &config, &bound).await?;
        // Settings alone are read again as they change.
        let initial_topics = config.initial_topics.clone();
        let settings = Arc::new(LiveSettings::new(settings, config));
        settings.refresh(&controller.image());
        let config = settings.config();
        let partitions =
            Partitions::new(env.clone(), dir.clone(), checkpoints, settings.clone(), controller.clone(), pool);
        let broker = Arc::new(Broker {
            fetch_sessions: FetchSessions::new(config.max_fetch_sessions, env.random.clone()),
            groups: Arc::new(Groups::new(env.clone(), controller.clone(), settings.clone())),
            producer_ids: ProducerIds::default(),
            metrics: Metrics::default(),
            quotas: ClientQuotas::new(&config),
            connections: Connections::default(),
            partitions: Arc::new(partitions),
            ready: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            next_connection: AtomicU64::new(1),
            request_memory: RequestMemory::new(config.queued_max_request_bytes),
            unread_bytes: AtomicUsize::new(0),
            bound: ArcSwap::from_pointee(bound),
            broker_epoch,
            changing_configs: Arc::default(),
            env,
            loggers,
            settings,
            dir,
            controller,
        });
        if let Some(http) = http {
            crate::http::serve(&broker, http);
        }
        recovery::recover(&broker).await?;
        initial_topics::create(&broker, &initial_topics).await?;
        broker.groups.start(broker.stopping());
        for listener in listeners {
            listener::accept(&broker, listener);
        }
        maintenance::spawn(&broker);
        broker.ready.store(true, Ordering::Release);
        Ok(broker)
    }

    /// Stops serving, makes everything durable, and leaves the marker of a clean stop.
    pub async fn shutdown(self: &Arc<Self>) {
        self.ready.store(false, Ordering::Release);
        self.stop.send_replace(true);
        self.partitions.set_stopping();
        let partitions = self.partitions.clone();
        let clean = blocking(&*self.env.tasks, move || partitions.close()).await.unwrap_or(false);
        self.controller.shutdown().await;
        if clean && !self.controller.log().has_failed() {
            if let Err(e) = self.dir.mark_clean() {
                error!("cannot mark the stop as clean; the next start will recover: {e}");
            }
        } else {
            error!("the stop was not clean; the next start will recover");
        }
        info!("stopped");
    }

    /// The addresses bound, in the order of the configured listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.load().to_vec()
    }

    pub fn identity(&self) -> &Identity {
        self.dir.identity()
    }

    /// Whether recovery is over and requests are served.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether a write to the data directory failed.
    pub fn has_failed(&self) -> bool {
        self.dir.has_failed()
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Starts work that goes on to its end even when whoever waits for it goes away: a request's future ends with its
    /// connection. The future is the work's result, `None` when the broker's threads are gone.
    pub(crate) fn carry_through<T, W>(&self, work: W) -> impl Future<Output = Option<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        self.env.tasks.spawn_control(Box::pin(async move {
            // Nobody waits when the caller was dropped.
            let _ = done.send(work.await);
        }));
        async move { result.await.ok() }
    }

    pub(crate) fn loggers(&self) -> &dyn Loggers {
        &*self.loggers
    }

    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.settings.config()
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.settings()
    }

    pub(crate) fn changing_configs(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.changing_configs
    }

    /// Takes over the configs that the metadata holds now: this broker's own, and those of topics that are open.
    pub(crate) fn apply_configs(&self) {
        let image = self.image();
        self.settings.refresh(&image);
        self.partitions.apply_configs(&image);
    }

    /// How many partitions a topic may have at most.
    pub(crate) fn max_partitions_per_topic(&self) -> usize {
        limits().max_partitions_per_topic as usize
    }

    /// Checks what would become of the settings if all brokers, or one of them, had these configs.
    pub(crate) fn check_configs(&self, broker_id: Option<i32>, configs: &Configs) -> Result<(), ConfigError> {
        let image = self.image();
        match broker_id {
            None => self.settings.check(configs, image.broker_configs(Some(self.node_id()))),
            Some(id) if id == self.node_id() => self.settings.check(image.broker_configs(None), configs),
            // Its settings are not known here.
            Some(_) => Ok(()),
        }
    }

    /// The settings of this broker without those that only it has.
    pub(crate) fn settings_of_all(&self) -> Settings {
        self.settings.of_all_brokers(&self.image())
    }

    pub(crate) fn dir(&self) -> &Arc<DataDir> {
        &self.dir
    }

    pub(crate) fn controller(&self) -> &ControllerHandle {
        &self.controller
    }

    /// The committed metadata. Neither locks nor waits.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.controller.image()
    }

    pub(crate) fn partitions(&self) -> &Arc<Partitions> {
        &self.partitions
    }

    pub(crate) fn fetch_sessions(&self) -> &FetchSessions {
        &self.fetch_sessions
    }

    pub(crate) fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    pub(crate) fn producer_ids(&self) -> &ProducerIds {
        &self.producer_ids
    }

    pub(crate) fn quotas(&self) -> &ClientQuotas {
        &self.quotas
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(crate) fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    pub(crate) fn node_id(&self) -> i32 {
        self.config().node_id
    }

    pub(crate) fn cluster_id(&self) -> &str {
        &self.dir.identity().cluster_id
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.env.clock.wall_ms()
    }

    pub(crate) fn monotonic_ms(&self) -> u64 {
        self.env.clock.monotonic_ms()
    }

    pub(crate) fn request_memory(&self) -> &RequestMemory {
        &self.request_memory
    }

    /// Responses of this many bytes wait to be read by their clients.
    pub(crate) fn unread_bytes(&self) -> &AtomicUsize {
        &self.unread_bytes
    }

    /// Bytes of records that one more fetch may be answered with: little once many clients do not read their answers.
    pub(crate) fn response_room(&self) -> usize {
        const ALL: usize = 16 * 1024 * 1024;
        const ALWAYS: usize = 256 * 1024;
        ALL.saturating_sub(self.unread_bytes.load(Ordering::Relaxed)).max(ALWAYS)
    }

    pub(crate) fn stopping(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    pub(crate) fn next_connection_id(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn max_request_bytes(&self) -> usize {
        self.config().socket_request_max_bytes as usize
    }

    pub(crate) fn connections_max_idle(&self) -> Duration {
        // Kafka's -1 is "never"; a century is as good and fits every timer.
        const NEVER_MS: u64 = 100 * 365 * 24 * 3600 * 1000;
        Duration::from_millis(self.config().connections_max_idle_ms.unwrap_or(NEVER_MS).min(NEVER_MS))
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.config().max_in_flight_requests
    }

    pub(crate) fn fetch_max_bytes(&self) -> i32 {
        i32::try_from(self.config().fetch_max_bytes).unwrap_or(i32::MAX)
    }

    pub(crate) fn auto_creates_topics(&self) -> bool {
        self.config().auto_create_topics_enable
    }

    pub(crate) fn deletes_topics(&self) -> bool {
        self.config().delete_topic_enable
    }

    /// What -1 stands for when a topic is created.
    pub(crate) fn topic_defaults(&self) -> TopicDefaults {
        TopicDefaults {
            num_partitions: self.config().num_partitions,
            replication_factor: self.config().default_replication_factor,
        }
    }

    /// The brokers as this client should reach them: by the advertised address, else by the bound one, and where a wildcard is bound by
    /// the address the client itself has reached.
    pub(crate) fn endpoints(&self, image: &Image, origin: &Origin) -> Vec<NodeEndpoint> {
        let listener = &self.config().listeners[origin.listener];
        let own = match &listener.advertised {
            Some(advertised) => advertised.clone(),
            None if listener.address.is_unspecified() => {
                HostPort { host: plain_ip(origin.local.ip()), port: origin.local.port() }
            }
            None => HostPort { host: listener.address.host.clone(), port: origin.local.port() },
        };
        let nodes = image.brokers().filter(|b| !b.fenced).filter_map(|b| {
            if b.id == self.config().node_id {
                return Some(NodeEndpoint { id: b.id, host: own.host.clone(), port: own.port, rack: b.rack.clone() });
            }
            let endpoint = b.endpoints.iter().find(|e| e.listener == listener.name)?;
            let port = u16::try_from(endpoint.port).ok()?;
            Some(NodeEndpoint { id: b.id, host: endpoint.host.clone(), port, rack: b.rack.clone() })
        });
        nodes.collect()
    }
}

/// An IPv4 client of an IPv6 socket gets an IPv4 address.
fn plain_ip(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

fn metadata_options(config: &BrokerConfig, dir: &DataDir, recovery_point: Offset) -> StartOptions {
    StartOptions {
        cluster_id: dir.identity().cluster_id.clone(),
        local: LocalOptions { recovery_point, ..LocalOptions::new(config.node_id, dir.last_stop()) },
        controller: ControllerOptions { limits: limits(), ..ControllerOptions::default() },
    }
}

/// What the metadata may grow to.
fn limits() -> Limits {
    Limits::default()
}

async fn register(
    env: &Env,
    controller: &ControllerHandle,
    config: &BrokerConfig,
    bound: &[SocketAddr],
) -> Result<i64, StartError> {
    let endpoints = config.listeners.iter().zip(bound).map(|(listener, address)| {
        let HostPort { host, port } = listener
            .advertised
            .clone()
            .unwrap_or_else(|| HostPort { host: listener.address.host.clone(), port: address.port() });
        Endpoint {
            listener: listener.name.clone(),
            host,
            port: port.into(),
            security_protocol: listener.security_protocol as i32,
        }
    });
    let request = RegisterBroker {
        broker_id: config.node_id,
        incarnation_id: env.random.uuid(),
        endpoints: endpoints.collect(),
        rack: config.rack.clone(),
    };
    match controller.register_broker(request).await {
        Ok(Ok(registered)) => Ok(registered.broker_epoch),
        Ok(Err(e)) => Err(StartError::Register(e.to_string())),
        Err(e) => Err(StartError::Register(e.to_string())),
    }
}

/// Kafka's error for a request the controller did not answer.
pub(crate) fn submit_error_code(e: &SubmitError) -> ErrorCode {
    ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError)
}
