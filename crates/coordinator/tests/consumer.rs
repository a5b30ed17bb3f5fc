//! Scenarios of a consumer group (KIP-848).

mod consumer_world;

use chronik_coordinator::{Commits, Heartbeat};
use chronik_protocol::error::ErrorCode;
use consumer_world::*;

fn refused(outcome: Result<impl std::fmt::Debug, chronik_coordinator::Refusal>) -> ErrorCode {
    outcome.expect_err("it is refused").error
}

/// Two members that share the four partitions of `t`.
fn pair() -> (Bench, Client, Client) {
    let mut bench = Bench::new(&[("t", 4)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    settle(&mut bench, &mut [&mut a, &mut b]);
    (bench, a, b)
}

#[test]
fn the_first_member_has_all_at_once() {
    let mut bench = Bench::new(&[("t", 2), ("u", 1)]);
    let a = Client::new("", &["t", "u", "no-such-topic"]);
    let answer = bench.beat(a.full()).expect("it joins");
    assert_eq!(answer.member_id, "made-1");
    assert_eq!((answer.member_epoch, answer.heartbeat_interval_ms), (1, 5_000));
    assert_eq!(bench.names(&answer.assignment.expect("it is told")), ["t-0", "t-1", "u-0"]);
    assert_eq!((bench.state(), bench.writes), ("Stable", 1));
}

#[test]
fn a_heartbeat_that_changes_nothing_tells_and_writes_nothing() {
    let (mut bench, a, _) = pair();
    let writes = bench.writes;
    let answer = bench.beat(a.brief()).expect("it is a member");
    assert_eq!((answer.member_epoch, answer.assignment), (a.epoch, None));
    let told = bench.beat(a.full()).expect("it is a member").assignment;
    assert_eq!(told, Some(a.owned), "who says all is told all");
    assert_eq!(bench.writes, writes);
}

#[test]
fn a_partition_moves_after_its_owner_has_let_go() {
    let mut bench = Bench::new(&[("t", 4)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut bench).expect("it joins");
    b.beat(&mut bench).expect("it joins");
    assert_eq!((b.epoch, b.has(&bench)), (2, vec![]), "all is still the other's");
    assert_eq!(bench.state(), "Reconciling");
    let answer = bench.beat(a.brief()).expect("it is a member");
    assert_eq!(answer.member_epoch, 1, "its epoch waits for it to let go");
    let kept = answer.assignment.expect("it is told to let go");
    assert_eq!(bench.names(&kept), ["t-0", "t-1"]);
    b.beat(&mut bench).expect("it is a member");
    assert_eq!(b.has(&bench), Vec::<String>::new());
    // It still lists them.
    assert_eq!(bench.beat(a.full()).expect("it is a member").member_epoch, 1);
    b.beat(&mut bench).expect("it is a member");
    assert_eq!(b.has(&bench), Vec::<String>::new());
    a.owned = kept;
    assert_eq!(bench.beat(a.full()).expect("it is a member").member_epoch, 2);
    b.beat(&mut bench).expect("it is a member");
    assert_eq!(b.has(&bench), ["t-2", "t-3"]);
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn who_leaves_gives_all_to_the_others() {
    let (mut bench, mut a, b) = pair();
    let left = bench.beat(Heartbeat { member_epoch: -1, ..b.brief() }).expect("it leaves");
    assert_eq!(left.member_epoch, -1);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.has(&bench).len(), 4);
    assert_eq!(refused(bench.beat(b.brief())), ErrorCode::UnknownMemberId);
    bench.beat(Heartbeat { member_epoch: -1, ..a.brief() }).expect("it leaves");
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn who_is_not_heard_of_is_given_up() {
    let (mut bench, mut a, b) = pair();
    bench.now_ms += SESSION_MS - 1_000;
    a.beat(&mut bench).expect("it is a member");
    assert_eq!(bench.pass(1_000), ["b"]);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.has(&bench).len(), 4);
    assert_eq!(refused(bench.beat(b.brief())), ErrorCode::UnknownMemberId);
}

#[test]
fn who_does_not_let_go_in_time_is_given_up() {
    let (mut bench, mut a, mut b) = pair();
    let mut c = Client::new("c", &["t"]);
    c.beat(&mut bench).expect("it joins");
    b.beat(&mut bench).expect("it lets go of what it has to");
    a.beat(&mut bench).expect("it is a member");
    // One of the two had to give one up, and does not say that it has.
    let slow = if bench.member("a").expect("it is there").epoch < 3 { "a" } else { "b" };
    let beats = i64::from(REBALANCE_MS) / 10_000;
    for beat in 1..=beats {
        let gone = bench.pass(10_000);
        assert_eq!(gone.contains(&slow.to_owned()), beat == beats, "{beat} {gone:?}");
        for client in [&a, &b, &c] {
            // Briefly: a member that says nothing of its partitions still has them.
            let _ = bench.beat(client.brief());
        }
    }
}

#[test]
fn epochs_are_checked() {
    let (mut bench, mut a, mut b) = pair();
    bench.world.put("t", 6);
    settle(&mut bench, &mut [&mut a, &mut b]);
    let with_epoch = |client: &Client, member_epoch| Heartbeat { member_epoch, ..client.full() };
    assert_eq!(refused(bench.beat(with_epoch(&a, a.epoch + 1))), ErrorCode::FencedMemberEpoch);
    assert_eq!(refused(bench.beat(with_epoch(&a, a.epoch - 2))), ErrorCode::FencedMemberEpoch);
    // The answer that raised it may have been lost.
    assert_eq!(bench.beat(with_epoch(&a, a.epoch - 1)).expect("its last epoch").member_epoch, a.epoch);
    let other = Heartbeat { owned: Some(b.owned.clone()), ..with_epoch(&a, a.epoch - 1) };
    assert_eq!(refused(bench.beat(other)), ErrorCode::FencedMemberEpoch, "it has what is another's");
    let again = Heartbeat { owned: Some(Default::default()), ..with_epoch(&a, 0) };
    let answer = bench.beat(again).expect("it joins again");
    assert_eq!((answer.member_epoch, answer.assignment), (a.epoch, Some(a.owned)));
    assert_eq!(refused(bench.beat(Client { epoch: 1, ..Client::new("x", &["t"]) }.full())), ErrorCode::UnknownMemberId);
}

#[test]
fn requests_are_checked() {
    let (mut bench, a, _) = pair();
    let join = || Heartbeat { owned: Some(Default::default()), member_epoch: 0, ..a.full() };
    let invalid = [
        Heartbeat { member_id: String::new(), member_epoch: 1, ..a.full() },
        Heartbeat { member_id: String::new(), member_epoch: -1, ..a.full() },
        Heartbeat { instance_id: Some(String::new()), ..join() },
        Heartbeat { rack_id: Some(String::new()), ..join() },
        Heartbeat { rebalance_timeout_ms: None, ..join() },
        Heartbeat { owned: None, ..join() },
        Heartbeat { owned: Some(a.owned.clone()), ..join() },
        Heartbeat { subscribed_names: None, subscribed_regex: None, ..join() },
        Heartbeat { member_epoch: -2, ..a.full() },
        Heartbeat { member_epoch: -3, ..a.full() },
    ];
    for beat in invalid {
        assert_eq!(refused(bench.beat(beat.clone())), ErrorCode::InvalidRequest, "{beat:?}");
    }
    let unsupported = Heartbeat { server_assignor: Some("sticky".into()), ..join() };
    assert_eq!(refused(bench.beat(unsupported)), ErrorCode::UnsupportedAssignor);
    let bad = Heartbeat { subscribed_regex: Some("(".into()), ..join() };
    let writes = bench.writes;
    assert_eq!(refused(bench.beat(bad)), ErrorCode::InvalidRegularExpression);
    assert_eq!(bench.writes, writes);
    bench.settings.max_size = 2;
    assert_eq!(refused(bench.beat(Client::new("c", &["t"]).full())), ErrorCode::GroupMaxSizeReached);
    bench.beat(join()).expect("a member of a full group may join again");
}

#[test]
fn a_static_member_that_stays_away_for_a_while_keeps_its_part() {
    let mut bench = Bench::new(&[("t", 4)]);
    let (mut a, mut b) = (Client::new("a", &["t"]).fixed("i"), Client::new("b", &["t"]));
    settle(&mut bench, &mut [&mut a, &mut b]);
    let mut back = Client::new("a2", &["t"]).fixed("i");
    assert_eq!(refused(bench.beat(back.full())), ErrorCode::UnreleasedInstanceId);
    let left = bench.beat(Heartbeat { member_epoch: -2, ..a.brief() }).expect("it goes");
    assert_eq!(left.member_epoch, -2);
    b.beat(&mut bench).expect("it is a member");
    assert_eq!(b.has(&bench).len(), 2);
    let (had, epoch) = (a.owned.clone(), bench.group.epoch());
    back.beat(&mut bench).expect("it comes back");
    assert_eq!((&back.owned, back.epoch, bench.group.epoch()), (&had, epoch, epoch), "no rebalance");
    assert_eq!(refused(bench.beat(a.brief())), ErrorCode::FencedInstanceId);
    assert!(bench.member("a").is_none());
    // Away for too long.
    bench.beat(Heartbeat { member_epoch: -2, ..back.brief() }).expect("it goes");
    bench.now_ms += SESSION_MS - 1;
    b.beat(&mut bench).expect("it is a member");
    assert_eq!(bench.pass(1), ["a2"]);
    settle(&mut bench, &mut [&mut b]);
    assert_eq!(b.has(&bench).len(), 4);
}

#[test]
fn new_topics_and_partitions_are_assigned() {
    let (mut bench, mut a, mut b) = pair();
    let epoch = bench.group.epoch();
    bench.world.put("other", 3);
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert_eq!(bench.group.epoch(), epoch, "nobody subscribes to it");
    bench.world.put("t", 6);
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert_eq!(bench.group.epoch(), epoch + 1);
    assert_eq!((a.has(&bench).len(), b.has(&bench).len()), (3, 3));
    bench.world.remove("t");
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert!(a.owned.is_empty() && b.owned.is_empty());
}

#[test]
fn a_pattern_takes_in_new_topics() {
    let mut bench = Bench::new(&[("orders-eu", 1), ("orders", 1), ("invoices", 1)]);
    let mut a = Client { regex: Some("orders-.*".into()), ..Client::new("a", &["invoices"]) };
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.has(&bench), ["invoices-0", "orders-eu-0"]);
    assert_eq!(bench.group.subscribed_topics().into_iter().collect::<Vec<_>>(), ["invoices", "orders-eu"]);
    bench.world.put("orders-us", 2);
    bench.now_ms += 10_000;
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.has(&bench), ["invoices-0", "orders-eu-0", "orders-us-0", "orders-us-1"]);
    a.regex = Some(String::new());
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.has(&bench), ["invoices-0"]);
}

