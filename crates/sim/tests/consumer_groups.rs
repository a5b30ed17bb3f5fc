//! Consumer groups (KIP-848) over crashes and restarts of a lone broker.

#[path = "regressions/client.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod client;
#[path = "consumer_groups/consumer.rs"]
mod consumer;
#[path = "groups/member.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod member;

use std::time::Duration;

use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_sim::lone::{Lone, simulate};
use client::Client;
use consumer::Consumer;
use member::{Member, UNKNOWN_MEMBER_ID};

const GROUP: &str = "readers";
const GROUP_ID_NOT_FOUND: i16 = 69;
const STALE_MEMBER_EPOCH: i16 = 113;
/// No pause between assignments, so that none has to be waited for.
const AT_ONCE: (&str, &str) = ("group.consumer.assignment.interval.ms", "0");

/// A topic of one partition.
async fn topic(lone: &Lone) {
    Client::of(lone).await.create("t", &[]).await;
}

/// Two members at rest, one of which has the partition, and the disk after a crash.
fn crashed(cut: Cut) -> (Consumer, Consumer, SimDisk) {
    let disk = SimDisk::new(1);
    let (first, second) = simulate(&disk, &[AT_ONCE], async |lone| {
        topic(&lone).await;
        let mut first = Consumer::connect(&lone, GROUP, "first").await;
        let mut second = Consumer::connect(&lone, GROUP, "second").await;
        assert_eq!(first.beat_fully().await, (0, true));
        assert_eq!(first.commit(first.epoch, 7).await, 0);
        assert_eq!(second.beat_fully().await, (0, true));
        assert_eq!(first.beat_fully().await.0, 0);
        assert_eq!((first.owned.len(), second.owned.len()), (1, 0));
        assert_eq!((first.epoch, second.epoch), (2, 2));
        (first.disconnected(), second.disconnected())
    });
    disk.crash(cut);
    (first, second, disk)
}

#[test]
fn a_crash_loses_no_member_and_causes_no_rebalance() {
    for cut in [Cut::Process].into_iter().chain(Cut::POWER) {
        let (first, second, disk) = crashed(cut);
        simulate(&disk, &[AT_ONCE], async move |lone| {
            let (mut first, mut second) = (first.reconnected(&lone).await, second.reconnected(&lone).await);
            assert_eq!(first.beat().await, (0, false), "{cut:?}");
            assert_eq!(second.beat().await, (0, false), "{cut:?}");
            assert_eq!(first.described().await, ("Stable".to_owned(), 2, 2), "{cut:?}");
            assert_eq!(first.committed(first.epoch).await, Ok(7), "{cut:?}");
            assert_eq!(first.commit(first.epoch, 9).await, 0, "{cut:?}");
            assert_eq!(second.leave().await, 0, "{cut:?}");
        });
    }
}

#[test]
fn a_member_that_does_not_come_back_after_a_restart_is_replaced() {
    let (first, second, disk) = crashed(Cut::Process);
    simulate(&disk, &[AT_ONCE], async move |lone| {
        let (mut gone, mut second) = (first.reconnected(&lone).await, second.reconnected(&lone).await);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(second.beat_fully().await.0, 0);
        }
        assert_eq!(second.owned.len(), 1);
        assert_eq!(gone.beat().await.0, UNKNOWN_MEMBER_ID, "its session went on over the restart");
        assert_eq!(gone.commit(gone.epoch, 8).await, UNKNOWN_MEMBER_ID);
        assert_eq!(second.committed(second.epoch).await, Ok(7));
    });
}

#[test]
fn commits_of_the_past_are_refused() {
    simulate(&SimDisk::new(1), &[AT_ONCE], async |lone| {
        topic(&lone).await;
        let mut first = Consumer::connect(&lone, GROUP, "first").await;
        let mut second = Consumer::connect(&lone, GROUP, "second").await;
        assert_eq!(first.beat_fully().await, (0, true));
        assert_eq!(second.beat_fully().await, (0, true));
        assert_eq!(first.beat_fully().await.0, 0);
        assert_eq!(first.commit(1, 3).await, 0, "what it was given in that epoch it still has");
        assert_eq!(first.commit(3, 4).await, STALE_MEMBER_EPOCH);
        assert_eq!(second.commit(1, 5).await, STALE_MEMBER_EPOCH, "it never had it");
        assert_eq!(second.committed(1).await, Err(STALE_MEMBER_EPOCH));
        assert_eq!(second.committed(2).await, Ok(3));
        assert_eq!(first.commit(-1, 6).await, STALE_MEMBER_EPOCH);
        let mut stranger = Consumer::connect(&lone, GROUP, "stranger").await;
        assert_eq!(stranger.commit(2, 6).await, UNKNOWN_MEMBER_ID);
        assert_eq!(stranger.committed(2).await, Err(UNKNOWN_MEMBER_ID));
        assert_eq!((first.leave().await, second.leave().await), (0, 0));
        assert_eq!(stranger.commit(-1, 6).await, 0, "nobody else is there");
    });
}

