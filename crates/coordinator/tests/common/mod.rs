//! A group with its waiters and its disk, driven step by step.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_coordinator::{
    Answer, ClassicGroup, Effects, Join, Joined, Leaver, Protocol, Settings, StoredGroup, Sync, Synced, Waiter,
};
use chronik_protocol::error::ErrorCode;

pub const SETTINGS: Settings = Settings {
    min_session_timeout_ms: 6_000,
    max_session_timeout_ms: 1_800_000,
    max_size: usize::MAX,
    initial_rebalance_delay_ms: 0,
};
pub const SESSION_MS: i32 = 10_000;
pub const REBALANCE_MS: i32 = 60_000;

/// A JoinGroup as a consumer of one protocol sends it.
pub fn join(member_id: &str) -> Join {
    Join {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        requires_member_id: false,
        can_skip_assignment: true,
    }
}

pub fn static_join(member_id: &str, instance: &str) -> Join {
    Join { instance_id: Some(instance.to_owned()), ..join(member_id) }
}

pub fn protocols(names: &[&str]) -> Vec<Protocol> {
    let of = |name: &&str| Protocol { name: (*name).to_owned(), metadata: Bytes::from(format!("topics by {name}")) };
    names.iter().map(of).collect()
}

pub struct World {
    pub group: ClassicGroup,
    pub now_ms: i64,
    pub answers: BTreeMap<Waiter, Answer>,
    /// What was asked to be stored and is not settled yet.
    pub storing: Option<StoredGroup>,
    /// What a restart finds.
    pub disk: Option<StoredGroup>,
    waiters: Waiter,
    ids: u32,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        World {
            group: ClassicGroup::new(settings),
            now_ms: 0,
            answers: BTreeMap::new(),
            storing: None,
            disk: None,
            waiters: 0,
            ids: 0,
        }
    }

    pub fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        self.waiters
    }

    pub fn take(&mut self, out: Effects) {
        for (waiter, answer) in out.answers {
            let twice = self.answers.insert(waiter, answer);
            assert_eq!(twice, None, "waiter {waiter} is answered once");
        }
        if out.store.is_some() {
            self.storing = out.store;
        }
    }

    pub fn begin_join(&mut self, join: Join) -> Waiter {
        let (waiter, mut out) = (self.waiter(), Effects::default());
        self.ids += 1;
        let new_id = format!("m{}", self.ids);
        self.group.join(self.now_ms, join, new_id, waiter, &mut out);
        self.take(out);
        waiter
    }

    pub fn joined(&mut self, waiter: Waiter) -> Option<Joined> {
        match self.answers.remove(&waiter)? {
            Answer::Join(joined) => Some(joined),
            Answer::Sync(other) => panic!("a join is answered by {other:?}"),
        }
    }

    /// Joins and is answered at once.
    pub fn join(&mut self, join: Join) -> Joined {
        let waiter = self.begin_join(join);
        self.joined(waiter).expect("answered at once")
    }

    pub fn begin_sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> Waiter {
        let (waiter, mut out) = (self.waiter(), Effects::default());
        let assignments = assignments.iter().map(|(id, what)| ((*id).to_owned(), Bytes::from((*what).to_owned())));
        let sync = Sync {
            member_id: member_id.to_owned(),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments: assignments.collect(),
        };
        self.group.sync(self.now_ms, sync, waiter, &mut out);
        self.take(out);
        waiter
    }

    pub fn synced(&mut self, waiter: Waiter) -> Option<Result<Synced, ErrorCode>> {
        match self.answers.remove(&waiter)? {
            Answer::Sync(synced) => Some(synced),
            Answer::Join(other) => panic!("a sync is answered by {other:?}"),
        }
    }

    /// What is on its way to the disk gets there, or fails.
    pub fn settle(&mut self, outcome: Result<(), ErrorCode>) {
        let Some(store) = self.storing.take() else { return };
        let (generation, mut out) = (store.generation, Effects::default());
        if outcome.is_ok() {
            self.disk = Some(store);
        }
        self.group.stored(self.now_ms, generation, outcome, &mut out);
        self.take(out);
    }

    /// Syncs, all of it durable at once.
    pub fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &str)]) -> Result<Bytes, ErrorCode> {
        let waiter = self.begin_sync(member_id, generation, assignments);
        self.settle(Ok(()));
        self.synced(waiter).expect("answered").map(|synced| synced.assignment)
    }

    pub fn leave(&mut self, leavers: &[(&str, Option<&str>)]) -> Vec<Result<(), ErrorCode>> {
        let mut out = Effects::default();
        let leavers: Vec<_> = leavers
            .iter()
            .map(|(id, instance)| Leaver { member_id: (*id).to_owned(), instance_id: instance.map(str::to_owned) })
            .collect();
        let outcomes = self.group.leave(self.now_ms, &leavers, &mut out);
        self.take(out);
        outcomes
    }

    pub fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), ErrorCode> {
        self.group.heartbeat(self.now_ms, member_id, None, generation)
    }

    /// Lets time pass, doing what is due when it is due.
    pub fn pass(&mut self, ms: i64) {
        let end = self.now_ms + ms;
        while let Some(due) = self.group.next_deadline_ms().filter(|due| *due <= end) {
            self.now_ms = self.now_ms.max(due);
            let mut out = Effects::default();
            self.group.tick(self.now_ms, &mut out);
            self.take(out);
            assert!(
                self.group.next_deadline_ms().is_none_or(|next| next > self.now_ms),
                "what is due is done: {:?}",
                self.group
            );
        }
        self.now_ms = end;
    }

    /// One member alone in a stable group: its id and generation.
    pub fn alone(&mut self, first: Join) -> (String, i32) {
        let joined = self.join(first);
        assert_eq!((joined.error, &joined.leader), (ErrorCode::None, &joined.member_id));
        assert_eq!(self.sync(&joined.member_id, joined.generation, &[(&joined.member_id, "all")]), Ok("all".into()));
        (joined.member_id, joined.generation)
    }
}