#[test]
fn another_subscription_takes_away_what_is_not_in_it() {
    let mut bench = Bench::new(&[("t", 2), ("u", 2)]);
    let (mut a, mut b) = (Client::new("a", &["t", "u"]), Client::new("b", &["t", "u"]));
    settle(&mut bench, &mut [&mut a, &mut b]);
    a.names = vec!["t".into()];
    b.names = vec!["u".into()];
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert_eq!(a.has(&bench), ["t-0", "t-1"]);
    assert_eq!(b.has(&bench), ["u-0", "u-1"]);
}

#[test]
fn the_range_assignor_keeps_numbers_together() {
    let mut bench = Bench::new(&[("t", 3), ("u", 3)]);
    let range = |name: &str| Client { assignor: Some("range".into()), ..Client::new(name, &["t", "u"]) };
    let (mut a, mut b, mut i) = (range("a"), range("b"), range("z").fixed("i"));
    settle(&mut bench, &mut [&mut a, &mut b, &mut i]);
    assert_eq!(i.has(&bench), ["t-0", "u-0"], "static members come first");
    assert_eq!(a.has(&bench), ["t-1", "u-1"]);
    assert_eq!(b.has(&bench), ["t-2", "u-2"]);
    assert_eq!(bench.with(|group, view| group.summary(view).assignor), "range");
}