#[test]
fn a_group_without_members_goes_to_the_other_protocol() {
    let disk = SimDisk::new(1);
    simulate(&disk, &[AT_ONCE], async |lone| {
        topic(&lone).await;
        let mut classic = Member::join_alone(&lone, GROUP).await;
        assert_eq!(classic.commit("t", 7, "").await, 0);
        assert_eq!(classic.leave().await, 0);
        let mut consumer = Consumer::connect(&lone, GROUP, "consumer").await;
        assert_eq!(consumer.beat_fully().await, (0, true));
        assert_eq!(consumer.committed(consumer.epoch).await, Ok(7));
        assert_eq!(consumer.leave().await, 0);
        assert_eq!(consumer.described().await.0, "Empty");
    });
    disk.crash(Cut::Process);
    simulate(&disk, &[AT_ONCE], async |lone| {
        let mut consumer = Consumer::connect(&lone, GROUP, "consumer").await;
        assert_eq!(consumer.described().await.0, "Empty", "what protocol it is of is not forgotten");
        let mut classic = Member::join_alone(&lone, GROUP).await;
        assert_eq!(classic.committed("t").await.0, 7);
        consumer.epoch = 1;
        assert_eq!(consumer.beat().await.0, GROUP_ID_NOT_FOUND);
    });
}

#[test]
fn a_group_with_members_is_upgraded_and_goes_back() {
    let disk = SimDisk::new(1);
    let (classic, consumer) = simulate(&disk, &[AT_ONCE], async |lone| {
        topic(&lone).await;
        let mut classic = Member::connect(&lone, GROUP).await;
        classic.begin_join().await;
        assert_eq!(classic.end_join().await.len(), 1);
        let assignment = "\0\0\0\0\0\u{1}\0\u{1}t\0\0\0\u{1}\0\0\0\0\0\0\0\0";
        classic.begin_sync(&[(&classic.member_id(), assignment)]).await;
        assert_eq!(classic.end_sync().await.0, 0);
        assert_eq!(classic.commit("t", 7, "").await, 0);
        let mut consumer = Consumer::connect(&lone, GROUP, "consumer").await;
        assert_eq!(consumer.beat_fully().await, (0, true));
        assert_eq!(consumer.owned.len(), 0, "the classic member has it");
        assert_eq!(consumer.described().await, ("Reconciling".to_owned(), 2, 2));
        (classic.disconnected(), consumer.disconnected())
    });
    disk.crash(Cut::Process);
    simulate(&disk, &[AT_ONCE], async move |lone| {
        let (mut classic, mut consumer) = (classic.reconnected(&lone).await, consumer.reconnected(&lone).await);
        assert_eq!(consumer.described().await.2, 2, "both are still in it");
        assert_eq!(classic.heartbeat().await, member::REBALANCE_IN_PROGRESS);
        classic.begin_join().await;
        assert_eq!(classic.end_join().await, Vec::<String>::new(), "nobody leads");
        classic.begin_sync(&[]).await;
        assert_eq!(classic.end_sync().await.0, 0);
        assert_eq!(classic.heartbeat().await, 0);
        assert_eq!(consumer.leave().await, 0);
        assert_eq!(classic.heartbeat().await, member::REBALANCE_IN_PROGRESS, "the group is classic again");
        classic.begin_join().await;
        assert_eq!(classic.end_join().await.len(), 1, "and led by its member");
        assert_eq!(classic.committed("t").await.0, 7);
    });
}

#[test]
fn a_refused_join_leaves_a_group_without_members_its_protocol() {
    simulate(&SimDisk::new(1), &[AT_ONCE], async |lone| {
        topic(&lone).await;
        let mut consumer = Consumer::connect(&lone, GROUP, "consumer").await;
        assert_eq!(consumer.beat_fully().await, (0, true));
        let mut gone = Member::connect(&lone, GROUP).await;
        assert_eq!(gone.ask_for_id().await, member::MEMBER_ID_REQUIRED);
        assert_eq!(consumer.leave().await, 0);
        assert_eq!(gone.ask_for_id().await, UNKNOWN_MEMBER_ID, "it says that it is known");
        assert_eq!(consumer.described().await.0, "Empty");
    });
}

#[test]
fn a_commit_to_no_group_is_refused_by_its_version() {
    simulate(&SimDisk::new(1), &[AT_ONCE], async |lone| {
        topic(&lone).await;
        let mut nobody = Consumer::connect(&lone, GROUP, "nobody").await;
        assert_eq!(nobody.commit(1, 7).await, GROUP_ID_NOT_FOUND);
        let mut old = Member::connect(&lone, GROUP).await;
        old.generation = 1;
        assert_eq!(old.commit("t", 7, "").await, member::ILLEGAL_GENERATION);
    });
}
