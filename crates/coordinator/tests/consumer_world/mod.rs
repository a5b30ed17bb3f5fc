//! A consumer group with its clients, its topics and its disk, driven step by step.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod classic;

use std::collections::{BTreeMap, BTreeSet};

use chronik_coordinator::{
    Assignment, Assignor, ConsumerGroup, ConsumerMemberSummary, ConsumerSettings, Heartbeat, Heartbeaten, Migration,
    Refusal, StoredConsumerGroup, StoredConsumerMember, TopicInfo, Topics, View,
};
use chronik_protocol::types::TopicId;

pub const SESSION_MS: i64 = 45_000;
pub const REBALANCE_MS: i32 = 300_000;

pub fn settings() -> ConsumerSettings {
    ConsumerSettings {
        session_timeout_ms: SESSION_MS as i32,
        heartbeat_interval_ms: 5_000,
        assignment_interval_ms: 0,
        regex_refresh_interval_ms: 600_000,
        classic_session_timeouts_ms: 6_000..=1_800_000,
        max_size: usize::MAX,
        assignors: vec![Assignor::Uniform, Assignor::Range],
        migration: Migration::Bidirectional,
    }
}

/// Topics by name.
#[derive(Clone, Debug, Default)]
pub struct World {
    version: i64,
    ids: u128,
    topics: BTreeMap<String, TopicInfo>,
}

impl Topics for World {
    fn version(&self) -> i64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.topics.get(name).copied()
    }

    fn name(&self, id: TopicId) -> Option<&str> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name.as_str())
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.topics.keys().map(String::as_str))
    }
}

impl World {
    /// Makes a topic, or gives it more partitions.
    pub fn put(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        self.ids += 1;
        let new = TopicInfo { id: TopicId::from_u128(self.ids), partitions };
        self.topics.entry(name.to_owned()).or_insert(new).partitions = partitions;
    }

    pub fn remove(&mut self, name: &str) {
        self.version += 1;
        self.topics.remove(name);
    }

    pub fn id(&self, name: &str) -> TopicId {
        self.topics[name].id
    }

    pub fn all(&self) -> impl Iterator<Item = (&String, &TopicInfo)> {
        self.topics.iter()
    }
}

/// The group, where it is stored, and the time.
pub struct Bench {
    pub settings: ConsumerSettings,
    pub world: World,
    pub group: ConsumerGroup,
    pub now_ms: i64,
    /// What a restart finds.
    pub disk: StoredConsumerGroup,
    /// How often something was written.
    pub writes: u32,
    pub restarts: u32,
    ids: u32,
}

impl Bench {
    /// With topics and their numbers of partitions.
    pub fn new(topics: &[(&str, i32)]) -> Self {
        let mut world = World::default();
        for (name, partitions) in topics {
            world.put(name, *partitions);
        }
        Bench {
            settings: settings(),
            world,
            group: ConsumerGroup::new(),
            now_ms: 0,
            disk: StoredConsumerGroup::default(),
            writes: 0,
            restarts: 0,
            ids: 0,
        }
    }

    pub fn with<R>(&mut self, step: impl FnOnce(&mut ConsumerGroup, &View) -> R) -> R {
        let view = View { now_ms: self.now_ms, settings: &self.settings, topics: &self.world };
        step(&mut self.group, &view)
    }

    /// A heartbeat whose outcome is stored.
    pub fn beat(&mut self, beat: Heartbeat) -> Result<Heartbeaten, Refusal> {
        let outcome = self.beat_unstored(beat);
        self.store();
        outcome
    }

    pub fn beat_unstored(&mut self, beat: Heartbeat) -> Result<Heartbeaten, Refusal> {
        self.ids += 1;
        let new_id = format!("made-{}", self.ids);
        self.with(|group, view| {
            beat.check("g", false, view)?;
            group.heartbeat(view, beat, new_id)
        })
    }

