//! What happens on one thread of a broker while another is held up in the middle of something, by a gate of its disk.

#[path = "regressions/client.rs"]
#[allow(dead_code)]
mod client;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use chronik_env::fs::Disk;
use chronik_env::sim_disk::{Call, Cut, Failure, Gate, Rule, SimDisk};
use chronik_sim::lone::{Threaded, on_threads};
use client::{Client, EARLIEST, disk, numbered, read_back, unclean};

const LOG_OF_T: &str = "/data/t-0/";
/// Where the broker says that it was stopped cleanly.
const CLEAN: &str = "/data/.kafka_cleanshutdown";
/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what must not happen is given to happen: there is no sign of it.
const A_WHILE: Duration = Duration::from_millis(200);

async fn happens(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let happened = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(within, happened).await.is_ok()
}

async fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(happens(PATIENCE, condition).await, "{what}");
}

async fn client(threaded: &Threaded) -> Client {
    Client::new(threaded.connect().await.expect("the broker listens"))
}

fn exists(disk: &SimDisk, path: &str) -> bool {
    disk.exists(Path::new(path)).expect("a healthy disk")
}

/// Enough for an index entry each.
fn large(count: usize) -> Vec<String> {
    vec!["x".repeat(10_000); count]
}

#[test]
fn no_topic_goes_while_a_stop_closes_the_logs() {
    let disk = disk();
    let own = disk.clone();
    on_threads(&disk, &[], async move |threaded| {
        let mut client = client(&threaded).await;
        for topic in ["t", "gone"] {
            client.create(topic, &[]).await;
            client.produce_all(topic, &large(5)).await;
        }
        let deletion = own.hold_up(Call::SyncData, "/data/__meta-0/");
        client.begin_delete("gone").await;
        until("the deletion is being committed", || deletion.held_up() > 0).await;
        let closing = own.hold_up(Call::Write, LOG_OF_T);
        let stop = tokio::spawn(async move { threaded.broker.shutdown().await });
        until("a log is being closed", || closing.held_up() > 0).await;
        drop(deletion);
        assert!(!happens(A_WHILE, || !exists(&own, "/data/gone-0")).await, "it may be the next to be closed");
        drop(closing);
        stop.await.expect("a stop");
    });
    assert!(exists(&disk, CLEAN));
    disk.crash(Cut::Process);
    assert_eq!(read_back(&disk, "t"), large(5));
}

#[test]
fn a_stop_is_clean_only_if_there_was_room_for_a_log_that_was_being_closed() {
    for (times, clean) in [(1, true), (u64::MAX, false)] {
        let disk = disk();
        let own = disk.clone();
        on_threads(&disk, &[("log.flush.offset.checkpoint.interval.ms", "20")], async move |threaded| {
            let mut client = client(&threaded).await;
            client.create("t", &[]).await;
            let closing = own.hold_up(Call::Write, "/data/t-0/00000000000000000000.index");
            client.produce_all("t", &large(5)).await;
            until("it is closed as nobody uses it", || closing.held_up() > 0).await;
            own.fail(Rule {
                call: Call::Write,
                path_contains: "/data/t-0/00000000000000000000.index".into(),
                after: 0,
                times,
                failure: Failure::NoSpace,
            });
            let stop = tokio::spawn(async move { threaded.broker.shutdown().await });
            assert!(!happens(A_WHILE, || stop.is_finished()).await, "it waits for the log");
            drop(closing);
            stop.await.expect("a stop");
        });
        assert_eq!(exists(&disk, CLEAN), clean);
        disk.heal();
        disk.crash(Cut::Nothing);
        assert_eq!(read_back(&disk, "t"), large(5), "clean: {clean}");
    }
}

#[test]
fn a_log_that_is_being_closed_keeps_its_mark_until_it_is() {
    let disk = disk();
    let own = disk.clone();
    let entries = [("log.flush.offset.checkpoint.interval.ms", "20"), ("log.retention.check.interval.ms", "20")];
    on_threads(&disk, &entries, async move |threaded| {
        let mut client = client(&threaded).await;
        client.create("t", &[("retention.ms", "-1")]).await;
        client.produce_all("t", &large(5)).await;
        until("it is closed as nobody uses it", || unclean(&own) == 0).await;
        // Opens it, removes what is in it, and closes it again.
        let retention = own.hold_up(Call::Entry, LOG_OF_T);
        client.alter("t", "retention.ms", "1000").await;
        until("its records expire", || retention.held_up() > 0).await;
        assert!(!happens(A_WHILE, || unclean(&own) == 0).await, "it was written to");
        // It is not closed after all, and goes on with the mark it has.
        own.fail(Rule {
            call: Call::Open,
            path_contains: ".snapshot".into(),
            after: 0,
            times: 1,
            failure: Failure::NoSpace,
        });
        drop(retention);
        until("it is closed when there is room", || unclean(&own) == 0).await;
        assert_eq!(own.unmet_rules(), 0);
        // Where the first round found no room, a later one removes the records.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while client.offset("t", EARLIEST).await != 5 {
            assert!(tokio::time::Instant::now() < deadline, "its records go");
            tokio::task::yield_now().await;
        }
        assert_eq!(client.produce("t", -1, "value").await, (0, 5));
        threaded.broker.shutdown().await;
    });
    disk.crash(Cut::Nothing);
    assert_eq!(read_back(&disk, "t"), ["value"]);
}

