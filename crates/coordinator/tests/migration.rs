//! Scenarios of groups that change their protocol, and of those with members of both.

mod consumer_world;

use chronik_coordinator::{
    Assignment, ClassicGroup, Commits, ConsumerGroup, Effects, Heartbeat, Leaver, Migration, Refusal, Settings, State,
    StoredGroup, StoredMember,
};
use chronik_protocol::error::ErrorCode;
use consumer_world::classic::*;
use consumer_world::*;

const CLASSIC: Settings = Settings {
    min_session_timeout_ms: 6_000,
    max_session_timeout_ms: 1_800_000,
    max_size: usize::MAX,
    initial_rebalance_delay_ms: 0,
};
const GENERATION: i32 = 7;

/// A stable classic group of `a` and `b`, which share the four partitions of `t`.
fn classic_pair() -> (Bench, ClassicGroup, ClassicClient, ClassicClient) {
    let bench = Bench::new(&[("t", 4)]);
    let half = |partitions: std::ops::Range<i32>| Named::from([("t".to_owned(), partitions.collect())]);
    let clients = [("a", half(0..2)), ("b", half(2..4))].map(|(name, owned)| ClassicClient {
        generation: GENERATION,
        owned: bench.by_id(&owned),
        ..ClassicClient::new(name, &["t"])
    });
    let members = clients.iter().map(|client| StoredMember {
        member_id: client.member_id.clone(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        metadata: subscription(&client.topics, &Named::new()),
        assignment: assignment_bytes(&bench.by_name(&client.owned)),
    });
    let stored = StoredGroup {
        protocol_type: Some("consumer".into()),
        generation: GENERATION,
        protocol: Some("range".into()),
        leader: Some("a".into()),
        members: members.collect(),
    };
    let group = ClassicGroup::restore(CLASSIC, stored, 0);
    let [a, b] = clients;
    (bench, group, a, b)
}

fn upgrade(bench: &mut Bench, classic: &ClassicGroup) -> Result<(), Refusal> {
    bench.group = bench.with(|_, view| ConsumerGroup::upgraded(view, classic))?;
    bench.store();
    Ok(())
}

/// The group with the consumer `c` in it, and at rest.
fn mixed() -> (Bench, ClassicClient, ClassicClient, Client) {
    let (mut bench, classic, mut a, mut b) = classic_pair();
    upgrade(&mut bench, &classic).expect("it may");
    let mut c = Client::new("c", &["t"]);
    rest(&mut bench, &mut [&mut a, &mut b], &mut [&mut c]);
    (bench, a, b, c)
}

fn rest(bench: &mut Bench, classic: &mut [&mut ClassicClient], new: &mut [&mut Client]) {
    for _ in 0..20 {
        let before = bench.writes;
        bench.now_ms += 1_000;
        for client in new.iter_mut() {
            client.beat(bench).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", client.member_id));
        }
        for client in classic.iter_mut() {
            client.beat(bench).unwrap_or_else(|error| panic!("{}: {error:?}", client.member_id));
        }
        let mut owned: Vec<_> = classic.iter().flat_map(|client| client.has(bench)).collect();
        owned.extend(new.iter().flat_map(|client| client.has(bench)));
        let all = owned.len();
        owned.sort_unstable();
        owned.dedup();
        assert_eq!(owned.len(), all, "no partition is two members'");
        if bench.writes == before {
            assert_eq!((bench.state(), all), ("Stable", 4));
            return;
        }
    }
    panic!("the group does not come to rest: {:?}", bench.group);
}

#[test]
fn a_consumer_joins_classic_members() {
    let (mut bench, a, b, c) = mixed();
    let counts = [a.has(&bench).len(), b.has(&bench).len(), c.has(&bench).len()];
    assert_eq!((counts.iter().sum::<usize>(), counts.iter().min()), (4, Some(&1)));
    assert!(bench.member("a").expect("it is there").is_classic);
    assert!(!bench.member("c").expect("it is there").is_classic);
    assert!(c.epoch > GENERATION, "{}", c.epoch);
}

#[test]
fn eager_members_get_on_too() {
    let (mut bench, classic, a, b) = classic_pair();
    upgrade(&mut bench, &classic).expect("it may");
    let (mut a, mut b) = (ClassicClient { eager: true, ..a }, ClassicClient { eager: true, ..b });
    let mut c = Client::new("c", &["t"]);
    rest(&mut bench, &mut [&mut a, &mut b], &mut [&mut c]);
}

#[test]
fn an_upgrade_alone_changes_nothing() {
    let (mut bench, classic, mut a, mut b) = classic_pair();
    upgrade(&mut bench, &classic).expect("it may");
    let writes = bench.writes;
    a.beat(&mut bench).expect("it need not join again");
    b.beat(&mut bench).expect("it need not join again");
    assert_eq!((bench.writes, bench.group.epoch(), bench.state()), (writes, GENERATION, "Stable"));
}

#[test]
fn what_may_not_be_upgraded_is_not() {
    let (mut bench, classic, ..) = classic_pair();
    for migration in [Migration::Disabled, Migration::Downgrade] {
        bench.settings.migration = migration;
        assert_eq!(upgrade(&mut bench, &classic).expect_err("it may not").error, ErrorCode::GroupIdNotFound);
    }
    bench.settings.migration = Migration::Upgrade;
    bench.settings.max_size = 1;
    assert_eq!(upgrade(&mut bench, &classic).expect_err("it may not").error, ErrorCode::GroupIdNotFound);
    bench.settings.max_size = 2;
    upgrade(&mut bench, &classic).expect("it may");
}

#[test]
fn a_group_goes_back_when_only_classic_members_are_left() {
    let (mut bench, a, b, c) = mixed();
    let downgraded = |bench: &mut Bench| {
        let mut out = Effects::default();
        let classic = bench.with(|group, view| group.downgraded(view, CLASSIC, true, &mut out));
        classic.map(|classic| (classic, out))
    };
    assert!(downgraded(&mut bench).is_none(), "there is a consumer");
    bench.beat(Heartbeat { member_epoch: -1, ..c.brief() }).expect("it leaves");
    bench.settings.migration = Migration::Upgrade;
    assert!(downgraded(&mut bench).is_none(), "it may not");
    bench.settings.migration = Migration::Downgrade;
    let (mut classic, out) = downgraded(&mut bench).expect("it may");
    assert_eq!((classic.state(), classic.generation()), (State::PreparingRebalance, bench.group.target_epoch()));
    let stored = out.store.expect("it is stored");
    assert_eq!((stored.members.len(), stored.protocol.as_deref()), (2, Some("range")));
    for client in [a, b] {
        let beat = classic.heartbeat(bench.now_ms, &client.member_id, None, client.generation);
        assert_eq!(beat, Err(ErrorCode::RebalanceInProgress), "it joins again");
    }
}

#[test]
fn classic_members_are_given_up_like_others() {
    let (mut bench, mut a, b, mut c) = mixed();
    bench.now_ms += 9_000;
    a.beat(&mut bench).expect("it is a member");
    c.beat(&mut bench).expect("it is a member");
    assert_eq!(bench.pass(1_000), ["b"], "its own session timeout counts");
    let mut back = b;
    assert_eq!(back.beat(&mut bench), Err(ErrorCode::UnknownMemberId));
    back.owned = Assignment::new();
    back.rejoin(&mut bench).expect("it joins again");
    rest(&mut bench, &mut [&mut a, &mut back], &mut [&mut c]);
    // It is told to join again, and does not.
    bench.world.put("t", 9);
    let deadline_ms = bench.now_ms + 60_000;
    let mut gone = Vec::new();
    while bench.now_ms <= deadline_ms + 1_000 {
        gone.extend(bench.pass(5_000));
        let _ = a.beat(&mut bench);
        let _ = c.beat(&mut bench);
        let generation = back.generation;
        let _ = bench.with(|group, view| group.heartbeat_classic(view, "b", None, generation));
    }
    assert_eq!(gone, ["b"]);
}

#[test]
fn identities_of_classic_members_are_checked() {
    let (mut bench, a, _, c) = mixed();
    let mut beat = |member: &str, instance: Option<&str>, generation| {
        bench.with(|group, view| group.heartbeat_classic(view, member, instance, generation))
    };
    assert_eq!(beat("a", None, a.generation), Ok(()));
    assert_eq!(beat("a", None, a.generation - 1), Err(ErrorCode::IllegalGeneration));
    assert_eq!(beat("x", None, a.generation), Err(ErrorCode::UnknownMemberId));
    assert_eq!(beat("a", Some("i"), a.generation), Err(ErrorCode::UnknownMemberId));
    assert_eq!(beat("c", None, c.epoch), Err(ErrorCode::UnknownMemberId), "it is no classic member");
    assert_eq!(bench.group.check_commit("a", a.generation, false), Ok(Commits::All));
    assert_eq!(bench.group.check_commit("a", a.generation + 1, true), Err(ErrorCode::IllegalGeneration));
    assert_eq!(bench.group.check_fetch(Some("a"), a.generation - 1), Err(ErrorCode::IllegalGeneration));
    let join = |bench: &mut Bench, client: &ClassicClient| {
        let join = client.join(bench);
        bench.with(|group, view| group.join_classic(view, join, "new".into())).map(|joined| joined.error)
    };
    let mut stranger = ClassicClient::new("", &["t"]);
    bench.settings.migration = Migration::Disabled;
    assert_eq!(join(&mut bench, &stranger), Err(ErrorCode::InconsistentGroupProtocol));
    bench.settings.migration = Migration::Bidirectional;
    stranger.member_id = "d".into();
    stranger.instance = Some("i".into());
    assert_eq!(join(&mut bench, &stranger), Err(ErrorCode::UnknownMemberId), "it says that it is known");
    let leave = |id: &str| Leaver { member_id: id.to_owned(), instance_id: None };
    let left = bench.with(|group, view| group.leave_classic(view, &[leave("a"), leave("x")]));
    assert_eq!(left, [Ok(()), Err(ErrorCode::UnknownMemberId)]);
}

#[test]
fn a_static_member_is_upgraded_in_its_place() {
    let (mut bench, _, mut b, mut c) = mixed();
    let leaver = Leaver { member_id: "a".into(), instance_id: None };
    bench.with(|group, view| group.leave_classic(view, &[leaver])).pop().expect("one").expect("it leaves");
    let mut fixed = ClassicClient { instance: Some("i".into()), ..ClassicClient::new("", &["t"]) };
    let join = fixed.join(&bench);
    let joined = bench.with(|group, view| group.join_classic(view, join, "s".into())).expect("it joins");
    fixed.member_id = joined.member_id;
    fixed.rejoin(&mut bench).expect("the answer to its first try was lost");
    rest(&mut bench, &mut [&mut b, &mut fixed], &mut [&mut c]);
    let had = fixed.owned.clone();
    let mut new = Client::new("n", &["t"]).fixed("i");
    new.beat(&mut bench).expect("it takes the place of its former self");
    assert_eq!(new.owned, had);
    assert_eq!(fixed.beat(&mut bench), Err(ErrorCode::FencedInstanceId));
    rest(&mut bench, &mut [&mut b], &mut [&mut c, &mut new]);
}

#[test]
fn a_restart_is_not_noticed_by_classic_members() {
    let (mut bench, mut a, mut b, mut c) = mixed();
    let writes = bench.writes;
    bench.restart();
    assert_eq!(bench.pass(9_999), Vec::<String>::new());
    rest(&mut bench, &mut [&mut a, &mut b], &mut [&mut c]);
    assert_eq!(bench.writes, writes);
}

#[test]
fn a_consumer_that_comes_back_by_the_classic_protocol_makes_nobody_rebalance() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut c = Client::new("c", &["t"]).fixed("i");
    rest(&mut bench, &mut [], &mut [&mut c]);
    let mut fixed = ClassicClient { instance: Some("i".into()), ..ClassicClient::new("", &["t"]) };
    let join = fixed.join(&bench);
    let joined = bench.with(|group, view| group.join_classic(view, join, "s".into())).expect("it joins");
    fixed.member_id = joined.member_id;
    let mut out = Effects::default();
    let downgraded = bench.with(|group, view| group.downgraded(view, CLASSIC, false, &mut out));
    let mut classic = downgraded.expect("only classic members are left");
    assert_eq!((classic.state(), classic.generation()), (State::Stable, joined.generation));
    assert_eq!(classic.heartbeat(bench.now_ms, "s", Some("i"), joined.generation), Ok(()));
    let stored = out.store.expect("it is stored");
    let all = Named::from([("t".to_owned(), (0..4).collect())]);
    assert_eq!(stored.members[0].assignment, assignment_bytes(&all), "it has what it had");
}

