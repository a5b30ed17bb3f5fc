//! Random histories of a classic group: members come, go, fall silent and are cut off, the disk fails, the coordinator
//! restarts. What members are told is held against what a member may rely on.
//!
//! `HISTORIES` sets how many are run; a failure names the seed to run alone with `SEED`.

mod common;

use std::collections::BTreeMap;

use chronik_coordinator::{ClassicGroup, Join, Settings, Waiter};
use chronik_protocol::error::ErrorCode;
use common::*;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a client does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Joining(Waiter),
    Syncing(Waiter),
    Consuming,
}

/// A client as it knows itself.
struct Client {
    instance: Option<String>,
    asks_for_id: bool,
    member_id: String,
    generation: i32,
    /// Set while it leads: what it assigned.
    assigned: Vec<String>,
    doing: Doing,
    last_beat_ms: i64,
}

struct History {
    world: World,
    dice: Dice,
    clients: Vec<Client>,
    /// What the leader of each generation assigned, by member.
    plans: BTreeMap<(i32, String), String>,
    /// The members each generation began with, as its leader was told.
    rosters: BTreeMap<i32, Vec<String>>,
    /// The latest generation in which anyone was given an assignment.
    given: i32,
    restarts: u32,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let settings = Settings {
            initial_rebalance_delay_ms: if dice.one_in(3) { 3000 } else { 0 },
            max_size: if dice.one_in(8) { 2 } else { usize::MAX },
            ..SETTINGS
        };
        let clients = (0..2 + dice.below(3)).map(|n| Client {
            instance: (dice.one_in(3)).then(|| format!("i{n}")),
            asks_for_id: !dice.one_in(3),
            member_id: String::new(),
            generation: -1,
            assigned: Vec::new(),
            doing: Doing::Nothing,
            last_beat_ms: 0,
        });
        let clients = clients.collect();
        History {
            world: World::new(settings),
            dice,
            clients,
            plans: BTreeMap::new(),
            rosters: BTreeMap::new(),
            given: 0,
            restarts: 0,
        }
    }

    fn step(&mut self) {
        let who = self.dice.below(self.clients.len() as u64) as usize;
        match self.dice.below(24) {
            0..=6 => self.go_on(who),
            7 => self.join(who),
            8 => self.leave(who),
            9 => self.forget(who),
            10..=14 => self.world.settle(Ok(())),
            15 => self.world.settle(Err(ErrorCode::KafkaStorageError)),
            16 => self.restart(),
            17 => self.late_beat(who),
            18 => {
                let far = self.dice.below(70_000) as i64;
                self.world.pass(far);
            }
            _ => {
                let near = self.dice.below(900) as i64;
                self.world.pass(near);
            }
        }
        for client in 0..self.clients.len() {
            self.hear(client);
        }
    }

    /// Does what a client in this place does next.
    fn go_on(&mut self, who: usize) {
        match self.clients[who].doing {
            Doing::Nothing => self.join(who),
            Doing::Joining(_) | Doing::Syncing(_) => {}
            Doing::Consuming => self.beat(who),
        }
    }

    /// Joins, or joins again: also while it still waits, as a client does whose connection was cut.
    fn join(&mut self, who: usize) {
        let client = &self.clients[who];
        let protocols: &[&str] = if self.dice.one_in(4) { &["sticky", "range"] } else { &["range", "sticky"] };
        let request = Join {
            instance_id: client.instance.clone(),
            requires_member_id: client.asks_for_id,
            protocols: protocols_of(protocols),
            ..join(&client.member_id)
        };
        self.clients[who].doing = Doing::Joining(self.world.begin_join(request));
    }

    fn sync(&mut self, who: usize) {
        let client = &self.clients[who];
        let (generation, member_id) = (client.generation, client.member_id.clone());
        let mut plan = Vec::new();
        for member in &client.assigned {
            let share = format!("{generation} {member} by {member_id}");
            plan.push((member.clone(), share));
        }
        for (member, share) in &plan {
            // Only what the leader sends first is taken; it may have to say it again.
            self.plans.entry((generation, member.clone())).or_insert_with(|| share.clone());
        }
        let plan: Vec<_> = plan.iter().map(|(member, share)| (member.as_str(), share.as_str())).collect();
        let waiter = self.world.begin_sync(&member_id, generation, &plan);
        self.clients[who].doing = Doing::Syncing(waiter);
    }

    fn beat(&mut self, who: usize) {
        let now_ms = self.world.now_ms;
        let client = &mut self.clients[who];
        let instance = client.instance.as_deref();
        let outcome = self.world.group.heartbeat(now_ms, &client.member_id, instance, client.generation);
        let commit = self.world.group.check_commit(now_ms, &client.member_id, instance, client.generation);
        match outcome {
            Ok(()) => {
                assert_eq!(client.generation, self.world.group.generation(), "a heartbeat of an old generation");
                client.last_beat_ms = now_ms;
            }
            Err(ErrorCode::RebalanceInProgress) => {
                assert_eq!(commit, Ok(()), "it may commit what it read before it joins again");
                client.doing = Doing::Nothing;
            }
            Err(error) => client.refused(error),
        }
        if commit.is_ok() {
            assert_eq!(client.generation, self.world.group.generation(), "a commit of an old generation");
        }
    }

    /// A heartbeat and a commit of a generation that is over, from wherever they were held up.
    fn late_beat(&mut self, who: usize) {
        let client = &self.clients[who];
        let (now_ms, instance) = (self.world.now_ms, client.instance.as_deref());
        let old = self.world.group.generation() - 1;
        if old > 0 {
            assert!(self.world.group.heartbeat(now_ms, &client.member_id, instance, old).is_err());
            assert!(self.world.group.check_commit(now_ms, &client.member_id, instance, old).is_err());
        }
    }

    fn leave(&mut self, who: usize) {
        let client = &mut self.clients[who];
        let (member_id, instance) = (std::mem::take(&mut client.member_id), client.instance.clone());
        client.doing = Doing::Nothing;
        self.world.leave(&[(&member_id, instance.as_deref())]);
    }

    /// The process ends without a word and another takes its place.
    fn forget(&mut self, who: usize) {
        let client = &mut self.clients[who];
        client.member_id.clear();
        client.doing = Doing::Nothing;
    }

    /// Another coordinator takes over with what is on the disk. Nobody is answered any more by the old one.
    fn restart(&mut self) {
        self.restarts += 1;
        self.world.storing = None;
        self.world.answers.clear();
        let settings = self.world.group.settings();
        self.world.group = match self.world.disk.clone() {
            Some(stored) => ClassicGroup::restore(settings, stored, self.world.now_ms),
            None => ClassicGroup::new(settings),
        };
        assert!(self.world.group.generation() >= self.given, "a generation in use is not forgotten");
        // Generations that were never stored are given out again.
        let kept = self.world.group.generation();
        self.plans.retain(|(generation, _), _| *generation <= kept);
        self.rosters.retain(|generation, _| *generation <= kept);
        for client in &mut self.clients {
            if client.doing != Doing::Consuming {
                client.doing = Doing::Nothing;
            }
        }
    }

    /// Takes the answer that a client waits for, if it is there.
    fn hear(&mut self, who: usize) {
        match self.clients[who].doing {
            Doing::Joining(waiter) => {
                let Some(joined) = self.world.joined(waiter) else { return };
                let client = &mut self.clients[who];
                if joined.error != ErrorCode::None {
                    if joined.error == ErrorCode::MemberIdRequired {
                        client.member_id = joined.member_id;
                    }
                    return client.refused(joined.error);
                }
                client.member_id = joined.member_id.clone();
                client.generation = joined.generation;
                assert!(joined.generation <= self.world.group.generation());
                let leads = joined.leader == joined.member_id;
                assert!(leads || joined.members.is_empty(), "only the leader is told of the members");
                client.assigned.clear();
                if leads && !joined.skip_assignment {
                    let members: Vec<_> = joined.members.iter().map(|member| member.member_id.clone()).collect();
                    assert!(members.contains(&joined.member_id));
                    self.rosters.entry(joined.generation).or_insert_with(|| members.clone());
                    client.assigned = members;
                }
                self.sync(who);
            }
            Doing::Syncing(waiter) => {
                let Some(synced) = self.world.synced(waiter) else { return };
                let client = &mut self.clients[who];
                match synced {
                    Ok(synced) => {
                        let share = String::from_utf8(synced.assignment.to_vec()).expect("ours");
                        self.given = self.given.max(client.generation);
                        client.doing = Doing::Consuming;
                        client.last_beat_ms = self.world.now_ms;
                        // A static member that came back has what its former self was assigned.
                        if client.instance.is_none() {
                            let plan = self.plans.get(&(client.generation, client.member_id.clone()));
                            assert_eq!(Some(&share), plan, "what its leader assigned it in its generation");
                        }
                    }
                    Err(error) => client.refused(error),
                }
            }
            Doing::Nothing | Doing::Consuming => {}
        }
    }

    /// From now on nothing goes wrong. All that have room get into one generation, and stay there.
    fn settle_down(&mut self) {
        let places = self.world.group.settings().max_size.min(self.clients.len());
        for _ in 0..4000 {
            self.world.settle(Ok(()));
            for who in 0..self.clients.len() {
                self.hear(who);
                self.go_on(who);
            }
            self.world.pass(200);
            let generation = self.world.group.generation();
            let settled = |client: &&Client| client.doing == Doing::Consuming && client.generation == generation;
            let consuming = self.clients.iter().filter(settled).count();
            if consuming == places && self.world.group.members().len() == consuming {
                return;
            }
        }
        let doing: Vec<_> = self.clients.iter().map(|client| (client.doing, client.generation)).collect();
        panic!("{doing:?} of generation {} in {:?}", self.world.group.generation(), self.world.group.state());
    }
}

fn protocols_of(names: &[&str]) -> Vec<chronik_coordinator::Protocol> {
    protocols(names)
}

impl Client {
    fn refused(&mut self, error: ErrorCode) {
        self.doing = Doing::Nothing;
        match error {
            ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress | ErrorCode::KafkaStorageError => {}
            ErrorCode::UnknownMemberId
            | ErrorCode::IllegalGeneration
            | ErrorCode::FencedInstanceId
            | ErrorCode::GroupMaxSizeReached => self.member_id.clear(),
            other => panic!("{other:?} is nothing a member expects"),
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn members_can_rely_on_what_they_are_told() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HISTORIES").unwrap_or(5_000),
    };
    let (mut generations, mut restarts) = (0, 0);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..20 + history.dice.below(200) {
                history.step();
            }
            history.settle_down();
            (history.world.group.generation(), history.restarts)
        });
        match run {
            Ok((of_run, restarts_of_run)) => {
                generations += i64::from(of_run);
                restarts += restarts_of_run;
            }
            Err(why) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(why);
            }
        }
    }
    println!("{generations} generations, {restarts} restarts");
}
