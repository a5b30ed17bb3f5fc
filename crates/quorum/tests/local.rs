//! The local back end against crashes, damage and failing disks.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chronik_env::fs::Disk;
use chronik_env::sim_disk::{Call, Cut, Failure, Rule, SimDisk};
use chronik_metadata::Record;
use chronik_metadata::record::{FeatureLevel, RecordError};
use chronik_protocol::batch::{BatchHeader, HEADER_LEN, crc_of};
use chronik_quorum::local::BatchError;
use chronik_quorum::{LocalOptions, MetadataLog, OpenError, Proposal, ProposeError, VotersError};
use chronik_storage::Start;
use common::*;

fn meta_dir() -> PathBuf {
    Path::new(DATA_DIR).join("__meta-0")
}

/// Names in the directory of the log that end so, sorted.
fn names(disk: &SimDisk, suffix: &str) -> Vec<String> {
    disk.names(&meta_dir()).expect("a directory").into_iter().filter(|name| name.ends_with(suffix)).collect()
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    names(disk, ".log").into_iter().map(|name| meta_dir().join(name)).collect()
}

/// Segments of the size that holds everything.
fn one_segment() -> LocalOptions {
    LocalOptions::new(1, Start::Unclean)
}

async fn with_topics(disk: &SimDisk, options: LocalOptions, topics: u64) {
    let log = open(disk, options).await.expect("opens");
    for number in 0..topics {
        commit_topic(&*log, number).await;
    }
}

fn rule(call: Call, path_contains: &str, failure: Failure) -> Rule {
    Rule { call, path_contains: path_contains.to_owned(), after: 0, times: u64::MAX, failure }
}

/// Every power cut at every moment: what was acknowledged before it is there, what is there is whole and in order, and
/// a second recovery changes nothing. Snapshots and log cuts happen on the way.
#[tokio::test]
async fn no_power_cut_loses_an_acknowledged_batch() {
    let disk = new_disk(3);
    disk.record();
    let crashing = LocalOptions { snapshot_records: 12, segment_bytes: 600, ..LocalOptions::new(1, Start::Unclean) };
    let log = open(&disk, crashing.clone()).await.expect("opens");
    let (mut acknowledged, mut sent) = (Vec::new(), 0);
    for round in 0..12 {
        // Groups of one to three proposals share a sync.
        let base = log.image().offset() + 1;
        let group = 1 + round % 3;
        let propose = |index: u64| {
            let records = topic_records(sent + index);
            log.propose(Proposal { epoch: log.leader().epoch, base_offset: base + 2 * index as i64, records })
        };
        let waiting: Vec<_> = (0..group).map(propose).collect();
        for outcome in waiting {
            within(outcome).await.expect("commits");
            sent += 1;
            acknowledged.push(disk.boundary());
        }
    }
    within(log.close()).await;
    let history = disk.history();
    let mut replay = history.replay();
    let mut images = 0;
    loop {
        let due = acknowledged.iter().filter(|boundary| **boundary <= replay.boundary()).count() as u64;
        for (cut, image) in replay.images(replay.boundary() as u64, 12) {
            let place = format!("{cut:?} at {}", replay.boundary());
            let hash = check_recovered(&image, &crashing, due, sent, &place).await;
            // Recovering once more, after another cut, changes nothing.
            image.crash(Cut::Nothing);
            assert_eq!(check_recovered(&image, &crashing, due, sent, &place).await, hash, "{place}");
            images += 1;
        }
        if replay.step().is_none() {
            break;
        }
    }
    assert!(images > 500, "only {images} crashes");
}

async fn check_recovered(disk: &SimDisk, options: &LocalOptions, due: u64, sent: u64, place: &str) -> u128 {
    let log = match open(disk, options.clone()).await {
        Ok(log) => log,
        Err(error) => panic!("{place}: {error}"),
    };
    let image = log.image();
    let found = image.topic_count();
    assert!((due..=sent).contains(&found), "{place}: {found} topics of {due} acknowledged and {sent} sent");
    for number in 0..found {
        let topic = image
            .topic(&format!("topic-{number}"))
            .unwrap_or_else(|| panic!("{place}: topic-{number} of {found} is lost"));
        assert_eq!(topic.partitions().len(), 1, "{place}: a topic and its partition are one batch");
    }
    image.hash()
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
    let disk = new_disk(1);
    with_topics(&disk, one_segment(), 5).await;
    let segment = segments(&disk).remove(0);
    disk.damage(&segment, |bytes| bytes.extend_from_slice(&[0; 100])).expect("a segment");
    disk.damage(&segment, |bytes| bytes.extend_from_slice(&[0x55; 37])).expect("a segment");
    let log = open(&disk, one_segment()).await.expect("opens");
    assert_eq!(log.image().topic_count(), 5);
    assert_eq!(log.recovery().truncated_bytes, 137);
    commit_topic(&*log, 5).await;
    drop(log);
    assert_eq!(open(&disk, one_segment()).await.expect("opens").image().topic_count(), 6);
}

