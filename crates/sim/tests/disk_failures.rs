//! What a broker does when its disk fails, or is full.

#[path = "regressions/client.rs"]
#[allow(dead_code)]
mod client;

use std::path::Path;
use std::time::Duration;

use chronik_env::fs::Disk;
use chronik_env::sim_disk::{Call, Cut, Failure, Rule};
use chronik_sim::lone::simulate;
use client::{Client, disk, numbered, read_back, unclean};

const KAFKA_STORAGE_ERROR: i16 = 56;
/// The logs of the topic `t`, and nothing of the metadata.
const LOG_OF_T: &str = "/data/t-0/";
/// Longer than any partition is kept open that nobody uses.
const IDLE: Duration = Duration::from_secs(180);

fn fail(call: Call, failure: Failure) -> Rule {
    Rule { call, path_contains: LOG_OF_T.into(), after: 0, times: 1, failure }
}

#[test]
fn a_failed_sync_ends_acknowledgements_and_loses_none() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("kept", 0..5)).await;
        own.fail(fail(Call::SyncData, Failure::Eio));
        assert_eq!(client.produce("t", -1, "doubtful").await.0, KAFKA_STORAGE_ERROR);
        for acks in [-1, 1] {
            assert_eq!(client.produce("t", acks, "late").await.0, KAFKA_STORAGE_ERROR);
        }
        let mut unheard = Client::of(&lone).await;
        unheard.produce_unacknowledged("t", "late").await;
        assert!(unheard.is_closed().await);
        assert_eq!(client.read_all("t").await, numbered("kept", 0..5));
    });
    disk.heal();
    disk.crash(Cut::Process);
    let seen = read_back(&disk, "t");
    assert!(seen.starts_with(&numbered("kept", 0..5)), "{seen:?}");
    disk.crash(Cut::Nothing);
    assert!(read_back(&disk, "t").starts_with(&seen), "what recovery served was not on the disk");
}

#[test]
fn a_write_without_space_is_refused_and_the_next_one_taken() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("before", 0..1)).await;
        own.fail(fail(Call::Write, Failure::NoSpace));
        assert_eq!(client.produce("t", -1, "refused").await.0, KAFKA_STORAGE_ERROR);
        assert_eq!(client.produce("t", -1, "after").await, (0, 1));
        assert_eq!(client.read_all("t").await, ["before-0", "after"]);
    });
    disk.crash(Cut::Nothing);
    assert_eq!(read_back(&disk, "t"), ["before-0", "after"]);
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[("log.dirs.min.free.bytes", "0")], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("before", 0..1)).await;
        let space = own.space(Path::new("/data")).unwrap();
        own.set_capacity(space.total_bytes - space.free_bytes + 100);
        let large = "x".repeat(1_000);
        assert_eq!(client.produce("t", -1, &large).await.0, KAFKA_STORAGE_ERROR);
        own.set_capacity(space.total_bytes);
        assert_eq!(client.produce("t", -1, "after").await, (0, 1));
        assert_eq!(client.read_all("t").await, ["before-0", "after"]);
    });
}

#[test]
fn an_idle_partition_of_a_failed_directory_shows_no_more_than_before() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[("log.retention.check.interval.ms", "10000")], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("kept", 0..5)).await;
        own.fail(fail(Call::SyncData, Failure::Eio));
        assert_eq!(client.produce("t", -1, "doubtful").await.0, KAFKA_STORAGE_ERROR);
        tokio::time::sleep(IDLE).await;
        assert_eq!(client.read_all("t").await, numbered("kept", 0..5));
        assert_eq!(client.produce("t", -1, "late").await.0, KAFKA_STORAGE_ERROR);
    });
}

#[test]
fn retention_that_fails_refuses_who_waits_and_all_later_produces() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[("log.retention.check.interval.ms", "10000")], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[("retention.ms", "20000")]).await;
        client.create("u", &[]).await;
        client.produce_all("t", &numbered("value", 0..5)).await;
        own.fail(Rule { times: u64::MAX, ..fail(Call::Entry, Failure::Eio) });
        let refused = async {
            while client.produce("u", -1, "value").await.0 != KAFKA_STORAGE_ERROR {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::time::timeout(IDLE, refused).await.expect("the directory fails with its log");
        assert_eq!(client.produce("t", -1, "value").await.0, KAFKA_STORAGE_ERROR);
    });
}

#[test]
fn a_partition_that_finds_no_room_while_it_is_closed_stays_and_is_closed_later() {
    // Its producer snapshot, its index, and the list that says whether it is closed.
    for (call, path) in [(Call::Open, ".snapshot"), (Call::Write, ".index"), (Call::Open, "unclean-partitions")] {
        let disk = disk();
        let own = disk.clone();
        let value = "x".repeat(10_000);
        let written = vec![value.clone(); 6];
        let expected = written.clone();
        simulate(&disk, &[], async move |lone| {
            let mut client = Client::of(&lone).await;
            client.create("t", &[]).await;
            client.produce_all("t", &written[..5]).await;
            own.fail(Rule { call, path_contains: path.into(), after: 0, times: 1, failure: Failure::NoSpace });
            tokio::time::sleep(IDLE).await;
            assert_eq!(own.unmet_rules(), 0, "{path}: it is part of closing");
            client.produce_all("t", &written[5..]).await;
            tokio::time::sleep(IDLE).await;
            assert_eq!(unclean(&own), 0, "{path}: it is closed");
            assert_eq!(client.read_all("t").await, expected);
        });
    }
}

#[test]
fn metadata_that_finds_no_room_is_refused_and_taken_later() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[("log.dirs.min.free.bytes", "0")], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        let space = own.space(Path::new("/data")).unwrap();
        own.set_capacity(space.total_bytes - space.free_bytes + 10);
        assert_eq!(client.try_create("u", &[]).await, KAFKA_STORAGE_ERROR);
        own.set_capacity(space.total_bytes);
        client.create("u", &[]).await;
        for topic in ["t", "u"] {
            client.produce_all(topic, &numbered(topic, 0..3)).await;
        }
        // The look at the metadata log that fails the directory with it.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(client.produce("u", -1, "value").await, (0, 3));
    });
}
