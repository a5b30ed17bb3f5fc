//! Consumer groups over crashes and restarts of a lone broker.

#[path = "regressions/client.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod client;
#[path = "groups/member.rs"]
mod member;

use std::time::Duration;

use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_sim::lone::{Lone, simulate};
use client::Client;
use member::{
    ILLEGAL_GENERATION, MEMBER_ID_REQUIRED, Member, NON_EMPTY_GROUP, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID,
};

const GROUP: &str = "readers";

async fn topic(lone: &Lone) {
    Client::of(lone).await.create("t", &[]).await;
}

/// A group of one member with a committed offset, and the disk after a crash.
fn crashed(cut: Cut) -> (Member, SimDisk) {
    let disk = SimDisk::new(1);
    let member = simulate(&disk, &[], async |lone| {
        topic(&lone).await;
        let mut member = Member::join_alone(&lone, GROUP).await;
        assert_eq!(member.commit("t", 7, "words").await, 0);
        member.disconnected()
    });
    disk.crash(cut);
    (member, disk)
}

#[test]
fn a_crash_loses_no_commit_and_causes_no_rebalance() {
    for cut in [Cut::Process].into_iter().chain(Cut::POWER) {
        let (member, disk) = crashed(cut);
        simulate(&disk, &[], async move |lone| {
            let mut member = member.reconnected(&lone).await;
            assert_eq!(member.heartbeat().await, 0, "{cut:?}");
            assert_eq!(member.committed("t").await, (7, "words".into()), "{cut:?}");
            assert_eq!(member.commit("t", 9, "").await, 0, "{cut:?}");
            assert_eq!(member.committed("t").await, (9, String::new()), "{cut:?}");
        });
    }
}

#[test]
fn a_member_that_does_not_come_back_after_a_restart_is_replaced() {
    let (member, disk) = crashed(Cut::Process);
    simulate(&disk, &[], async move |lone| {
        let mut gone = member.reconnected(&lone).await;
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(gone.heartbeat().await, UNKNOWN_MEMBER_ID, "its session went on over the restart");
        let mut next = Member::join_alone(&lone, GROUP).await;
        assert_eq!(next.committed("t").await, (7, "words".into()));
        assert!(next.generation > gone.generation);
        assert_eq!(gone.commit("t", 8, "").await, UNKNOWN_MEMBER_ID);
        assert_eq!(next.committed("t").await, (7, "words".into()));
    });
}

#[test]
fn two_members_share_and_an_old_generation_commits_nothing() {
    simulate(&SimDisk::new(1), &[], async |lone| {
        topic(&lone).await;
        let mut first = Member::join_alone(&lone, GROUP).await;
        let mut second = Member::connect(&lone, GROUP).await;
        second.begin_join().await;
        let told = async {
            while first.heartbeat().await == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), told).await.expect("the first member is told to join again");
        let mut late = first.disconnected().reconnected(&lone).await;
        first.begin_join().await;
        let members = first.end_join().await;
        assert_eq!((members.len(), second.end_join().await.len()), (2, 0), "the leader alone is told of all");
        assert_eq!(first.generation, second.generation);
        second.begin_sync(&[]).await;
        first.begin_sync(&[(&first.member_id(), "0"), (&second.member_id(), "1")]).await;
        assert_eq!((first.end_sync().await, second.end_sync().await), ((0, "0".into()), (0, "1".into())));
        assert_eq!(late.commit("t", 3, "").await, ILLEGAL_GENERATION, "what was held up comes too late");
        assert_eq!(first.committed("t").await.0, -1);
        assert_eq!(first.leave().await, 0);
        assert_eq!(second.heartbeat().await, REBALANCE_IN_PROGRESS);
    });
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    simulate(&SimDisk::new(1), &[], async |lone| {
        topic(&lone).await;
        let mut member = Member::join_alone(&lone, GROUP).await;
        assert_eq!(member.commit("t", 7, "words").await, 0);
        let mut client = Client::of(&lone).await;
        client.delete("t").await;
        client.create("t", &[]).await;
        assert_eq!(member.committed("t").await, (-1, String::new()));
    });
}

#[test]
fn a_group_that_only_gave_out_ids_is_deleted() {
    simulate(&SimDisk::new(1), &[], async |lone| {
        topic(&lone).await;
        let mut first = Member::connect(&lone, GROUP).await;
        assert_eq!(first.ask_for_id().await, MEMBER_ID_REQUIRED);
        assert_eq!(first.delete_group().await, 0);
        assert_eq!(first.ask_for_id().await, UNKNOWN_MEMBER_ID, "the id went with the group");
        let mut second = Member::join_alone(&lone, GROUP).await;
        assert_eq!(first.delete_group().await, NON_EMPTY_GROUP);
        assert_eq!(second.commit("t", 7, "").await, 0);
        assert_eq!(second.leave().await, 0);
        assert_eq!(first.delete_group().await, 0);
        assert_eq!(first.committed("t").await.0, -1);
    });
}

#[test]
fn groups_of_which_nothing_is_stored_are_bounded() {
    const MOST: usize = 10_000;
    const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    simulate(&SimDisk::new(1), &[], async |lone| {
        topic(&lone).await;
        assert_eq!(Member::join_alone(&lone, GROUP).await.commit("t", 7, "").await, 0);
        let mut asking = Member::connect(&lone, GROUP).await;
        for n in 0..MOST {
            asking.turn_to(format!("new-{n}"));
            assert_eq!(asking.ask_for_id().await, MEMBER_ID_REQUIRED, "{n}");
        }
        asking.turn_to("one-more".to_owned());
        assert_eq!(asking.ask_for_id().await, COORDINATOR_NOT_AVAILABLE);
        let mut known = Member::join_alone(&lone, GROUP).await;
        assert_eq!(known.committed("t").await.0, 7, "a stored group takes members all the same");
        tokio::time::sleep(Duration::from_secs(201)).await;
        assert_eq!(asking.ask_for_id().await, MEMBER_ID_REQUIRED, "the ids before it have expired");
    });
}

