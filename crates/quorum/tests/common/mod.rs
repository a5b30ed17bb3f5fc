//! A world in memory for one node: a disk that forgets, tasks on the test's own event loop, a clock that stands still.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Env;
use chronik_env::clock::Clock;
use chronik_env::fs::Disk;
use chronik_env::net::{BoxFuture, ListenOptions, Listener, Net, Stream};
use chronik_env::random::Random;
use chronik_env::sim_disk::SimDisk;
use chronik_env::task::{Job, Tasks};
use chronik_metadata::record::{Id, PartitionRecord, Record, TopicRecord};
use chronik_metadata::request::{CreateTopicResult, CreateTopics, NewTopic, RegisterBroker, TopicDefaults};
use chronik_quorum::{
    ControllerHandle, ControllerOptions, LocalLog, LocalOptions, MetadataLog, OpenError, Proposal, StartOptions,
};
use chronik_storage::Start;
use uuid::Uuid;

pub const DATA_DIR: &str = "/data";

struct StillClock;

impl Clock for StillClock {
    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }
}

/// Everything on the event loop of the test.
struct LoopTasks;

impl Tasks for LoopTasks {
    fn workers(&self) -> usize {
        1
    }

    fn spawn_on(&self, _worker: usize, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn spawn_control(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn run_blocking(&self, job: Job) {
        tokio::spawn(async move { job() });
    }
}

struct NoNet;

impl Net for NoNet {
    fn bind(&self, _addr: SocketAddr, _options: ListenOptions) -> BoxFuture<'_, std::io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }

    fn connect(&self, _addr: SocketAddr) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

/// An empty disk with the data directory.
pub fn new_disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DATA_DIR)).and_then(|()| disk.sync_dir(Path::new("/"))).expect("a new disk takes it");
    disk
}

pub fn env_on(disk: &SimDisk) -> Env {
    Env {
        clock: Arc::new(StillClock),
        random: Random::from_seed(1),
        disk: Arc::new(disk.clone()),
        net: Arc::new(NoNet),
        tasks: Arc::new(LoopTasks),
    }
}

/// Small segments, no snapshots unless asked for.
pub fn options(start: Start) -> LocalOptions {
    LocalOptions { segment_bytes: 4096, ..LocalOptions::new(1, start) }
}

pub async fn open(disk: &SimDisk, options: LocalOptions) -> Result<Arc<LocalLog>, OpenError> {
    within(LocalLog::open(&env_on(disk), PathBuf::from(DATA_DIR), options)).await
}

pub async fn open_unclean(disk: &SimDisk) -> Result<Arc<LocalLog>, OpenError> {
    open(disk, options(Start::Unclean)).await
}

/// The outcome of a future that must not hang.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("done before the deadline")
}

/// A topic with one partition: two records that belong together.
pub fn topic_records(number: u64) -> Vec<Record> {
    let topic_id = Id { high: 7, low: number };
    let (leader, log_start_offset) = (1, 0);
    let partition =
        PartitionRecord { topic_id, replicas: vec![1], isr: vec![1], leader, log_start_offset, ..Default::default() };
    let topic = TopicRecord { topic_id, name: format!("topic-{number}"), created_ms: number as i64 };
    vec![Record::Topic(topic), Record::Partition(partition)]
}

/// A proposal for the log's next offset.
pub fn next(log: &dyn MetadataLog, records: Vec<Record>) -> Proposal {
    Proposal { epoch: log.leader().epoch, base_offset: log.image().offset() + 1, records }
}

pub async fn commit_topic(log: &dyn MetadataLog, number: u64) {
    within(log.propose(next(log, topic_records(number)))).await.expect("committed");
}

pub fn start_options() -> StartOptions {
    let (local, controller) = (options(Start::Unclean), ControllerOptions::default());
    StartOptions { cluster_id: "cluster".to_owned(), local, controller }
}

/// A running controller with broker 1 registered.
pub async fn start(disk: &SimDisk) -> ControllerHandle {
    let handle =
        within(chronik_quorum::start(&env_on(disk), PathBuf::from(DATA_DIR), start_options())).await.expect("starts");
    let broker = RegisterBroker { broker_id: 1, incarnation_id: Uuid::from_u128(5), endpoints: vec![], rack: None };
    within(handle.register_broker(broker)).await.expect("submitted").expect("registered");
    handle
}

pub fn create(name: &str) -> CreateTopics {
    let topic = NewTopic { name: name.to_owned(), num_partitions: 1, replication_factor: 1, ..NewTopic::default() };
    CreateTopics {
        topics: vec![topic],
        validate_only: false,
        defaults: TopicDefaults { num_partitions: 1, replication_factor: 1 },
    }
}

/// Kafka's error code of the first topic, 0 = made.
pub fn code(results: &[CreateTopicResult]) -> i16 {
    results[0].result.as_ref().map_or_else(|e| e.code(), |_| 0)
}