/// Where each batch of a segment starts.
fn batch_positions(bytes: &[u8]) -> Vec<usize> {
    let mut positions = vec![];
    let mut at = 0;
    while let Some(header) = BatchHeader::parse(&bytes[at..]) {
        positions.push(at);
        at += header.size().expect("a length");
    }
    positions
}

/// A batch that was acknowledged is damaged and others follow: that is no torn tail, and no start may drop it.
#[tokio::test]
async fn damage_in_the_middle_refuses_to_start_and_names_file_and_offset() {
    for clean in [false, true] {
        for victim in [0, 7, 18] {
            let disk = new_disk(1);
            let log = open(&disk, one_segment()).await.expect("opens");
            for number in 0..20 {
                commit_topic(&*log, number).await;
            }
            if clean {
                within(log.close()).await;
            }
            let segment = segments(&disk).remove(0);
            disk.damage(&segment, |bytes| {
                let at = batch_positions(bytes)[victim];
                bytes[at + HEADER_LEN + 5] ^= 1;
            })
            .expect("a segment");
            // Not only the first time.
            for attempt in 0..3 {
                let start = if clean && attempt == 0 { Start::Clean } else { Start::Unclean };
                let error = match open(&disk, LocalOptions { start, ..one_segment() }).await {
                    Err(error) => error,
                    Ok(log) => panic!("batch {victim} is damaged, yet {} topics are served", log.image().topic_count()),
                };
                let (text, offset) = (error.to_string(), (2 * victim).to_string());
                assert!(text.contains("__meta-0") && text.contains(&offset), "{text}");
            }
        }
    }
}

/// A flipped bit that still reads as a record is found by the checksum, also when the last stop was clean.
#[tokio::test]
async fn a_plausible_wrong_record_refuses_to_start() {
    let disk = new_disk(1);
    let log = open(&disk, one_segment()).await.expect("opens");
    for number in 0..5 {
        commit_topic(&*log, number).await;
    }
    within(log.close()).await;
    let flip = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(7).position(|window| window == b"topic-2").expect("a name");
        bytes[at + 6] = b'7';
    };
    disk.damage(&segments(&disk)[0], flip).expect("a segment");
    for start in [Start::Clean, Start::Unclean] {
        let error = open(&disk, LocalOptions { start, ..one_segment() }).await.err().expect("refused").to_string();
        assert!(error.contains(".log") && error.contains("offset 4"), "{error}");
    }
}

#[tokio::test]
async fn a_batch_below_the_recovery_point_is_never_taken_for_a_torn_tail() {
    let disk = new_disk(1);
    with_topics(&disk, one_segment(), 5).await;
    let segment = segments(&disk).remove(0);
    disk.damage(&segment, |bytes| *bytes.last_mut().expect("bytes") ^= 1).expect("a segment");
    for _ in 0..2 {
        let error = open(&disk, LocalOptions { recovery_point: 10, ..one_segment() }).await.err().expect("refused");
        let text = error.to_string();
        assert!(text.contains(".log") && text.contains("offset 8"), "{text}");
    }
}

fn snapshotting() -> LocalOptions {
    LocalOptions { snapshot_records: 20, ..options(Start::Unclean) }
}

#[tokio::test]
async fn snapshots_replace_the_log_before_them() {
    let disk = new_disk(1);
    let log = open(&disk, snapshotting()).await.expect("opens");
    for number in 0..400 {
        commit_topic(&*log, number).await;
    }
    let (hash, offset) = (log.image().hash(), log.image().offset());
    within(log.close()).await;
    let snapshots = names(&disk, ".checkpoint");
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let end: i64 = snapshots[0][..20].parse().expect("an offset");
    assert!(end > offset - 60, "{snapshots:?} at offset {offset}");
    let first_segment: i64 = names(&disk, ".log")[0][..20].parse().expect("an offset");
    assert!(first_segment > 600, "the log from {first_segment} on is kept, the snapshot ends at {end}");
    for start in [Start::Clean, Start::Unclean] {
        let log = open(&disk, LocalOptions { start, ..snapshotting() }).await.expect("opens");
        assert_eq!((log.image().hash(), log.image().offset()), (hash, offset));
        assert!(log.leader().epoch > 1);
    }
}

