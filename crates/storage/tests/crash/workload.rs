//! A log driven through everything it can do, on a disk that writes down each operation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::block::BlockPool;
use chronik_env::fs::Disk;
use chronik_env::random::Random;
use chronik_env::sim_disk::{Call, Failure, History, Rule, SimDisk};
use chronik_protocol::types::TopicId;
use chronik_storage::{Checkpointed, Log, LogOptions, Start, SyncTicket, checkpoint};

use crate::model::{Batch, Fact, NOBODY, Producer, Version, end_of};

pub const TOPIC_ID: TopicId = TopicId::from_u128(0x0123_4567_89ab_4cde_8fed_cba9_8765_4321);
/// Producer ids that write.
pub const PRODUCERS: std::ops::Range<i64> = 1..4;
const DATA_DIR: &str = "/data";
/// Apart from the log, so that a checkpoint's sync of its directory does not hide that the log's own is missing.
const CHECKPOINT_DIR: &str = "/checkpoints";
/// How many calls a run makes before it ends.
const CALLS: usize = 45;

pub fn log_dir() -> PathBuf {
    Path::new(DATA_DIR).join("events-0")
}

/// Tiny files, so that all that happens to large ones happens often.
pub fn options(seed: u64) -> LogOptions {
    LogOptions {
        segment_bytes: [4000, 5000, 8000, 40_000][(seed % 4) as usize],
        segment_ms: 500,
        segment_jitter_ms: 0,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: [200, 1000][(seed / 4 % 2) as usize],
        retention_ms: [-1, 2000][(seed / 8 % 2) as usize],
        retention_bytes: [-1, 5000][(seed / 16 % 2) as usize],
        delete: true,
        producer_id_expiration_ms: i64::MAX / 2,
    }
}

/// What the checkpoints of a data directory say about the log.
pub fn known(disk: &SimDisk) -> Checkpointed {
    let read = |name: &str| {
        let offsets =
            checkpoint::read_offsets(disk, &Path::new(CHECKPOINT_DIR).join(name)).expect("a checkpoint is never torn");
        offsets.get(&partition()).copied().unwrap_or(0)
    };
    Checkpointed { log_start_offset: read(checkpoint::LOG_START), recovery_point: read(checkpoint::RECOVERY_POINT) }
}

/// Makes the checkpoints durable as they are seen, as a broker does at its start.
pub fn sync_checkpoints(disk: &SimDisk) {
    disk.sync_dir(Path::new(CHECKPOINT_DIR)).expect("the directory is there");
}

fn partition() -> (String, i32) {
    ("events".to_owned(), 0)
}

/// A finished run.
pub struct Run {
    pub history: History,
    /// Facts by the boundary from which they hold.
    pub facts: BTreeMap<usize, Vec<Fact>>,
    /// The latest time used, in milliseconds.
    pub now_ms: i64,
    /// Names of the calls that were made.
    pub calls: BTreeSet<&'static str>,
}

/// The run that belongs to a seed.
pub fn run(seed: u64) -> Run {
    let mut driver = Driver::new(seed);
    for _ in 0..CALLS {
        driver.call();
        driver.at(driver.disk.boundary(), Fact::Idle);
    }
    driver.end();
    assert_eq!(driver.disk.unsynced_renames(), Vec::<PathBuf>::new(), "seed {seed}: renamed before synced");
    Run { history: driver.disk.history(), facts: driver.facts, now_ms: driver.now_ms, calls: driver.calls }
}

struct Driver {
    disk: SimDisk,
    random: Random,
    options: LogOptions,
    log: Log,
    facts: BTreeMap<usize, Vec<Fact>>,
    version: Version,
    next_sequence: BTreeMap<i64, (i16, i32)>,
    leader_epoch: i32,
    now_ms: i64,
    calls: BTreeSet<&'static str>,
}

