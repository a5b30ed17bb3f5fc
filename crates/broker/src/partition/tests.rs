//! What a partition acknowledges while its flush mode changes, and whom it wakes. Syncs run when the test says so.

use std::collections::BTreeSet;
use std::path::Path;

use chronik_config::Settings;
use chronik_env::block::BlockPool;
use chronik_env::net::BoxFuture;
use chronik_env::random::Random;
use chronik_env::real;
use chronik_env::sim_disk::{Call, Failure, Rule, SimDisk};
use chronik_env::task::{Job, Tasks};
use chronik_protocol::Uuid;
use chronik_protocol::batch::HEADER_LEN;
use chronik_protocol::builder::BatchBuilder;
use chronik_storage::{Checkpointed, Files, Start};
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

const DIR: &str = "/data";

/// Syncs that wait until they are told to run.
#[derive(Default)]
struct Held(Mutex<VecDeque<Job>>);

impl Tasks for Held {
    fn workers(&self) -> usize {
        1
    }

    fn spawn_on(&self, _worker: usize, _future: BoxFuture<'static, ()>) {
        unreachable!("a partition spawns nothing");
    }

    fn spawn_control(&self, _future: BoxFuture<'static, ()>) {
        unreachable!("a partition spawns nothing");
    }

    fn run_blocking(&self, job: Job) {
        self.0.lock().push_back(job);
    }
}

impl Held {
    fn run_one(&self) {
        let job = self.0.lock().pop_front().expect("a sync was asked for");
        job();
    }

    fn is_idle(&self) -> bool {
        self.0.lock().is_empty()
    }
}

struct Bench {
    partition: Arc<Partition>,
    syncs: Arc<Held>,
    disk: SimDisk,
}

impl Bench {
    fn new(mode: &str) -> Self {
        let disk = SimDisk::new(1);
        let syncs = Arc::new(Held::default());
        let (mut env, _) =
            real::env(&real::Options { workers: 1, blocking_threads: 1, sync_threads: 1 }).expect("starts");
        (env.random, env.disk, env.tasks) = (Random::from_seed(1), Arc::new(disk.clone()), syncs.clone());
        let dir = Arc::new(DataDir::open(env, Path::new(DIR), 1, None, 0).expect("a new directory"));
        dir.unclean().settle(BTreeSet::new()).expect("nothing to recover");
        let key = PartitionKey { topic_id: Uuid::from_u128(7), index: 0 };
        let known = Checkpointed { log_start_offset: 0, recovery_point: 0 };
        let files = Files::new(Arc::new(disk.clone()), BlockPool::default());
        let path = Path::new(DIR).join("t-0");
        let (log, _) = Log::open_in(&files, path, key.topic_id, LogOptions::default(), known, Start::Clean, 0)
            .expect("an empty log");
        let leader = Leader::new(1, 0, &[1], &[1], 0, 0, 0);
        let topic = TopicName::new("t").expect("a name");
        let partition = Partition::new(key, topic, dir, log, leader, config(mode), Arc::default());
        Bench { partition: Arc::new(partition), syncs, disk }
    }

    fn set(&self, mode: &str) {
        self.partition.set_config(config(mode), LogOptions::default());
    }

    /// Appends one record of an idempotent producer.
    fn append(&self, sequence: i32) -> Appended {
        let mut builder = BatchBuilder::new().producer(5, 0, sequence);
        builder.push(0, None, Some(b"v"), &[]);
        let bytes = builder.build().expect("small");
        let header = BatchHeader::parse(&bytes).expect("a header");
        let batch = Validated { header, body: bytes.slice(HEADER_LEN..), log_append_time_ms: -1 };
        self.partition.append(batch, Acks::All, 0).expect("appends")
    }
}

fn config(mode: &str) -> Arc<TopicConfig> {
    Arc::new(TopicConfig::resolve(&Settings::defaults(), [("flush.mode", mode)].into_iter()))
}