#[test]
fn assignments_are_not_made_too_often() {
    let mut bench = Bench::new(&[("t", 4)]);
    bench.settings.assignment_interval_ms = 1_000;
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.beat(&mut bench).expect("it joins");
    b.beat(&mut bench).expect("it joins");
    assert_eq!((b.epoch, bench.state()), (1, "Assigning"));
    bench.now_ms += 999;
    b.beat(&mut bench).expect("it is a member");
    assert_eq!(bench.state(), "Assigning");
    bench.now_ms += 1;
    b.beat(&mut bench).expect("it is a member");
    assert_eq!((b.epoch, bench.state()), (2, "Reconciling"));
}

#[test]
fn a_restart_is_not_noticed() {
    let (mut bench, mut a, mut b) = pair();
    let (writes, epoch) = (bench.writes, bench.group.epoch());
    bench.now_ms += SESSION_MS - 1;
    bench.restart();
    assert_eq!(bench.pass(SESSION_MS - 1), Vec::<String>::new(), "a whole session to be heard of again");
    for client in [&mut a, &mut b] {
        let answer = bench.beat(client.brief()).expect("it is a member");
        assert_eq!((answer.member_epoch, answer.assignment), (client.epoch, None));
    }
    assert_eq!((bench.writes, bench.group.epoch()), (writes, epoch));
    bench.world.put("t", 6);
    bench.restart();
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert_eq!(bench.group.epoch(), epoch + 1, "topics that came meanwhile are noticed");
}

