//! Random histories of a consumer group (KIP-848), classic members among the others: members come, go, stay away, fall silent, answers are lost, topics
//! come, grow and go, the disk fails, the coordinator restarts.
//!
//! At every step each partition is one member's at most, and nobody consumes what is not its own; a member's epoch never
//! goes back. Once all is quiet, every partition is consumed and nothing is written any more.
//!
//! `HISTORIES` sets how many are run; a failure names the seed to run alone with `SEED`.

mod consumer_world;

use std::collections::{BTreeMap, BTreeSet};

use chronik_coordinator::{Assignment, Heartbeat, Heartbeaten, Leaver, Refusal};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::TopicId;
use consumer_world::classic::ClassicClient;
use consumer_world::*;

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

/// A member of the classic protocol, eager or cooperative.
struct Old {
    client: ClassicClient,
    is_in: bool,
    silent_until_ms: i64,
}

/// A client and what it has yet to do.
#[derive(Default)]
struct Player {
    client: Client,
    is_in: bool,
    /// What it was last told to have.
    told: Option<Assignment>,
    /// Whether the next heartbeat has to say all: the last answer did not come.
    says_all: bool,
    /// What it last said it has.
    said: Option<Assignment>,
    silent_until_ms: i64,
}

struct History {
    bench: Bench,
    dice: Dice,
    players: Vec<Player>,
    olds: Vec<Old>,
    incarnations: u32,
    /// The last epoch each member was told of.
    epochs: BTreeMap<String, i32>,
}

const NAMES: [&str; 4] = ["t", "u", "tv", "w"];

/// What begins with a `t`. Of letters: a class of all characters takes far longer to compile.
const PATTERN: &str = "t[a-z]*";