#[test]
fn a_sync_that_ran_when_the_mode_became_sync_is_followed_by_one_for_the_rest() {
    let bench = Bench::new("sync");
    let first = bench.append(0).ack;
    bench.set("async");
    assert!(first.expect("it waited").try_recv().is_ok(), "nobody waits in async mode");
    assert!(bench.append(1).ack.is_none(), "the page cache is enough");
    bench.set("sync");
    bench.syncs.run_one();
    assert_eq!(bench.partition.synced_offset(), 1);
    bench.syncs.run_one();
    assert_eq!(bench.partition.synced_offset(), 2, "what came after the first sync began");
    assert!(bench.syncs.is_idle());
}

#[test]
fn a_duplicate_of_what_is_only_in_the_page_cache_waits_for_the_disk() {
    let bench = Bench::new("async");
    assert!(bench.append(0).ack.is_none());
    bench.set("sync");
    let again = bench.append(0);
    assert_eq!(again.base_offset, 0, "the first try's");
    let mut ack = again.ack.expect("not on the disk");
    assert_eq!(ack.try_recv().err(), Some(TryRecvError::Empty));
    bench.syncs.run_one();
    assert!(matches!(ack.try_recv(), Ok(Ok(()))));
    assert!(bench.append(0).ack.is_none(), "it is on the disk");
    assert!(bench.syncs.is_idle());
}

#[test]
fn a_fetch_registers_anew_once_it_was_woken() {
    let bench = Bench::new("sync");
    let waiter = Arc::new(Notify::new());
    let register = |known: Option<&Registration>| bench.partition.wake_on_progress(&waiter, known);
    let first = register(None).expect("new");
    assert!(register(Some(&first)).is_none(), "it is registered");
    let ack = bench.append(0).ack;
    bench.syncs.run_one();
    assert!(ack.expect("it waited").try_recv().is_ok());
    let second = register(Some(&first)).expect("woken between the look and the registration: there is more to read");
    assert!(register(Some(&second)).is_none() && bench.partition.has_waiters());
    bench.partition.delete();
    assert!(register(Some(&second)).is_some(), "the end of the partition wakes as well");
}

#[test]
fn a_failed_directory_acknowledges_nothing_in_any_mode() {
    let bench = Bench::new("sync");
    let mut ack = bench.append(0).ack.expect("not on the disk");
    bench.partition.dir.fail("a test");
    bench.set("async");
    assert!(matches!(ack.try_recv(), Ok(Err(ProduceError::DirectoryFailed))));
    assert_eq!(bench.partition.offsets().high_watermark, 0);
}

#[test]
fn settings_of_the_log_that_are_not_the_topics_take_effect() {
    let bench = Bench::new("sync");
    let options = LogOptions { producer_id_expiration_ms: 7, ..LogOptions::default() };
    bench.partition.set_config(config("sync"), options);
    assert_eq!(bench.partition.state.lock().log.options().producer_id_expiration_ms, 7);
}

#[test]
fn a_sync_that_cannot_open_its_directory_is_refused_and_done_later() {
    let bench = Bench::new("sync");
    let mut ack = bench.append(0).ack.expect("not on the disk");
    let rule =
        Rule { call: Call::OpenDir, path_contains: String::new(), after: 0, times: 1, failure: Failure::NoSpace };
    bench.disk.fail(rule);
    bench.syncs.run_one();
    assert_eq!(bench.disk.unmet_rules(), 0);
    assert!(matches!(ack.try_recv(), Ok(Err(ProduceError::NoRoom))));
    assert!(!bench.partition.dir.has_failed() && bench.syncs.is_idle());
    let again = bench.append(0);
    assert_eq!(again.base_offset, 0, "it is in the log");
    bench.syncs.run_one();
    assert!(matches!(again.ack.expect("not on the disk").try_recv(), Ok(Ok(()))));
    assert_eq!(bench.partition.offsets().high_watermark, 1);
}