#[test]
fn commits_are_checked_against_epochs() {
    let (mut bench, mut a, mut b) = pair();
    let t = bench.world.id("t");
    let check = |bench: &Bench, member: &str, epoch| bench.group.check_commit(member, epoch, true);
    assert_eq!(check(&bench, "a", a.epoch), Ok(Commits::All));
    assert_eq!(check(&bench, "a", a.epoch + 1), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(check(&bench, "x", a.epoch), Err(ErrorCode::UnknownMemberId));
    assert_eq!(check(&bench, "", -1), Err(ErrorCode::UnknownMemberId), "the group has members");
    assert_eq!(bench.group.check_commit("a", a.epoch, false), Err(ErrorCode::UnsupportedVersion));
    // In an epoch of the past, what it had then and has still.
    assert_eq!(check(&bench, "a", 1), Ok(Commits::Given(ErrorCode::StaleMemberEpoch)));
    let first = *a.owned[&t].first().expect("it has two");
    assert!(bench.group.gave("a", 1, t, first));
    assert!(!bench.group.gave("b", 1, t, *b.owned[&t].first().expect("it has two")), "it was given later");
    assert!(!bench.group.gave("a", 1, t, *b.owned[&t].first().expect("it has two")));
    assert_eq!(bench.group.check_fetch(Some("a"), a.epoch), Ok(()));
    assert_eq!(bench.group.check_fetch(Some("a"), 1), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(bench.group.check_fetch(Some("x"), 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(bench.group.check_fetch(None, -1), Ok(()));
    for client in [&mut a, &mut b] {
        bench.beat(Heartbeat { member_epoch: -1, ..client.brief() }).expect("it leaves");
    }
    assert_eq!(check(&bench, "", -1), Ok(Commits::All));
}

#[test]
fn an_instance_id_that_its_member_gave_up_is_free() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut a = Client::new("a", &["t"]).fixed("i");
    a.beat(&mut bench).expect("it joins");
    let mut renamed = Client::new("a", &["t"]).fixed("j");
    renamed.beat(&mut bench).expect("it joins under another name");
    assert_eq!(refused(bench.beat(a.brief())), ErrorCode::UnknownMemberId);
    let mut b = Client::new("b", &["t"]).fixed("i");
    b.beat(&mut bench).expect("nobody is there under its name");
    settle(&mut bench, &mut [&mut renamed, &mut b]);
    bench.restart();
    settle(&mut bench, &mut [&mut renamed, &mut b]);
}

#[test]
fn a_member_that_is_back_before_its_end_is_stored_finds_no_old_target() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut a = Client::new("a", &["t"]);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(bench.disk.targets.len(), 1);
    bench.settings.assignment_interval_ms = 1_000_000;
    bench.beat_unstored(Heartbeat { member_epoch: -1, ..a.brief() }).expect("it leaves");
    let back = bench.beat(Client::new("a", &["t"]).full()).expect("it joins");
    assert_eq!(back.assignment, Some(Default::default()), "it is too soon to assign");
    let stored: Vec<_> = bench.disk.targets.iter().map(|(_, target)| target.len()).collect();
    assert_eq!(stored, [0]);
}

/// A timer fires for what was due when it was set.
#[test]
fn a_timer_that_fires_late_leaves_a_group_alone_that_moved_on() {
    let late = |bench: &mut Bench, ms: i64| {
        let before = (format!("{:?}", bench.group), bench.writes);
        assert_eq!(bench.pass(ms), [""; 0]);
        assert_eq!((format!("{:?}", bench.group), bench.writes), before);
    };
    let mut bench = Bench::new(&[("t", 2)]);
    let (mut first, mut second) = (Client::new("first", &["t"]), Client::new("second", &["t"]));
    settle(&mut bench, &mut [&mut first]);
    // The second asks for half of what the first has: its time to let go begins with its next heartbeat.
    second.beat(&mut bench).unwrap();
    first.beat(&mut bench).unwrap();
    let asked_ms = bench.now_ms;
    settle(&mut bench, &mut [&mut first, &mut second]);
    // Both are heard of, just before they would be given up.
    while bench.now_ms < asked_ms + i64::from(REBALANCE_MS) {
        bench.now_ms += SESSION_MS - 1;
        first.beat(&mut bench).unwrap();
        second.beat(&mut bench).unwrap();
        late(&mut bench, 1);
    }
    assert_eq!((first.has(&bench).len(), second.has(&bench).len()), (1, 1));
    bench.with(|group, _| group.end());
    bench.now_ms += 10 * SESSION_MS;
    assert_eq!(bench.group.next_deadline_ms(), None);
}