#[tokio::test]
async fn snapshots_come_by_bytes_too() {
    let disk = new_disk(1);
    let options = LocalOptions { snapshot_bytes: 2000, ..options(Start::Unclean) };
    let log = open(&disk, options).await.expect("opens");
    for number in 0..50 {
        commit_topic(&*log, number).await;
    }
    within(log.close()).await;
    assert_eq!(names(&disk, ".checkpoint").len(), 1);
}

#[tokio::test]
async fn a_damaged_snapshot_refuses_to_start() {
    let disk = new_disk(1);
    with_topics(&disk, snapshotting(), 50).await;
    let log = open(&disk, snapshotting()).await.expect("opens");
    within(log.close()).await;
    let name = names(&disk, ".checkpoint").pop().expect("a snapshot");
    let good = disk.image(Cut::Process, 1);
    let file = meta_dir().join(&name);
    disk.damage(&file, |bytes| bytes[60] ^= 1).expect("a snapshot");
    let error = open(&disk, snapshotting()).await.err().expect("refused").to_string();
    assert!(error.contains(&name) && error.contains("checksum"), "{error}");

    let renamed = format!("{:020}-0000000009.checkpoint", 3);
    for other in names(&good, ".checkpoint") {
        good.rename(&meta_dir().join(other), &meta_dir().join(&renamed)).expect("renamed");
    }
    let error = open(&good, snapshotting()).await.err().expect("refused").to_string();
    assert!(error.contains(&renamed), "{error}");
}

/// Bytes that were there at the last checkpoint and are gone are missed.
#[tokio::test]
async fn a_log_shorter_than_its_recovery_point_refuses_to_start() {
    for emptied in [false, true] {
        let disk = new_disk(1);
        with_topics(&disk, one_segment(), 5).await;
        let segment = segments(&disk).remove(0);
        let shorten = |bytes: &mut Vec<u8>| {
            let last = batch_positions(bytes)[4];
            bytes.truncate(if emptied { 0 } else { last });
        };
        disk.damage(&segment, shorten).expect("a segment");
        for _ in 0..2 {
            let result = open(&disk, LocalOptions { recovery_point: 10, ..one_segment() }).await;
            assert!(result.is_err(), "{:?}", result.map(|log| log.image().offset()));
        }
    }
}

