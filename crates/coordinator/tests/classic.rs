//! The classic protocol, case by case.

mod common;

use bytes::Bytes;
use chronik_coordinator::{ClassicGroup, Effects, Join, Settings, State};
use chronik_protocol::error::ErrorCode;
use common::*;

#[test]
fn the_first_member_does_not_wait() {
    let mut world = World::new(SETTINGS);
    let joined = world.join(join(""));
    assert_eq!((joined.error, joined.generation, joined.protocol.as_deref()), (ErrorCode::None, 1, Some("range")));
    assert_eq!(joined.members.len(), 1, "the leader is told of all members");
    assert_eq!(world.group.state(), State::CompletingRebalance);
    let waiter = world.begin_sync(&joined.member_id, 1, &[(&joined.member_id, "0,1,2")]);
    assert_eq!(world.synced(waiter), None, "not before the assignment is durable");
    world.settle(Ok(()));
    let synced = world.synced(waiter).expect("answered").expect("assigned");
    assert_eq!((synced.assignment, synced.protocol.as_deref()), (Bytes::from("0,1,2"), Some("range")));
    assert_eq!(world.group.state(), State::Stable);
    assert_eq!(world.disk.as_ref().expect("stored").members[0].assignment, "0,1,2");
}

#[test]
fn a_member_without_an_id_gets_one_first() {
    let mut world = World::new(SETTINGS);
    let asked = world.join(Join { requires_member_id: true, ..join("") });
    assert_eq!((asked.error, asked.generation), (ErrorCode::MemberIdRequired, -1));
    assert!(world.group.members().is_empty() && !world.group.is_idle());
    let joined = world.join(Join { requires_member_id: true, ..join(&asked.member_id) });
    assert_eq!((joined.error, joined.member_id), (ErrorCode::None, asked.member_id));
    // An id that nobody came back with is forgotten.
    let mut world = World::new(SETTINGS);
    let asked = world.join(Join { requires_member_id: true, ..join("") });
    world.pass(i64::from(SESSION_MS));
    assert!(world.group.is_idle());
    assert_eq!(world.join(join(&asked.member_id)).error, ErrorCode::UnknownMemberId);
}

#[test]
fn a_second_member_makes_the_first_join_again() {
    let mut world = World::new(SETTINGS);
    let (first, generation) = world.alone(join(""));
    let second = world.begin_join(join(""));
    assert_eq!(world.heartbeat(&first, generation), Err(ErrorCode::RebalanceInProgress));
    let again = world.join(join(&first));
    let second = world.joined(second).expect("all are there");
    assert_eq!((again.generation, second.generation), (2, 2));
    assert_eq!((again.members.len(), second.members.len()), (2, 0), "the leader alone is told of the members");
    let ids = (first.as_str(), second.member_id.as_str());
    let waiting = world.begin_sync(ids.1, 2, &[]);
    assert_eq!(world.synced(waiting), None);
    assert_eq!(world.sync(ids.0, 2, &[(ids.0, "a"), (ids.1, "b")]), Ok("a".into()));
    assert_eq!(world.synced(waiting).expect("answered").expect("assigned").assignment, "b");
    assert_eq!(world.heartbeat(ids.1, 2), Ok(()));
    assert_eq!(world.heartbeat(ids.1, 1), Err(ErrorCode::IllegalGeneration));
}