    pub fn store(&mut self) {
        let Some(changes) = self.group.take_changes() else { return };
        self.writes += 1;
        let disk = &mut self.disk;
        (disk.epoch, disk.target_epoch, disk.topics_digest) =
            (changes.epoch, changes.target_epoch, changes.topics_digest);
        let gone: BTreeSet<&String> = changes.removed.iter().collect();
        let mut members: BTreeMap<String, StoredConsumerMember> =
            disk.members.drain(..).map(|member| (member.member_id.clone(), member)).collect();
        let mut targets: BTreeMap<String, Assignment> = disk.targets.drain(..).collect();
        members.retain(|member_id, _| !gone.contains(member_id));
        targets.retain(|member_id, _| !gone.contains(member_id));
        members.extend(changes.members.into_iter().map(|member| (member.member_id.clone(), member)));
        targets.extend(changes.targets);
        disk.members = members.into_values().collect();
        disk.targets = targets.into_iter().collect();
    }

    /// The coordinator is killed and starts again.
    pub fn restart(&mut self) {
        self.restarts += 1;
        let disk = self.disk.clone();
        self.group = self.with(|_, view| ConsumerGroup::restore(view, disk));
    }

    /// Time passes; who was given up.
    pub fn pass(&mut self, ms: i64) -> Vec<String> {
        self.now_ms += ms;
        let gone = self.with(|group, view| group.tick(view));
        self.store();
        gone
    }

    pub fn member(&mut self, member_id: &str) -> Option<ConsumerMemberSummary> {
        let summary = self.with(|group, view| group.summary(view));
        summary.members.into_iter().find(|member| member.member_id == member_id)
    }

    pub fn state(&self) -> &'static str {
        self.group.state().name()
    }

    /// Partitions of topics, as `t-0`.
    pub fn names(&self, assignment: &Assignment) -> Vec<String> {
        let mut names = Vec::new();
        for (name, topic) in self.world.all() {
            let partitions = assignment.get(&topic.id).into_iter().flatten();
            names.extend(partitions.map(|partition| format!("{name}-{partition}")));
        }
        names
    }
}

/// A member as it knows itself.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub member_id: String,
    pub instance: Option<String>,
    pub epoch: i32,
    pub names: Vec<String>,
    pub regex: Option<String>,
    pub assignor: Option<String>,
    /// What it consumes.
    pub owned: Assignment,
}

impl Client {
    pub fn new(member_id: &str, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Client { member_id: member_id.to_owned(), names, ..Client::default() }
    }

    pub fn fixed(self, instance: &str) -> Self {
        Client { instance: Some(instance.to_owned()), ..self }
    }

    /// All that it has to say.
    pub fn full(&self) -> Heartbeat {
        Heartbeat {
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: Some(REBALANCE_MS),
            subscribed_names: Some(self.names.iter().cloned().collect()),
            subscribed_regex: self.regex.clone(),
            server_assignor: self.assignor.clone(),
            owned: Some(self.owned.clone()),
            ..Heartbeat::default()
        }
    }

    /// That it is there.
    pub fn brief(&self) -> Heartbeat {
        Heartbeat {
            member_id: self.member_id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            ..Heartbeat::default()
        }
    }

    /// Says all, and does what it is told.
    pub fn beat(&mut self, bench: &mut Bench) -> Result<(), Refusal> {
        let answer = bench.beat(self.full())?;
        self.epoch = answer.member_epoch;
        self.owned = answer.assignment.unwrap_or_else(|| self.owned.clone());
        Ok(())
    }

    /// What it has, as `t-0`.
    pub fn has(&self, bench: &Bench) -> Vec<String> {
        bench.names(&self.owned)
    }
}

/// All beat in turn until nothing changes any more.
pub fn settle(bench: &mut Bench, clients: &mut [&mut Client]) {
    for _ in 0..20 {
        let before = bench.writes;
        bench.now_ms += 1_000;
        for client in clients.iter_mut() {
            client.beat(bench).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", client.member_id));
        }
        if bench.writes == before {
            assert_eq!(bench.state(), "Stable");
            return;
        }
    }
    panic!("the group does not come to rest: {:?}", bench.group);
}