/// How often members heartbeat once nothing changes any more.
const QUIET_ROUND_MS: i64 = 5_000;

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut bench = Bench::new(&[("t", 1 + dice.below(6) as i32), ("u", 1 + dice.below(3) as i32)]);
        bench.settings.assignment_interval_ms = if dice.one_in(2) { 1_000 } else { 0 };
        let count = 2 + dice.below(4);
        let players = (0..count).map(|n| {
            let mut client = Client::new("", &[]);
            client.instance = dice.one_in(3).then(|| format!("i{n}"));
            client.assignor = dice.one_in(3).then(|| "range".to_owned());
            Player { client, ..Player::default() }
        });
        let players = players.collect();
        let mut olds = Vec::new();
        for n in 0..dice.below(3) {
            let topics: Vec<_> = NAMES.into_iter().filter(|_| !dice.one_in(3)).collect();
            let client = ClassicClient { eager: dice.one_in(2), ..ClassicClient::new(&format!("old{n}"), &topics) };
            olds.push(Old { client, is_in: false, silent_until_ms: 0 });
        }
        let mut history = History { bench, dice, players, olds, incarnations: 0, epochs: BTreeMap::new() };
        (0..count as usize).for_each(|at| history.begin_anew(at));
        history
    }

    /// Another process of the client: another member.
    fn begin_anew(&mut self, at: usize) {
        self.incarnations += 1;
        let player = &mut self.players[at];
        player.client.member_id = format!("m{at}.{}", self.incarnations);
        player.client.epoch = 0;
        player.client.owned.clear();
        (player.is_in, player.told, player.says_all, player.said) = (false, None, true, None);
        self.resubscribe(at);
    }

    fn resubscribe(&mut self, at: usize) {
        let by_pattern = self.dice.one_in(4);
        let names = NAMES.iter().filter(|_| !self.dice.one_in(3)).map(|name| (*name).to_owned()).collect();
        let client = &mut self.players[at].client;
        client.regex = Some(if by_pattern { PATTERN.to_owned() } else { String::new() });
        client.names = if by_pattern { Vec::new() } else { names };
        self.players[at].says_all = true;
    }

    fn step(&mut self) {
        let at = self.dice.below(self.players.len() as u64) as usize;
        match self.dice.below(40) {
            0 => self.resubscribe(at),
            1 => self.leave(at, -1),
            2 => self.leave(at, -2),
            // The process dies.
            3 => self.begin_anew(at),
            4 => self.players[at].silent_until_ms = self.bench.now_ms + self.dice.below(90_000) as i64,
            5 => {
                let name = NAMES[self.dice.below(4) as usize];
                let partitions = 1 + self.dice.below(8) as i32;
                let known = self.bench.world.all().find(|(known, _)| *known == name).map_or(0, |(_, t)| t.partitions);
                self.bench.world.put(name, partitions.max(known));
            }
            6 if self.dice.one_in(2) => self.bench.world.remove(NAMES[self.dice.below(4) as usize]),
            7 => self.bench.restart(),
            8..=12 => {
                let ms = self.dice.below(4_000) as i64;
                self.bench.pass(ms);
            }
            13..=20 if !self.olds.is_empty() => self.old_step(),
            _ => self.beat(at),
        }
        self.check();
    }

    fn old_step(&mut self) {
        let at = self.dice.below(self.olds.len() as u64) as usize;
        match self.dice.below(12) {
            0 => self.olds[at].silent_until_ms = self.bench.now_ms + self.dice.below(30_000) as i64,
            1 => {
                let member_id = self.olds[at].client.member_id.clone();
                let leaver = Leaver { member_id, instance_id: None };
                // Whatever comes of it: the process ends.
                let _ = self.bench.with(|group, view| group.leave_classic(view, &[leaver]));
                self.bench.store();
                self.olds[at].is_in = false;
                self.olds[at].client.owned.clear();
            }
            _ => self.old_beat(at),
        }
    }

    fn old_beat(&mut self, at: usize) {
        let old = &mut self.olds[at];
        if old.silent_until_ms > self.bench.now_ms {
            return;
        }
        let outcome = if old.is_in { old.client.beat(&mut self.bench) } else { old.client.rejoin(&mut self.bench) };
        match outcome {
            Ok(()) | Err(ErrorCode::RebalanceInProgress) => old.is_in = true,
            Err(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration) => {
                old.is_in = false;
                old.client.owned.clear();
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, at: usize, member_epoch: i32) {
        let player = &self.players[at];
        if member_epoch == -2 && player.client.instance.is_none() {
            return;
        }
        let beat = Heartbeat { member_epoch, ..player.client.brief() };
        // Whatever comes of it: the process ends.
        let _ = self.bench.beat(beat);
        self.begin_anew(at);
    }

    fn beat(&mut self, at: usize) {
        let player = &mut self.players[at];
        if player.silent_until_ms > self.bench.now_ms {
            return;
        }
        // First it lets go of what it was told to, sometimes not at once.
        if let Some(told) = player.told.take_if(|_| !self.dice.one_in(3)) {
            player.client.owned = told;
        }
        let mut beat =
            if player.says_all || self.dice.one_in(8) { player.client.full() } else { player.client.brief() };
        if player.client.epoch == 0 {
            player.client.owned.clear();
            player.told = None;
            beat = player.client.full();
        } else if beat.owned.is_none() && player.said.as_ref() != Some(&player.client.owned) {
            beat.owned = Some(player.client.owned.clone());
        }
        let said = beat.owned.clone();
        let outcome = self.bench.beat_unstored(beat);
        if self.bench.group.has_changes() && self.dice.one_in(20) {
            // The disk fails: what was not stored is forgotten, and nobody is told of it.
            self.bench.restart();
            self.players[at].says_all = true;
            return;
        }
        self.bench.store();
        if self.dice.one_in(10) {
            self.players[at].says_all = true;
            return;
        }
        match outcome {
            Ok(answer) => self.answered(at, answer, said),
            Err(refusal) => self.refused(at, &refusal),
        }
    }

    fn answered(&mut self, at: usize, answer: Heartbeaten, said: Option<Assignment>) {
        let last = self.epochs.entry(answer.member_id.clone()).or_default();
        assert!(answer.member_epoch >= *last, "the epoch of {} goes back from {last}", answer.member_id);
        *last = answer.member_epoch;
        let player = &mut self.players[at];
        (player.client.epoch, player.is_in, player.says_all) = (answer.member_epoch, true, false);
        player.said = said.or(player.said.take());
        let Some(assignment) = answer.assignment else { return };
        // What it has already it may let go of later.
        let mut kept = Assignment::new();
        for (topic_id, partitions) in &player.client.owned {
            let told = assignment.get(topic_id);
            let both: BTreeSet<i32> =
                partitions.iter().copied().filter(|at| told.is_some_and(|told| told.contains(at))).collect();
            if !both.is_empty() {
                kept.insert(*topic_id, both);
            }
        }
        if kept == player.client.owned {
            player.client.owned = assignment;
            player.told = None;
        } else {
            player.told = Some(assignment);
        }
    }

    fn refused(&mut self, at: usize, refusal: &Refusal) {
        match refusal.error {
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => {
                let player = &mut self.players[at];
                self.epochs.remove(&player.client.member_id);
                player.client.epoch = 0;
                player.client.owned.clear();
                (player.is_in, player.told, player.said) = (false, None, None);
            }
            // Its former self is still in the group.
            ErrorCode::UnreleasedInstanceId => {}
            ErrorCode::FencedInstanceId => self.begin_anew(at),
            other => panic!("{other:?}: {}", refusal.message),
        }
    }

    fn check(&self) {
        let (mut held, mut present) = (Vec::with_capacity(32), Vec::with_capacity(8));
        for (member_id, epoch, holdings) in self.bench.group.holdings() {
            if epoch >= 0 {
                present.push(member_id);
            }
            for (topic_id, partitions) in holdings.into_iter().flatten() {
                held.extend(partitions.keys().map(|partition| ((*topic_id, *partition), member_id)));
            }
        }
        held.sort_unstable();
        for pair in held.windows(2) {
            let [(place, one), (other_place, other)] = pair else { unreachable!("windows of two") };
            assert!(place != other_place, "{place:?} is both {one}'s and {other}'s");
        }
        let new = self.players.iter().filter(|player| player.is_in);
        let new = new.map(|player| (&player.client.member_id, &player.client.owned));
        let old = self.olds.iter().filter(|old| old.is_in).map(|old| (&old.client.member_id, &old.client.owned));
        for (member_id, owned) in new.chain(old) {
            if !present.contains(&member_id.as_str()) {
                // It was given up, and learns of it with its next heartbeat.
                continue;
            }
            for place in places(owned) {
                let owner = held.binary_search_by_key(&place, |(place, _)| *place).ok().map(|at| held[at].1);
                assert_eq!(owner, Some(member_id.as_str()), "{place:?} is consumed by {member_id}");
            }
        }
    }

    /// Nothing happens any more but heartbeats.
    fn come_to_rest(&mut self) {
        self.players.iter_mut().for_each(|player| player.silent_until_ms = 0);
        self.olds.iter_mut().for_each(|old| old.silent_until_ms = 0);
        let mut quiet = 0;
        for _ in 0..400 {
            let before = self.bench.writes;
            self.bench.pass(if quiet == 0 { 1_000 } else { QUIET_ROUND_MS });
            for at in 0..self.players.len() {
                self.quiet_beat(at);
                self.check();
            }
            for at in 0..self.olds.len() {
                self.old_beat(at);
                self.check();
            }
            quiet = if self.bench.writes == before { quiet + 1 } else { 0 };
            // Long enough for all sessions of the past to be over, and for patterns to be looked at again.
            if quiet * QUIET_ROUND_MS > 60_000 {
                return self.check_rest();
            }
        }
        panic!("the group does not come to rest: {:?}", self.bench.group);
    }

    fn quiet_beat(&mut self, at: usize) {
        let player = &mut self.players[at];
        if let Some(told) = player.told.take() {
            player.client.owned = told;
        }
        let beat = player.client.full();
        let said = beat.owned.clone();
        match self.bench.beat(beat) {
            Ok(answer) => self.answered(at, answer, said),
            Err(refusal) => self.refused(at, &refusal),
        }
    }

    fn check_rest(&self) {
        assert_eq!(self.bench.state(), "Stable");
        let mut consumed: BTreeSet<_> = BTreeSet::new();
        for player in &self.players {
            consumed.extend(places(&player.client.owned));
        }
        for old in &self.olds {
            consumed.extend(places(&old.client.owned));
        }
        for (name, topic) in self.bench.world.all() {
            let subscribes = |client: &Client| {
                client.names.contains(name) || (client.regex.as_deref() == Some(PATTERN) && name.starts_with('t'))
            };
            let by_classic = self.olds.iter().any(|old| old.client.topics.contains(name));
            let subscribed = by_classic || self.players.iter().any(|player| subscribes(&player.client));
            for partition in 0..topic.partitions {
                assert_eq!(consumed.contains(&(topic.id, partition)), subscribed, "{name}-{partition}");
            }
        }
    }
}

fn places(assignment: &Assignment) -> impl Iterator<Item = (TopicId, i32)> {
    assignment.iter().flat_map(|(topic_id, partitions)| partitions.iter().map(|partition| (*topic_id, *partition)))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn histories() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HISTORIES").unwrap_or(1_000),
    };
    let (mut epochs, mut restarts) = (0, 0);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for _ in 0..300 {
                history.step();
            }
            history.come_to_rest();
            (history.bench.group.epoch(), history.bench.restarts)
        });
        match run {
            Ok((of_run, restarts_of_run)) => {
                epochs += i64::from(of_run);
                restarts += u64::from(restarts_of_run);
            }
            Err(why) => {
                eprintln!("SEED={seed}");
                std::panic::resume_unwind(why);
            }
        }
    }
    println!("{epochs} epochs, {restarts} restarts");
}
