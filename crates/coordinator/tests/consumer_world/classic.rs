//! A member of the classic protocol in a consumer group.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_coordinator::{Assignment, Join, Protocol, Sync};
use chronik_protocol::error::ErrorCode;

use super::Bench;

/// A member of the classic protocol as it knows itself.
#[derive(Clone, Debug, Default)]
pub struct ClassicClient {
    pub member_id: String,
    pub instance: Option<String>,
    pub generation: i32,
    pub topics: Vec<String>,
    /// Gives up all before it joins.
    pub eager: bool,
    pub owned: Assignment,
}

impl ClassicClient {
    pub fn new(member_id: &str, topics: &[&str]) -> Self {
        let topics = topics.iter().map(|name| (*name).to_owned()).collect();
        ClassicClient { member_id: member_id.to_owned(), topics, ..ClassicClient::default() }
    }

    pub fn join(&self, bench: &Bench) -> Join {
        let metadata = subscription(&self.topics, &bench.by_name(&self.owned));
        Join {
            member_id: self.member_id.clone(),
            instance_id: self.instance.clone(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "range".into(), metadata }],
            requires_member_id: false,
            can_skip_assignment: true,
        }
    }

    pub fn sync(&self) -> Sync {
        Sync {
            member_id: self.member_id.clone(),
            instance_id: self.instance.clone(),
            generation: self.generation,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments: BTreeMap::new(),
        }
    }

    /// Joins and syncs.
    pub fn rejoin(&mut self, bench: &mut Bench) -> Result<(), ErrorCode> {
        if self.eager {
            self.owned.clear();
        }
        let join = self.join(bench);
        let joined = bench.with(|group, view| group.join_classic(view, join, String::new()));
        bench.store();
        let joined = joined?;
        assert_eq!(joined.error, ErrorCode::None);
        self.generation = joined.generation;
        let sync = self.sync();
        let synced = bench.with(|group, view| group.sync_classic(view, &sync));
        bench.store();
        self.owned = bench.by_id(&assigned(&synced?.assignment));
        Ok(())
    }

    /// Heartbeats, and joins again where it is told to.
    pub fn beat(&mut self, bench: &mut Bench) -> Result<(), ErrorCode> {
        let (member_id, instance, generation) = (self.member_id.clone(), self.instance.clone(), self.generation);
        let told = bench.with(|group, view| group.heartbeat_classic(view, &member_id, instance.as_deref(), generation));
        bench.store();
        match told {
            Err(ErrorCode::RebalanceInProgress) => match self.rejoin(bench) {
                Err(ErrorCode::RebalanceInProgress) => Ok(()),
                outcome => outcome,
            },
            told => told,
        }
    }

    pub fn has(&self, bench: &Bench) -> Vec<String> {
        bench.names(&self.owned)
    }
}

/// Partitions by topic name.
pub type Named = BTreeMap<String, BTreeSet<i32>>;

impl Bench {
    pub fn by_name(&self, assignment: &Assignment) -> Named {
        let named =
            self.world.all().filter_map(|(name, topic)| Some((name.clone(), assignment.get(&topic.id)?.clone())));
        named.collect()
    }

    pub fn by_id(&self, named: &Named) -> Assignment {
        named.iter().map(|(name, partitions)| (self.world.id(name), partitions.clone())).collect()
    }
}

fn put_named(out: &mut BytesMut, named: &Named) {
    out.put_i32(named.len() as i32);
    for (name, partitions) in named {
        out.put_i16(name.len() as i16);
        out.put_slice(name.as_bytes());
        out.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
}

/// A consumer's subscription of version 1.
pub fn subscription(topics: &[String], owned: &Named) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    out.put_i32(topics.len() as i32);
    for name in topics {
        out.put_i16(name.len() as i16);
        out.put_slice(name.as_bytes());
    }
    out.put_i32(-1);
    put_named(&mut out, owned);
    out.freeze()
}

/// What a consumer's assignment of version 1 says, byte for byte.
pub fn assignment_bytes(named: &Named) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    put_named(&mut out, named);
    out.put_i32(-1);
    out.freeze()
}

fn assigned(mut bytes: &[u8]) -> Named {
    assert_eq!(bytes.get_i16(), 1, "the version of the subscription");
    let mut named = Named::new();
    for _ in 0..bytes.get_i32() {
        let length = usize::from(bytes.get_u16());
        let name = String::from_utf8(bytes.copy_to_bytes(length).to_vec()).expect("a name");
        let partitions = (0..bytes.get_i32()).map(|_| bytes.get_i32()).collect();
        named.insert(name, partitions);
    }
    assert_eq!(bytes.get_i32(), -1, "no user data");
    named
}