#[tokio::test]
async fn an_unfinished_snapshot_is_passed_over() {
    let disk = new_disk(1);
    with_topics(&disk, one_segment(), 5).await;
    let path = meta_dir().join(format!("{:020}-{:010}.checkpoint.tmp", 10, 1));
    let file = disk.open(&path, chronik_env::fs::OpenMode::CreateNew).expect("created");
    file.write_all_at(&[b"half"], 0).expect("written");
    drop(file);
    let log = open(&disk, snapshotting()).await.expect("opens");
    assert_eq!(log.image().topic_count(), 5);
    for number in 5..30 {
        commit_topic(&*log, number).await;
    }
    within(log.close()).await;
    assert!(names(&disk, ".tmp").is_empty(), "and removed with the next snapshot");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_stops_nothing() {
    let disk = new_disk(1);
    disk.fail(rule(Call::Write, ".checkpoint", Failure::NoSpace));
    with_topics(&disk, snapshotting(), 100).await;
    let log = open(&disk, snapshotting()).await.expect("opens");
    assert_eq!(log.image().topic_count(), 100);
    assert!(names(&disk, ".checkpoint").is_empty());
    disk.heal();
    for number in 100..130 {
        commit_topic(&*log, number).await;
    }
    within(log.close()).await;
    assert_eq!(names(&disk, ".checkpoint").len(), 1);
}

/// A failed sync or write is final: nothing is acknowledged after it, nothing of it is published, and recovery shows
/// what was acknowledged before.
#[tokio::test]
async fn a_failing_disk_acknowledges_nothing_more() {
    for call in [Call::SyncData, Call::Write] {
        let disk = new_disk(1);
        let log = open_unclean(&disk).await.expect("opens");
        for number in 0..5 {
            commit_topic(&*log, number).await;
        }
        let hash = log.image().hash();
        disk.fail(Rule { times: 1, ..rule(call, ".log", Failure::Eio) });
        let doubtful = next(&*log, topic_records(5));
        let outcome = within(log.propose(doubtful.clone())).await;
        assert_eq!(outcome, Err(ProposeError::OutcomeUnknown), "{call:?}");
        for _ in 0..3 {
            let outcome = within(log.propose(doubtful.clone())).await;
            assert!(matches!(outcome, Err(ProposeError::Failed { .. })), "{call:?}: {outcome:?}");
        }
        assert_eq!(log.image().hash(), hash);
        drop(log);
        disk.crash(Cut::Nothing);
        disk.heal();
        let log = open_unclean(&disk).await.expect("opens");
        assert_eq!(log.image().hash(), hash, "{call:?}");
    }
}

/// Proposals that wait share a sync.
#[tokio::test]
async fn waiting_proposals_share_a_sync() {
    let disk = new_disk(1);
    let log = open(&disk, one_segment()).await.expect("opens");
    commit_topic(&*log, 0).await;
    disk.record();
    let base = log.image().offset() + 1;
    let epoch = log.leader().epoch;
    let propose = |number: u64| {
        log.propose(Proposal { epoch, base_offset: base + 2 * number as i64, records: topic_records(1 + number) })
    };
    let waiting: Vec<_> = (0..500).map(propose).collect();
    for outcome in waiting {
        within(outcome).await.expect("commits");
    }
    let syncs =
        disk.history().ops().iter().filter(|op| matches!(op, chronik_env::sim_disk::Op::SyncData { .. })).count();
    assert!((1..=3).contains(&syncs), "{syncs} syncs for 500 batches");
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_and_may_be_tried_again() {
    let disk = new_disk(1);
    let log = open(&disk, LocalOptions { queue_limit: 4, ..one_segment() }).await.expect("opens");
    let epoch = log.leader().epoch;
    let propose =
        |number: u64| log.propose(Proposal { epoch, base_offset: 2 * number as i64, records: topic_records(number) });
    let mut outcomes = Vec::new();
    for waiting in (0..10).map(propose).collect::<Vec<_>>() {
        outcomes.push(within(waiting).await);
    }
    assert!(outcomes[..4].iter().all(Result::is_ok), "{outcomes:?}");
    assert!(outcomes[4..].iter().all(|outcome| *outcome == Err(ProposeError::Busy)), "{outcomes:?}");
    commit_topic(&*log, 4).await;
}

#[tokio::test]
async fn a_batch_larger_than_a_segment_is_refused_and_the_log_goes_on() {
    let disk = new_disk(1);
    let log = open_unclean(&disk).await.expect("opens");
    let outcome = within(log.propose(next(&*log, (0..100).flat_map(topic_records).collect()))).await;
    assert!(matches!(outcome, Err(ProposeError::TooLarge { bytes }) if bytes > 4096), "{outcome:?}");
    commit_topic(&*log, 0).await;
}

/// A record type from the future stops the node, by name.
#[tokio::test]
async fn an_unknown_record_type_stops_the_node() {
    let disk = new_disk(1);
    let log = open(&disk, one_segment()).await.expect("opens");
    let records = vec![Record::FeatureLevel(FeatureLevel { level: 1 })];
    within(log.propose(next(&*log, records))).await.expect("commits");
    within(log.close()).await;
    disk.damage(&segments(&disk)[0], |bytes| {
        let value = Record::FeatureLevel(FeatureLevel { level: 1 }).encode();
        let at = bytes.windows(value.len()).position(|window| window == value).expect("the record's bytes");
        bytes[at] = 0x77;
        let crc = crc_of(bytes);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    })
    .expect("a segment");
    match open(&disk, one_segment()).await.err() {
        Some(OpenError::Batch { offset: 0, error: BatchError::Record { error, .. }, .. }) => {
            assert_eq!(error, RecordError::Unknown { record_type: 0x7702, version: 1 });
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_alone_has_one_voter() {
    let log = open_unclean(&new_disk(1)).await.expect("opens");
    assert_eq!(within(log.change_voters(vec![])).await, Err(VotersError::OneVoter));
    assert_eq!(within(log.transfer(2)).await, Err(VotersError::OneVoter));
    assert_eq!(within(log.transfer(1)).await, Ok(()));
}

/// Nothing is written before there is something to write.
#[tokio::test]
async fn opening_leaves_no_trace() {
    let disk = new_disk(1);
    let log = open_unclean(&disk).await.expect("opens");
    assert_eq!(log.image().offset(), -1);
    within(log.close()).await;
    let left: BTreeSet<_> = disk.exists(&meta_dir()).into_iter().filter(|there| *there).collect();
    assert!(left.is_empty());
}
