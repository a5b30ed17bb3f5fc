//! A small valid log with one of every file, made once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, read_file, replace_file};
use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_protocol::batch::{BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::types::TopicId;
use chronik_storage::unclean::{self, UncleanPartitions};
use chronik_storage::{Checkpointed, Log, LogOptions, Start, checkpoint};

pub(super) const NOW_MS: i64 = 1_700_000_000_000;
pub(super) const TOPIC_ID: TopicId = TopicId::from_u128(0x0123_4567_89ab_4cde_8fed_cba9_8765_4321);
pub(super) const DATA_DIR: &str = "/data";

pub(super) fn log_dir() -> PathBuf {
    Path::new(DATA_DIR).join("events-0")
}

/// Tiny segments, an index entry for almost every batch.
pub(super) fn options() -> LogOptions {
    LogOptions { segment_bytes: 1200, index_interval_bytes: 150, retention_bytes: 2000, ..LogOptions::default() }
}

pub(super) struct Baseline {
    /// A directory as a clean stop leaves it.
    pub disk: SimDisk,
    /// Every file whose contents an input can replace, and valid contents for it.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Baseline {
    pub(super) fn new() -> Self {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DATA_DIR)).and_then(|()| disk.sync_dir(Path::new("/"))).expect("a healthy disk");
        write_log(&disk);
        let offsets = BTreeMap::from([(("events".to_owned(), 0), 20), (("other.topic".to_owned(), 12), 7_000_000_000)]);
        let path = Path::new(DATA_DIR).join(checkpoint::RECOVERY_POINT);
        checkpoint::write_offsets(&disk, &path, &offsets).expect("a healthy disk");

        let names = disk.names(&log_dir()).expect("the log has its directory");
        let contents = |disk: &SimDisk, path: &Path| {
            read_file(disk, path, 1 << 20).expect("a healthy disk").expect("the file was just listed or written")
        };
        let mut files: Vec<_> =
            names.into_iter().map(|name| (name.clone(), contents(&disk, &log_dir().join(name)))).collect();
        files.push((checkpoint::RECOVERY_POINT.to_owned(), contents(&disk, &path)));
        let marked = BTreeSet::from([(TOPIC_ID, 0), (TOPIC_ID, 12)]);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        UncleanPartitions::create(shared, Path::new(DATA_DIR), marked).expect("a healthy disk");
        let path = Path::new(DATA_DIR).join(unclean::FILE_NAME);
        files.push((unclean::FILE_NAME.to_owned(), contents(&disk, &path)));
        files.push((DAMAGED.to_owned(), damaged_ranges(&disk)));
        Baseline { disk, files }
    }

    /// Whether a file lies in the data directory and not in the partition's.
    pub(super) fn is_checkpoint(&self, name: &str) -> bool {
        [checkpoint::RECOVERY_POINT, unclean::FILE_NAME].contains(&name)
    }
}

const DAMAGED: &str = "damaged-ranges";

fn open(disk: &SimDisk, known: Checkpointed, start: Start) -> Log {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = Log::open(disk, log_dir(), TOPIC_ID, options(), known, start, NOW_MS, BlockPool::default());
    opened.expect("a valid log opens").0
}

/// Twelve batches in three epochs, by two producers, in every codec, over several segments.
fn write_log(disk: &SimDisk) {
    let mut log = open(disk, Checkpointed::default(), Start::Clean);
    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for n in 0..12_i32 {
        let mut builder = BatchBuilder::new()
            .base_offset(log.log_end_offset())
            .leader_epoch(n / 4)
            .compression(CODECS[n as usize % CODECS.len()], None);
        if n % 3 != 0 {
            builder = builder.producer(i64::from(n % 2) + 7, 0, n);
        }
        for record in 0..3 {
            let timestamp = NOW_MS + i64::from(10 * n) - 7 * record;
            builder.push(timestamp, Some(b"key"), Some(&[n as u8; 60]), &[]);
        }
        let bytes = builder.build().expect("three small records fit a batch");
        let header = BatchHeader::parse(&bytes).expect("a batch has a header");
        log.append(&header, &bytes[HEADER_LEN..], NOW_MS).expect("a healthy disk");
    }
    log.close().expect("a healthy disk");
}

/// What recovery writes when a sealed segment has a bad byte.
fn damaged_ranges(disk: &SimDisk) -> Vec<u8> {
    let disk = disk.image(Cut::Everything, 2);
    let first = log_dir().join(format!("{:020}.log", 0));
    let mut contents = read_file(&disk, &first, 1 << 20).expect("a healthy disk").expect("the log begins at 0");
    contents[HEADER_LEN + 3] ^= 1;
    replace_file(&disk, &first, &contents).expect("a healthy disk");
    let known = Checkpointed { log_start_offset: 0, recovery_point: 36 };
    let unknown = log_dir().join(DAMAGED);
    // The file being damaged itself makes recovery read all of the log.
    replace_file(&disk, &unknown, b"?").expect("a healthy disk");
    open(&disk, known, Start::Unclean).close().expect("a healthy disk");
    read_file(&disk, &unknown, 1 << 20).expect("a healthy disk").expect("the damage is remembered")
}