#[test]
fn a_silent_member_is_removed_and_the_others_rebalance() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(join(""));
    let second = world.begin_join(join(""));
    world.join(join(&first));
    let second = world.joined(second).expect("joined").member_id;
    assert_eq!(world.sync(&first, 2, &[]), Ok(Bytes::new()), "who is left out is assigned nothing");
    assert_eq!(world.sync(&second, 2, &[]), Ok(Bytes::new()));
    world.pass(i64::from(SESSION_MS) - 1);
    assert_eq!(world.heartbeat(&first, 2), Ok(()));
    world.pass(2);
    assert_eq!(world.heartbeat(&first, 2), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(world.heartbeat(&second, 2), Err(ErrorCode::UnknownMemberId));
    let alone = world.join(join(&first));
    assert_eq!((alone.generation, alone.members.len()), (3, 1));
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(Join { session_timeout_ms: 300_000, ..join("") });
    let second = world.begin_join(join(""));
    world.pass(i64::from(REBALANCE_MS) - 1);
    assert_eq!(world.joined(second), None);
    world.pass(1);
    let second = world.joined(second).expect("the time for joining is over");
    assert_eq!((second.generation, &second.leader, second.members.len()), (2, &second.member_id, 1));
    assert_eq!(world.heartbeat(&first, 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(Join { session_timeout_ms: 300_000, ..join("") });
    let second = world.begin_join(Join { session_timeout_ms: 300_000, ..join("") });
    let leads = world.join(Join { session_timeout_ms: 300_000, ..join(&first) });
    assert_eq!((world.joined(second).is_some(), leads.leader), (true, first.clone()));
    let waiting = world.begin_sync(&first, 2, &[]);
    world.settle(Ok(()));
    assert_eq!(world.synced(waiting).map(|synced| synced.is_ok()), Some(true));
    world.pass(i64::from(REBALANCE_MS));
    assert_eq!(world.group.members().len(), 1, "the one that never synced");
    assert_eq!(world.heartbeat(&first, 2), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn who_waited_long_for_an_assignment_has_time_to_join_again() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(join(""));
    let second = world.begin_join(join(""));
    world.join(join(&first));
    let second = world.joined(second).expect("joined").member_id;
    let waiting = world.begin_sync(&second, 2, &[]);
    for _ in 0..3 {
        world.pass(i64::from(SESSION_MS) / 2);
        assert_eq!(world.heartbeat(&first, 2), Ok(()), "the leader takes its time");
    }
    world.leave(&[(&first, None)]);
    assert_eq!(world.synced(waiting), Some(Err(ErrorCode::RebalanceInProgress)));
    world.pass(i64::from(SESSION_MS) - 1);
    let alone = world.join(join(&second));
    assert_eq!((alone.error, alone.members.len()), (ErrorCode::None, 1));
}

#[test]
fn a_lost_answer_is_given_again_without_a_rebalance() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(join(""));
    let second = world.begin_join(join(""));
    world.join(join(&first));
    let second = world.joined(second).expect("joined");
    let again = world.join(join(&second.member_id));
    assert_eq!(again, second, "while the leader assigns");
    world.sync(&first, 2, &[(&first, "a"), (&second.member_id, "b")]).expect("assigned");
    assert_eq!(world.join(join(&second.member_id)), second, "and when the group is stable");
    assert_eq!(world.sync(&second.member_id, 2, &[]), Ok("b".into()));
    let changed = Join { protocols: protocols(&["range", "sticky"]), ..join(&second.member_id) };
    let waiting = world.begin_join(changed);
    assert_eq!(world.joined(waiting), None, "another subscription is another generation");
    assert_eq!(world.join(join(&first)).generation, 3);
}

#[test]
fn the_leader_asks_for_a_rebalance_by_joining_again() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(join(""));
    assert_eq!(world.join(join(&first)).generation, 2);
}

#[test]
fn all_leave_and_the_group_is_empty_and_stored_so() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(join(""));
    assert_eq!(world.leave(&[(&first, None), ("nobody", None)]), [Ok(()), Err(ErrorCode::UnknownMemberId)]);
    assert_eq!((world.group.state(), world.group.generation(), world.group.protocol()), (State::Empty, 2, None));
    world.settle(Ok(()));
    let stored = world.disk.clone().expect("stored");
    assert_eq!((stored.generation, stored.members.len(), stored.protocol_type.as_deref()), (2, 0, Some("consumer")));
    // The next generation goes on from there, whatever the type of protocol.
    let joined = world.join(Join { protocol_type: "connect".into(), ..join("") });
    assert_eq!((joined.generation, joined.protocol_type.as_deref()), (3, Some("connect")));
}

