//! The directory of a standalone node's metadata log with bytes of the input for its log or its snapshot.
//!
//! Opening either names what is wrong or gives a log that commits a record, and that opens again with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chronik_env::Env;
use chronik_env::clock::Clock;
use chronik_env::fs::{Disk, read_file, replace_file};
use chronik_env::net::{BoxFuture, ListenOptions, Listener, Net, Stream};
use chronik_env::random::Random;
use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_env::task::{Job, Tasks};
use chronik_metadata::record::{FeatureLevel, ProducerIds};
use chronik_metadata::{Image, Record, snapshot};
use chronik_quorum::{LocalLog, LocalOptions, MetadataLog, OpenError, Proposal, local};
use chronik_storage::Start;
use tokio::runtime::{Builder, Runtime};

use super::storage::repair_batches;
use super::{metadata, steer};
use crate::budget;

const DATA_DIR: &str = "/data";
const NOW_MS: i64 = 1_700_000_000_000;
/// As of the metadata target, and the copies of the simulated disk.
const PER_BYTE: usize = 1024;
const FIXED: usize = 12 * 1024 * 1024;

/// Bits of the first byte.
const SNAPSHOT: u8 = 1;
const REPAIR: u8 = 2;
const UNCLEAN: u8 = 4;
/// All of the log was known to be durable.
const DURABLE: u8 = 8;

struct StillClock;

impl Clock for StillClock {
    fn wall_ms(&self) -> i64 {
        NOW_MS
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }
}

/// Everything on the event loop that runs the input.
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

struct Baseline {
    /// A directory as a clean stop leaves it.
    disk: SimDisk,
    log: PathBuf,
    log_contents: Vec<u8>,
    end: i64,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime without drivers needs nothing of the system")
}

fn dir() -> PathBuf {
    Path::new(DATA_DIR).join(local::DIRECTORY)
}

async fn open(disk: &SimDisk, start: Start, recovery_point: i64) -> Result<Arc<LocalLog>, OpenError> {
    let env = Env {
        clock: Arc::new(StillClock),
        random: Random::from_seed(1),
        disk: Arc::new(disk.clone()),
        net: Arc::new(NoNet),
        tasks: Arc::new(LoopTasks),
    };
    let options =
        LocalOptions { recovery_point, segment_bytes: 16 * 1024, queue_limit: 4, ..LocalOptions::new(1, start) };
    LocalLog::open(&env, PathBuf::from(DATA_DIR), options).await
}

/// Commits a batch and gives its offset.
async fn commit(log: &LocalLog, records: Vec<Record>) -> i64 {
    let proposal = Proposal { epoch: log.leader().epoch, base_offset: log.image().offset() + 1, records };
    log.propose(proposal).await.expect("an open log commits").offset
}

impl Baseline {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DATA_DIR)).and_then(|()| disk.sync_dir(Path::new("/"))).expect("a healthy disk");
        let end = runtime().block_on(async {
            let log = open(&disk, Start::Clean, 0).await.expect("a new log opens");
            let mut last = -1;
            for records in metadata::records().chunks(3) {
                last = commit(&log, records.to_vec()).await;
            }
            log.close().await;
            last + 1
        });
        let log = dir().join(format!("{:020}.log", 0));
        let log_contents = read_file(&disk, &log, 1 << 20).expect("a healthy disk").expect("the log begins at 0");
        Baseline { disk, log, log_contents, end }
    }
}

fn baseline() -> &'static Baseline {
    static BASELINE: OnceLock<Baseline> = OnceLock::new();
    BASELINE.get_or_init(Baseline::new)
}

pub(super) fn run(input: &[u8]) {
    let ([mode, end], contents) = steer(input);
    let baseline = baseline();
    let disk = baseline.disk.image(Cut::Everything, 1);
    if mode & SNAPSHOT != 0 {
        let bytes = if mode & REPAIR == 0 { contents.to_vec() } else { metadata::repaired(contents) };
        // Named as it says itself, so that the contents count.
        let header = snapshot::decode_header(&bytes).ok();
        let (end, epoch) = header.map_or((end.into(), 1), |h| (h.last_offset.saturating_add(1), h.epoch));
        let path = dir().join(format!("{end:020}-{epoch:010}.checkpoint"));
        replace_file(&disk, &path, &bytes).expect("a healthy disk");
    } else {
        let mut bytes = contents.to_vec();
        if mode & REPAIR != 0 {
            repair_batches(&mut bytes);
        }
        replace_file(&disk, &baseline.log, &bytes).expect("a healthy disk");
    }
    let start = if mode & UNCLEAN == 0 { Start::Clean } else { Start::Unclean };
    let recovery_point = if mode & DURABLE == 0 { 0 } else { baseline.end };
    let runtime = runtime();
    budget::proportional(contents.len(), PER_BYTE, FIXED, || runtime.block_on(exercise(&disk, start, recovery_point)));
}

async fn exercise(disk: &SimDisk, start: Start, recovery_point: i64) {
    let log = match open(disk, start, recovery_point).await {
        Ok(log) => log,
        Err(error) => return drop(error.to_string()),
    };
    let ids = ProducerIds { broker_id: 1, next_producer_id: 7_000_000 };
    let offset = commit(&log, vec![Record::ProducerIds(ids), Record::FeatureLevel(FeatureLevel { level: 1 })]).await;
    let (hash, epoch) = (log.image().hash(), log.leader().epoch);
    assert_eq!(log.image().offset(), offset);
    log.close().await;
    drop(log);
    for start in [Start::Clean, Start::Unclean] {
        let log = open(disk, start, offset + 1).await.expect("a log that was opened and closed opens again");
        let image: Arc<Image> = log.image();
        assert_eq!((image.offset(), image.hash()), (offset, hash), "after {start:?}");
        assert!(log.leader().epoch > epoch, "an epoch is given out twice");
        log.close().await;
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let contents = &baseline().log_contents;
    let log = [0, UNCLEAN, UNCLEAN | REPAIR, REPAIR, UNCLEAN | DURABLE | REPAIR]
        .map(|mode| [&[mode, 0], &contents[..]].concat());
    let mut image = Image::default();
    for (offset, record) in (0..).zip(metadata::records()) {
        image.apply(offset, 1, &record);
    }
    let whole = [0, UNCLEAN].map(|mode| [&[SNAPSHOT | mode, 0], &snapshot::encode(&image)[..]].concat());
    let mut sequence = vec![SNAPSHOT | REPAIR, 0, 5, 1];
    for record in metadata::records() {
        let bytes = record.encode();
        sequence.push(bytes.len() as u8);
        sequence.extend_from_slice(&bytes);
    }
    log.into_iter().chain(whole).chain([sequence]).collect()
}