#[test]
fn a_group_that_is_not_at_rest_rebalances_however_it_goes_back() {
    let (mut bench, ..) = mixed();
    bench.world.put("t", 6);
    let leaver = Leaver { member_id: "c".into(), instance_id: None };
    bench.with(|group, view| group.leave_classic(view, &[leaver])).pop().expect("one").expect("it leaves");
    let mut out = Effects::default();
    let downgraded = bench.with(|group, view| group.downgraded(view, CLASSIC, false, &mut out));
    assert_eq!(downgraded.map(|classic| classic.state()), Some(State::PreparingRebalance));
}

#[test]
fn a_classic_member_that_becomes_a_consumer_need_not_join_in_time() {
    let (mut bench, a, mut b, mut c) = mixed();
    bench.world.put("t", 5);
    let told = bench.with(|group, view| group.heartbeat_classic(view, "a", None, a.generation));
    assert_eq!(told, Err(ErrorCode::RebalanceInProgress), "it has to join again in time");
    let mut a = Client { epoch: a.generation, owned: a.owned, ..Client::new("a", &["t"]) };
    let deadline_ms = bench.now_ms + 60_000;
    while bench.now_ms <= deadline_ms {
        assert_eq!(bench.pass(2_000), Vec::<String>::new());
        a.beat(&mut bench).expect("it is a consumer now");
        b.beat(&mut bench).expect("it is a member");
        c.beat(&mut bench).expect("it is a member");
    }
    assert!(!bench.member("a").expect("it is there").is_classic);
}