/// Asks for a change of the topic `t`, which takes effect while a produce holds its log up, and for other things.
fn others_are_served_during<F>(change: impl FnOnce(Client) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let disk = disk();
    let own = disk.clone();
    on_threads(&disk, &[], async |threaded| {
        let (mut writing, mut other) = (client(&threaded).await, client(&threaded).await);
        for topic in ["t", "u"] {
            other.create(topic, &[]).await;
            other.produce_all(topic, &numbered("value", 0..5)).await;
        }
        let commit = own.hold_up(Call::SyncData, "/data/__meta-0/");
        let changed = tokio::spawn(change(client(&threaded).await));
        until("the change is being committed", || commit.held_up() > 0).await;
        let log = own.hold_up(Call::Write, LOG_OF_T);
        let written = tokio::spawn(async move { writing.produce("t", -1, "late").await });
        until("a produce has the log", || log.held_up() > 0).await;
        drop(commit);
        other.create("v", &[]).await;
        assert_eq!(other.produce("u", -1, "value").await, (0, 5));
        assert_eq!(other.fetch("u", 5).await, (0, vec!["value".to_owned()]));
        assert!(!changed.is_finished() && !written.is_finished());
        drop(log);
        assert_eq!(written.await.expect("a produce"), (0, 5));
        changed.await.expect("a change");
        threaded.broker.shutdown().await;
    });
}

#[test]
fn others_are_served_while_a_config_waits_for_a_log() {
    others_are_served_during(async |mut client| client.alter("t", "max.message.bytes", "2000000").await);
}

#[test]
fn others_are_served_while_a_deletion_of_records_waits_for_a_log() {
    others_are_served_during(async |mut client| client.delete_records("t", 3).await);
}

/// A fetch that waits for `BYTES_OF_EACH` bytes of each value in `t`, of which the first is there. The gate holds up its first look.
async fn begin_look(disk: &SimDisk, reading: &mut Client, writing: &mut Client, values: &[String]) -> Gate {
    const BYTES_OF_EACH: usize = 1_000;
    writing.create("t", &[]).await;
    writing.produce_all("t", &values[..1]).await;
    let look = disk.hold_up(Call::Read, LOG_OF_T);
    // Far longer than a call may take.
    reading.begin_fetch_of("t", 0, 300_000, (values.len() * BYTES_OF_EACH) as i32, 1 << 20).await;
    until("the fetch looks", || look.held_up() > 0).await;
    look
}

fn kilobytes(count: u32) -> Vec<String> {
    numbered("value", 0..count).into_iter().map(|value| value + &"x".repeat(1_000)).collect()
}

#[test]
fn what_is_appended_during_the_first_look_wakes_the_fetch() {
    let disk = disk();
    let own = disk.clone();
    on_threads(&disk, &[], async move |threaded| {
        let (mut reading, mut writing) = (client(&threaded).await, client(&threaded).await);
        let values = kilobytes(2);
        let look = begin_look(&own, &mut reading, &mut writing, &values).await;
        writing.produce_all("t", &values[1..]).await;
        drop(look);
        assert_eq!(reading.end_fetch().await, (0, values));
        threaded.broker.shutdown().await;
    });
}

#[test]
fn what_is_appended_during_a_later_look_wakes_the_fetch() {
    let disk = disk();
    let own = disk.clone();
    on_threads(&disk, &[], async move |threaded| {
        let (mut reading, mut writing) = (client(&threaded).await, client(&threaded).await);
        let values = kilobytes(3);
        drop(begin_look(&own, &mut reading, &mut writing, &values).await);
        let look = own.hold_up(Call::Read, LOG_OF_T);
        writing.produce_all("t", &values[1..2]).await;
        until("the fetch looks again", || look.held_up() > 0).await;
        writing.produce_all("t", &values[2..]).await;
        drop(look);
        assert_eq!(reading.end_fetch().await, (0, values));
        threaded.broker.shutdown().await;
    });
}