impl Driver {
    fn new(seed: u64) -> Driver {
        let disk = SimDisk::new(seed);
        disk.set_discard_suffix(".deleted");
        disk.create_dir_all(Path::new(DATA_DIR)).unwrap();
        disk.create_dir_all(Path::new(CHECKPOINT_DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.record();
        let options = options(seed);
        let now_ms = 1_000_000;
        let log = open(&disk, &options, Start::Clean, now_ms);
        Driver {
            disk,
            random: Random::from_seed(seed),
            options,
            log,
            facts: BTreeMap::new(),
            version: Vec::new(),
            next_sequence: BTreeMap::new(),
            leader_epoch: 0,
            now_ms,
            calls: BTreeSet::new(),
        }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn at(&mut self, boundary: usize, fact: Fact) {
        self.facts.entry(boundary).or_default().push(fact);
    }

    fn call(&mut self) {
        self.now_ms += self.below(60) as i64;
        let (name, call): (&'static str, fn(&mut Driver)) = match self.below(100) {
            0..52 => ("append", Driver::append),
            52..72 => ("sync", Driver::sync),
            72..76 => ("late sync", Driver::sync_late),
            76..80 => ("recovery point", Driver::write_recovery_point),
            80..83 => ("roll", Driver::roll),
            83..87 => ("retention", Driver::retain),
            87..89 => ("log start", Driver::advance_log_start),
            89..92 => ("truncate", Driver::truncate),
            92..94 => ("leader epoch", Driver::change_leader),
            94..96 => ("producer snapshot", Driver::snapshot_producers),
            96..98 => ("close", Driver::close),
            _ => ("kill", Driver::kill),
        };
        self.calls.insert(name);
        call(self);
    }

    fn append(&mut self) {
        let records = 1 + self.below(4);
        let values: Vec<Vec<u8>> = (0..records).map(|_| vec![b'a' + self.below(26) as u8; self.value_len()]).collect();
        let producer = self.producer(records as i32);
        let batch = Batch::new(self.log.log_end_offset(), self.leader_epoch, producer, self.now_ms, &values);
        let before = self.disk.boundary();
        self.log.append(&batch.header, batch.body(), self.now_ms).expect("append");
        self.version.push(Arc::new(batch));
        self.at(before, Fact::Contents(self.version.clone()));
    }

    /// Mostly small; now and then over a sector or a page.
    fn value_len(&self) -> usize {
        match self.below(10) {
            0 => 600 + self.below(200) as usize,
            1..4 => 100 + self.below(200) as usize,
            _ => self.below(40) as usize,
        }
    }

    /// The next batch of a random producer, or of nobody.
    fn producer(&mut self, records: i32) -> Producer {
        let id = self.below(5) as i64;
        if !PRODUCERS.contains(&id) {
            return NOBODY;
        }
        let fresh_epoch = self.below(8) == 0;
        let (epoch, sequence) = self.next_sequence.entry(id).or_insert((0, 0));
        if fresh_epoch {
            (*epoch, *sequence) = (*epoch + 1, 0);
        }
        let producer = Producer { id, epoch: *epoch, sequence: *sequence };
        *sequence += records;
        producer
    }

    fn sync(&mut self) {
        if let Some(ticket) = self.log.unsynced() {
            self.run_ticket(&ticket);
        }
    }

    /// More is appended between the request for a sync and the sync, as when it runs on another thread.
    fn sync_late(&mut self) {
        let ticket = self.log.unsynced();
        for _ in 0..self.below(4) {
            self.append();
        }
        if let Some(ticket) = ticket {
            self.run_ticket(&ticket);
        }
    }

    fn run_ticket(&mut self, ticket: &SyncTicket) {
        ticket.run().expect("sync");
        self.log.synced(ticket);
        assert!(self.log.synced_offset() >= ticket.end_offset());
        self.at(self.disk.boundary(), Fact::Synced(ticket.end_offset()));
    }

    fn write_recovery_point(&mut self) {
        self.write_checkpoint(checkpoint::RECOVERY_POINT, self.log.synced_offset());
    }

    fn write_checkpoint(&self, name: &str, offset: i64) {
        let offsets = BTreeMap::from([(partition(), offset)]);
        checkpoint::write_offsets(&self.disk, &Path::new(CHECKPOINT_DIR).join(name), &offsets).expect("checkpoint");
    }

    fn roll(&mut self) {
        self.now_ms += 400;
        self.log.roll_if_due(self.now_ms).expect("roll");
    }

    fn retain(&mut self) {
        self.now_ms += self.below(1500) as i64;
        let before = self.disk.boundary();
        let retained = self.log.apply_retention(self.now_ms, self.log.synced_offset()).expect("retention");
        assert!(retained.log_start_offset <= self.log.synced_offset().max(0));
        self.at(before, Fact::LogStart(retained.log_start_offset));
        if self.below(2) == 0 {
            self.write_checkpoint(checkpoint::LOG_START, self.log.log_start_offset());
        }
    }

    fn advance_log_start(&mut self) {
        let span = self.log.synced_offset() - self.log.log_start_offset();
        if span > 0 {
            let offset = self.log.log_start_offset() + self.below(span as u64 + 1) as i64;
            self.at(self.disk.boundary(), Fact::LogStart(offset));
            self.log.advance_log_start(offset);
            self.write_checkpoint(checkpoint::LOG_START, offset);
        }
    }

    /// As a follower does it: the recovery point is lowered before anything is cut.
    fn truncate(&mut self) {
        let start = self.log.log_start_offset();
        let kept = self.version.iter().filter(|batch| batch.header.base_offset >= start).count();
        if kept == 0 {
            return;
        }
        // Mostly the last few batches; now and then so many that several segments go.
        let deepest = if self.below(3) == 0 { kept as u64 } else { 4.min(kept as u64) };
        let cut = self.version.len() - 1 - self.below(deepest) as usize;
        let to = self.version[cut].header.base_offset;
        let recovery_point = known(&self.disk).recovery_point;
        if recovery_point > to {
            self.write_checkpoint(checkpoint::RECOVERY_POINT, to);
        }
        let before = self.disk.boundary();
        self.log.truncate_to(to).expect("truncate");
        assert_eq!(self.log.log_end_offset(), to);
        self.version.truncate(cut);
        self.at(before, Fact::Truncating(to));
        self.at(before, Fact::Contents(self.version.clone()));
        self.forget_sequences();
        // What comes instead is from another leader.
        self.change_leader();
    }

    fn forget_sequences(&mut self) {
        self.next_sequence.clear();
        for batch in &self.version {
            let header = &batch.header;
            if header.has_producer_id() {
                self.next_sequence.insert(header.producer_id, (header.producer_epoch, header.last_sequence() + 1));
            }
        }
    }

    fn change_leader(&mut self) {
        self.leader_epoch += 1 + self.below(2) as i32;
        self.log.assign_epoch(self.leader_epoch);
    }

    fn snapshot_producers(&mut self) {
        self.log.snapshot_producers();
    }

    fn close(&mut self) {
        self.log.close().expect("close");
        self.at(self.disk.boundary(), Fact::Synced(self.log.log_end_offset()));
        self.write_checkpoint(checkpoint::RECOVERY_POINT, self.log.log_end_offset());
        self.write_checkpoint(checkpoint::LOG_START, self.log.log_start_offset());
        self.at(self.disk.boundary(), Fact::Closed);
        self.reopen(Start::Clean);
    }

    /// The process dies; what it wrote is still in the page cache.
    fn kill(&mut self) {
        self.reopen(Start::Unclean);
        self.at(self.disk.boundary(), Fact::Synced(self.log.log_end_offset()));
    }

    fn reopen(&mut self, start: Start) {
        let end = self.log.log_end_offset();
        self.log = open(&self.disk, &self.options, start, self.now_ms);
        assert_eq!(self.log.log_end_offset(), end, "nothing is lost when only the process ends");
        assert_eq!(end, end_of(&self.version).max(self.log.log_start_offset()));
        self.log.assign_epoch(self.leader_epoch);
    }

    /// One run in three ends with a failing disk.
    fn end(&mut self) {
        let failure = match self.below(6) {
            0 => Call::SyncData,
            1 => Call::Write,
            _ => return,
        };
        self.append();
        self.disk.fail(Rule {
            call: failure,
            path_contains: "events-0".to_owned(),
            after: 0,
            times: 1,
            failure: Failure::Eio,
        });
        let batch = Batch::new(self.log.log_end_offset(), self.leader_epoch, NOBODY, self.now_ms, &[vec![b'!'; 2000]]);
        if failure == Call::Write {
            self.version.push(Arc::new(batch));
            self.at(self.disk.boundary(), Fact::Contents(self.version.clone()));
            let batch = Arc::clone(&self.version[self.version.len() - 1]);
            self.log.append(&batch.header, batch.body(), self.now_ms).expect_err("the disk fails");
            self.log.append(&batch.header, batch.body(), self.now_ms).expect_err("the log has failed");
        } else {
            let ticket = self.log.unsynced().expect("just appended");
            self.at(self.disk.boundary(), Fact::SyncFailed);
            ticket.run().expect_err("the disk fails");
            self.log.fail();
            self.log.append(&batch.header, batch.body(), self.now_ms).expect_err("the log has failed");
        }
    }
}

/// Opens the log without any report of damage.
fn open(disk: &SimDisk, options: &LogOptions, start: Start, now_ms: i64) -> Log {
    let disk_trait: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, recovery) =
        Log::open(disk_trait, log_dir(), TOPIC_ID, options.clone(), known(disk), start, now_ms, BlockPool::default())
            .expect("open");
    assert_eq!(recovery.damaged, [], "nothing was damaged");
    log
}
