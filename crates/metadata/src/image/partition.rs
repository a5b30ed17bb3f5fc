//! One partition as the metadata knows it, in 32 bytes.

use std::sync::Arc;

use chronik_protocol::types::{BrokerId, LeaderEpoch, Offset};

/// Who holds a partition. Shared by all partitions that are held alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holders {
    pub replicas: Box<[BrokerId]>,
    pub isr: Box<[BrokerId]>,
}

/// A partition's place and epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub(crate) holders: Arc<Holders>,
    /// The first offset that can be read. Never goes back.
    pub log_start_offset: Offset,
    /// -1 = none.
    pub leader: BrokerId,
    /// Raised at each change of the leader.
    pub leader_epoch: LeaderEpoch,
    /// Raised at each change of replicas, ISR or leader; a change decided under an older one is stale (KIP-497).
    pub partition_epoch: i32,
}

impl Partition {
    /// The brokers that hold the partition, preferred leader first.
    pub fn replicas(&self) -> &[BrokerId] {
        &self.holders.replicas
    }

    /// The replicas in sync with the leader.
    pub fn isr(&self) -> &[BrokerId] {
        &self.holders.isr
    }
}

/// A topic's partitions, by number; most topics have one.
#[derive(Clone, Debug)]
pub(crate) enum Partitions {
    One(Partition),
    Many(Arc<Vec<Partition>>),
}

impl Partitions {
    pub fn none() -> Self {
        Partitions::Many(Arc::default())
    }

    pub fn as_slice(&self) -> &[Partition] {
        match self {
            Partitions::One(partition) => std::slice::from_ref(partition),
            Partitions::Many(partitions) => partitions,
        }
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut Partition> {
        match self {
            Partitions::One(partition) => (index == 0).then_some(partition),
            Partitions::Many(partitions) if index < partitions.len() => Arc::make_mut(partitions).get_mut(index),
            Partitions::Many(_) => None,
        }
    }

    pub fn push(&mut self, partition: Partition) {
        *self = match std::mem::replace(self, Partitions::none()) {
            Partitions::Many(partitions) if partitions.is_empty() => Partitions::One(partition),
            Partitions::Many(mut partitions) => {
                Arc::make_mut(&mut partitions).push(partition);
                Partitions::Many(partitions)
            }
            Partitions::One(first) => Partitions::Many(Arc::new(vec![first, partition])),
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Partitions::One(_) => 0,
            Partitions::Many(partitions) => {
                16 + size_of::<Vec<Partition>>() + partitions.capacity() * size_of::<Partition>()
            }
        }
    }
}

/// Keeps one copy of equal holders. A memo only: what it holds is no part of the state.
#[derive(Clone, Default)]
pub(crate) struct Interner(Arc<Vec<Arc<Holders>>>);

impl Interner {
    /// Entries after which the memo starts anew, so that holders long gone do not pile up and a copy of it stays cheap.
    const LIMIT: usize = 1024;

    pub fn share(&mut self, replicas: &[BrokerId], isr: &[BrokerId]) -> Arc<Holders> {
        let place = self.0.binary_search_by(|known| (&*known.replicas, &*known.isr).cmp(&(replicas, isr)));
        let at = match place {
            Ok(at) => return Arc::clone(&self.0[at]),
            Err(_) if self.0.len() >= Self::LIMIT => {
                self.0 = Arc::default();
                0
            }
            Err(at) => at,
        };
        let shared = Arc::new(Holders { replicas: replicas.into(), isr: isr.into() });
        Arc::make_mut(&mut self.0).insert(at, Arc::clone(&shared));
        shared
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.iter().map(|h| 8 + 16 + size_of::<Holders>() + 4 * (h.replicas.len() + h.isr.len())).sum()
    }
}
