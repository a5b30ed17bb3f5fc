//! How much each broker holds, kept in step with the partitions.

use std::sync::Arc;

use chronik_protocol::types::BrokerId;

use super::partition::{Partition, Partitions};

/// How much a broker holds; follows from the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    pub leaders: u64,
    pub replicas: u64,
}

/// The loads of all brokers that hold anything, by id. Brokers are few and partitions many: a sorted list is the fastest.
#[derive(Clone, Default)]
pub(super) struct Loads(Arc<Vec<(BrokerId, Load)>>);

impl Loads {
    pub fn get(&self, broker: BrokerId) -> Load {
        self.0.binary_search_by_key(&broker, |(id, _)| *id).map_or(Load::default(), |at| self.0[at].1)
    }

    pub fn add(&mut self, partition: &Partition) {
        self.adjust(partition, |count| *count += 1);
    }

    pub fn remove(&mut self, partition: &Partition) {
        self.adjust(partition, |count| *count -= 1);
        if self.0.iter().any(|(_, load)| *load == Load::default()) {
            Arc::make_mut(&mut self.0).retain(|(_, load)| *load != Load::default());
        }
    }

    /// Puts a partition in the place of another.
    pub fn replace(&mut self, partitions: &mut Partitions, index: usize, partition: Partition) {
        self.add(&partition);
        if let Some(place) = partitions.get_mut(index) {
            let old = std::mem::replace(place, partition);
            self.remove(&old);
        }
    }

    fn adjust(&mut self, partition: &Partition, change: impl Fn(&mut u64)) {
        let loads = Arc::make_mut(&mut self.0);
        let mut of = |broker: BrokerId, change: &dyn Fn(&mut Load)| {
            let at = loads.binary_search_by_key(&broker, |(id, _)| *id).unwrap_or_else(|at| {
                loads.insert(at, (broker, Load::default()));
                at
            });
            change(&mut loads[at].1);
        };
        for replica in partition.replicas() {
            of(*replica, &|load| change(&mut load.replicas));
        }
        if partition.leader >= 0 {
            of(partition.leader, &|load| change(&mut load.leaders));
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(BrokerId, Load)>()
    }
}