#[test]
fn offsets_are_deleted_where_no_member_subscribes() {
    const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    const GROUP_ID_NOT_FOUND: i16 = 69;
    const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
    simulate(&SimDisk::new(1), &[], async |lone| {
        topic(&lone).await;
        Client::of(&lone).await.create("other", &[]).await;
        let mut member = Member::join_alone(&lone, GROUP).await;
        for topic in ["t", "other"] {
            assert_eq!(member.commit(topic, 7, "").await, 0);
        }
        let refused = Ok([GROUP_SUBSCRIBED_TO_TOPIC, UNKNOWN_TOPIC_OR_PARTITION]);
        assert_eq!(member.delete_offsets("t").await, refused);
        assert_eq!(member.delete_offsets("other").await, Ok([0, UNKNOWN_TOPIC_OR_PARTITION]));
        assert_eq!((member.committed("t").await.0, member.committed("other").await.0), (7, -1));
        assert_eq!(member.leave().await, 0);
        assert_eq!(member.delete_offsets("t").await, Ok([0, UNKNOWN_TOPIC_OR_PARTITION]));
        assert_eq!(member.committed("t").await.0, -1);
        member.turn_to("nobody".to_owned());
        assert_eq!(member.delete_offsets("t").await, Err(GROUP_ID_NOT_FOUND));
    });
}

/// What has expired is found and deleted while others commit: some just before, some just after, some in between.
#[test]
fn a_commit_at_the_moment_of_expiry_stays() {
    const GROUPS: usize = 60;
    const RETENTION: Duration = Duration::from_secs(60);
    const EARLY: Duration = Duration::from_millis(90);
    let entries = [("offsets.retention.minutes", "1"), ("offsets.retention.check.interval.ms", "7")];
    for shift_ms in 0..5 {
        let expired = simulate(&SimDisk::new(1), &entries, async move |lone| {
            topic(&lone).await;
            let mut committer = Member::connect(&lone, GROUP).await;
            let group = |n: usize| format!("group-{n}");
            let mut committed = Vec::new();
            for n in 0..=GROUPS {
                committer.turn_to(group(n));
                assert_eq!(committer.commit("t", 7, "").await, 0);
                committed.push(tokio::time::Instant::now());
            }
            // Each takes longer than its first commit did: it comes a little later after that than the one before.
            for (n, committed) in committed.iter().enumerate().take(GROUPS) {
                committer.turn_to(group(n));
                tokio::time::sleep_until(*committed + RETENTION - EARLY + Duration::from_millis(shift_ms)).await;
                assert_eq!(committer.commit("t", 8, "").await, 0);
                assert_eq!(committer.committed("t").await.0, 8, "group {n}, {shift_ms}");
            }
            committer.turn_to(group(GROUPS));
            committer.committed("t").await.0 == -1
        });
        assert!(expired, "what nobody commits again is gone by then");
    }
}

/// Whoever joins subscribes, and from then on nobody deletes what it commits.
#[test]
fn a_deletion_beside_a_member_that_joins_takes_none_of_its_commits() {
    const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
    let (mut deleted, mut refused) = (0, 0);
    for wait_ms in 0..30 {
        let outcome = simulate(&SimDisk::new(1), &[], async move |lone| {
            topic(&lone).await;
            let (mut member, mut other) = (Member::connect(&lone, GROUP).await, Member::connect(&lone, GROUP).await);
            assert_eq!(other.commit("t", 5, "").await, 0);
            let joining = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                member.begin_join().await;
                member.end_join().await;
                member.begin_sync(&[(&member.member_id(), "all")]).await;
                assert_eq!(member.end_sync().await, (0, "all".into()));
                assert_eq!(member.commit("t", 7, "").await, 0);
            };
            let deleting = async {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                other.delete_offsets("t").await
            };
            let ((), outcome) = tokio::join!(joining, deleting);
            assert_eq!(member.committed("t").await.0, 7, "{outcome:?} after {wait_ms} ms");
            outcome
        });
        match outcome {
            Ok([0, _]) => deleted += 1,
            Ok([GROUP_SUBSCRIBED_TO_TOPIC, _]) => refused += 1,
            other => panic!("{other:?} after {wait_ms} ms"),
        }
    }
    assert!(deleted > 0 && refused > 0, "{deleted} before the member, {refused} after it");
}

#[test]
fn a_timer_of_a_group_that_is_gone_leaves_its_namesake_alone() {
    simulate(&SimDisk::new(1), &[], async |lone| {
        topic(&lone).await;
        let mut first = Member::join_alone(&lone, GROUP).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(first.leave().await, 0);
        assert_eq!(first.delete_group().await, 0);
        let mut second = Member::join_alone(&lone, GROUP).await;
        // Beyond the time when the first would have been given up, and short of the second's.
        tokio::time::sleep(Duration::from_millis(9_800)).await;
        assert_eq!(second.heartbeat().await, 0);
        tokio::time::sleep(Duration::from_millis(10_200)).await;
        assert_eq!(second.heartbeat().await, UNKNOWN_MEMBER_ID, "it has a timer of its own");
    });
}