#[test]
fn the_protocol_all_support_wins_by_votes() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(Join { protocols: protocols(&["range", "sticky", "own"]), ..join("") });
    let refused = world.join(Join { protocols: protocols(&["other"]), ..join("") });
    assert_eq!(refused.error, ErrorCode::InconsistentGroupProtocol);
    let other = world.join(Join { protocol_type: "connect".into(), ..join("") });
    assert_eq!(other.error, ErrorCode::InconsistentGroupProtocol);
    let second = world.begin_join(Join { protocols: protocols(&["sticky", "range"]), ..join("") });
    let third = world.begin_join(Join { protocols: protocols(&["sticky", "range", "x"]), ..join("") });
    let joined = world.join(Join { protocols: protocols(&["range", "sticky", "own"]), ..join(&first) });
    assert_eq!(joined.protocol.as_deref(), Some("sticky"));
    assert!(joined.members.iter().all(|member| member.metadata == "topics by sticky"));
    assert_eq!((world.joined(second).is_some(), world.joined(third).is_some()), (true, true));
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut world = World::new(SETTINGS);
    let (first, generation) = world.alone(static_join("", "a"));
    let waiter = world.begin_join(static_join("", "a"));
    assert_eq!(world.joined(waiter), None, "not before its new id is durable");
    world.settle(Ok(()));
    let back = world.joined(waiter).expect("answered");
    assert_eq!((back.error, back.generation, back.skip_assignment), (ErrorCode::None, generation, true));
    assert_eq!((&back.leader, back.members.len()), (&back.member_id, 1), "it leads, but need not assign");
    assert_ne!(back.member_id, first);
    assert_eq!(world.sync(&back.member_id, generation, &[]), Ok("all".into()), "its assignment is what it was");
    let fenced = world.group.heartbeat(world.now_ms, &first, Some("a"), generation);
    assert_eq!(fenced, Err(ErrorCode::FencedInstanceId));
    assert_eq!(world.join(static_join(&first, "a")).error, ErrorCode::FencedInstanceId);
    // An older client is told that another leads, so that it does not assign.
    let waiter = world.begin_join(Join { can_skip_assignment: false, ..static_join("", "a") });
    world.settle(Ok(()));
    let old = world.joined(waiter).expect("answered");
    assert_eq!((old.leader, old.members.len(), old.skip_assignment), (back.member_id, 0, false));
}

#[test]
fn a_static_member_whose_return_cannot_be_stored_is_its_former_self() {
    let mut world = World::new(SETTINGS);
    let (first, generation) = world.alone(static_join("", "a"));
    let waiter = world.begin_join(static_join("", "a"));
    world.settle(Err(ErrorCode::KafkaStorageError));
    assert_eq!(world.joined(waiter).expect("answered").error, ErrorCode::KafkaStorageError);
    assert_eq!(world.group.heartbeat(world.now_ms, &first, Some("a"), generation), Ok(()));
    assert_eq!(world.group.leader(), Some(first.as_str()));
}

#[test]
fn a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    let mut world = World::new(SETTINGS);
    let (away, _) = world.alone(Join { session_timeout_ms: 200_000, ..static_join("", "a") });
    let second = world.begin_join(join(""));
    world.pass(i64::from(REBALANCE_MS));
    let second = world.joined(second).expect("the time for joining is over");
    assert_eq!((second.generation, &second.leader, second.members.len()), (2, &second.member_id, 2));
    assert_eq!(world.sync(&second.member_id, 2, &[(&away, "a"), (&second.member_id, "b")]), Ok("b".into()));
    assert_eq!(
        world.leave(&[("", Some("b")), ("x", Some("a"))]),
        [Err(ErrorCode::UnknownMemberId), Err(ErrorCode::FencedInstanceId)]
    );
    assert_eq!(world.leave(&[("", Some("a"))]), [Ok(())], "an operator removes it by its instance id");
    assert_eq!(world.heartbeat(&second.member_id, 2), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn an_assignment_that_cannot_be_stored_is_nobodys() {
    let mut world = World::new(SETTINGS);
    let joined = world.join(join(""));
    let waiter = world.begin_sync(&joined.member_id, 1, &[(&joined.member_id, "all")]);
    world.settle(Err(ErrorCode::KafkaStorageError));
    assert_eq!(world.synced(waiter), Some(Err(ErrorCode::KafkaStorageError)));
    assert_eq!(world.group.state(), State::PreparingRebalance);
    assert_eq!(world.join(join(&joined.member_id)).generation, 2);
}

#[test]
fn an_assignment_of_a_generation_that_is_over_is_not_given() {
    let mut world = World::new(SETTINGS);
    let joined = world.join(join(""));
    let waiter = world.begin_sync(&joined.member_id, 1, &[(&joined.member_id, "all")]);
    let second = world.begin_join(join(""));
    assert_eq!(world.synced(waiter), Some(Err(ErrorCode::RebalanceInProgress)));
    world.settle(Ok(()));
    assert_eq!(world.group.state(), State::PreparingRebalance);
    assert_eq!(world.join(join(&joined.member_id)).generation, 2);
    assert!(world.joined(second).is_some());
}

#[test]
fn commits_are_for_members_of_this_generation_or_for_groups_without_members() {
    let mut world = World::new(SETTINGS);
    assert_eq!(world.group.check_commit(0, "", None, -1), Ok(()), "a consumer that assigns itself");
    assert_eq!(world.group.check_commit(0, "x", None, 1), Err(ErrorCode::UnknownMemberId));
    let joined = world.join(join(""));
    let id = joined.member_id;
    assert_eq!(world.group.check_commit(0, &id, None, 1), Err(ErrorCode::RebalanceInProgress));
    world.sync(&id, 1, &[]).expect("assigned");
    assert_eq!(world.group.check_commit(0, &id, None, 1), Ok(()));
    assert_eq!(world.group.check_commit(0, &id, None, 0), Err(ErrorCode::IllegalGeneration));
    assert_eq!(world.group.check_commit(0, "", None, -1), Err(ErrorCode::UnknownMemberId));
    world.begin_join(join(""));
    assert_eq!(world.group.check_commit(0, &id, None, 1), Ok(()), "before it joins again");
}

#[test]
fn a_restart_keeps_members_and_generation() {
    let mut world = World::new(SETTINGS);
    let (id, generation) = world.alone(static_join("", "a"));
    let stored = world.disk.clone().expect("stored");
    world.group = ClassicGroup::restore(SETTINGS, stored, world.now_ms);
    assert_eq!(world.heartbeat(&id, generation), Ok(()));
    assert_eq!(world.sync(&id, generation, &[]), Ok("all".into()));
    world.pass(i64::from(SESSION_MS) * 2);
    assert_eq!(world.group.state(), State::Empty, "nobody was heard of since");
}

#[test]
fn the_initial_delay_gathers_members() {
    let mut world = World::new(Settings { initial_rebalance_delay_ms: 3_000, ..SETTINGS });
    let first = world.begin_join(join(""));
    world.pass(2_000);
    let second = world.begin_join(join(""));
    world.pass(1_000);
    assert_eq!(world.joined(first), None, "another one came: the delay begins anew");
    world.pass(3_000);
    let (first, second) = (world.joined(first).expect("joined"), world.joined(second).expect("joined"));
    assert_eq!((first.generation, second.generation, first.members.len()), (1, 1, 2));
}

#[test]
fn the_size_of_a_group_is_limited() {
    let mut world = World::new(Settings { max_size: 1, ..SETTINGS });
    let (first, generation) = world.alone(join(""));
    assert_eq!(world.join(join("")).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(world.heartbeat(&first, generation), Ok(()));
}

#[test]
fn session_timeouts_have_limits() {
    let mut world = World::new(SETTINGS);
    for session_timeout_ms in [5_999, 1_800_001, -1] {
        assert_eq!(world.join(Join { session_timeout_ms, ..join("") }).error, ErrorCode::InvalidSessionTimeout);
    }
    assert!(world.group.is_idle());
}

#[test]
fn whoever_waits_when_the_group_ends_is_told() {
    let mut world = World::new(SETTINGS);
    let (first, generation) = world.alone(join(""));
    let waiter = world.begin_join(join(""));
    let mut out = Effects::default();
    world.group.end(ErrorCode::NotCoordinator, &mut out);
    world.take(out);
    assert_eq!(world.joined(waiter).expect("answered").error, ErrorCode::NotCoordinator);
    assert_eq!(world.heartbeat(&first, generation), Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(world.group.next_deadline_ms(), None);
}

#[test]
fn a_member_that_finds_no_room_any_more_holds_up_nobody() {
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(join(""));
    let waiting = world.begin_join(join(""));
    let generation = world.join(join(&first)).generation;
    let second = world.joined(waiting).expect("answered").member_id;
    world.sync(&first, generation, &[]).expect("it is the leader");
    // The limit is lower when the broker starts again.
    let stored = world.disk.clone().expect("it is stored");
    world.group = ClassicGroup::restore(Settings { max_size: 1, ..SETTINGS }, stored, world.now_ms);
    let waiting = world.begin_join(Join { protocols: protocols(&["range", "sticky"]), ..join(&first) });
    assert_eq!(world.joined(waiting), None, "the second is waited for");
    assert_eq!(world.join(join(&second)).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(world.joined(waiting).map(|joined| joined.members.len()), Some(1), "nobody else is to come");
}

#[test]
fn ids_that_were_given_out_end_with_their_group() {
    let mut world = World::new(SETTINGS);
    let given = world.join(Join { requires_member_id: true, ..join("") });
    assert_eq!(given.error, ErrorCode::MemberIdRequired);
    assert!(world.group.may_be_deleted() && !world.group.is_idle());
    let mut out = Effects::default();
    world.group.end(ErrorCode::CoordinatorNotAvailable, &mut out);
    world.take(out);
    assert!(world.group.is_idle(), "nothing keeps it in memory");
}

/// A timer fires for what was due when it was set.
#[test]
fn a_timer_that_fires_late_leaves_a_group_alone_that_moved_on() {
    let late = |world: &mut World, at_ms: i64| {
        world.now_ms = at_ms;
        let seen = |group: &ClassicGroup| (group.state(), group.generation(), group.members());
        let (before, mut out) = (seen(&world.group), Effects::default());
        world.group.tick(at_ms, &mut out);
        assert!(out.answers.is_empty() && out.store.is_none(), "{out:?}");
        assert_eq!(seen(&world.group), before);
    };
    let (session_ms, rebalance_ms) = (i64::from(SESSION_MS), i64::from(REBALANCE_MS));
    let patient = |member_id: &str| Join { session_timeout_ms: 300_000, ..join(member_id) };

    // The member was heard of since.
    let mut world = World::new(SETTINGS);
    let (member, generation) = world.alone(join(""));
    world.now_ms = session_ms - 1;
    assert_eq!(world.heartbeat(&member, generation), Ok(()));
    late(&mut world, session_ms);

    // All have joined since, and have synced.
    let mut world = World::new(SETTINGS);
    let (first, _) = world.alone(patient(""));
    let second = world.begin_join(patient(""));
    world.now_ms = rebalance_ms - 1;
    world.join(patient(&first));
    let second = world.joined(second).expect("all are there").member_id;
    late(&mut world, rebalance_ms);
    for member in [&first, &second] {
        assert_eq!(world.sync(member, 2, &[]), Ok(Bytes::new()));
    }
    late(&mut world, 2 * rebalance_ms);
    assert_eq!(world.group.members().len(), 2);

    // Who was given an id has come back with it, or the group has ended.
    let mut world = World::new(SETTINGS);
    let asked = world.join(Join { requires_member_id: true, ..patient("") });
    world.join(Join { requires_member_id: true, ..patient(&asked.member_id) });
    let mut out = Effects::default();
    world.group.end(ErrorCode::NotCoordinator, &mut out);
    late(&mut world, 300_000);
}
