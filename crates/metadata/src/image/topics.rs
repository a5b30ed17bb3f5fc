//! The topics of an image: one slab of topics, found by name and by id through lists of slots.

use std::cmp::Ordering;

use chronik_protocol::types::{PartitionId, TopicId};
use imbl::Vector;

use super::index::SlotIndex;
use super::name::Name;
use super::partition::{Partition, Partitions};

/// A topic and its partitions.
#[derive(Clone)]
pub struct Topic {
    pub id: TopicId,
    name: Name,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    pub(super) partitions: Partitions,
}

impl Topic {
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The partitions in order of their numbers, without gaps.
    pub fn partitions(&self) -> &[Partition] {
        self.partitions.as_slice()
    }

    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions().get(usize::try_from(partition).ok()?)
    }
}

/// All topics. A copy shares everything with the original until one of them changes.
#[derive(Clone, Default)]
pub(super) struct Topics {
    slab: Vector<Option<Topic>>,
    free: Vector<u32>,
    by_name: SlotIndex,
    by_id: SlotIndex,
    len: usize,
}

fn topic_at(slab: &Vector<Option<Topic>>, slot: u32) -> &Topic {
    slab.get(slot as usize).and_then(Option::as_ref).expect("an index names only slots in use")
}

fn compare_name(slab: &Vector<Option<Topic>>, slot: u32, name: &str) -> Ordering {
    topic_at(slab, slot).name().cmp(name)
}

fn compare_id(slab: &Vector<Option<Topic>>, slot: u32, id: TopicId) -> Ordering {
    topic_at(slab, slot).id.cmp(&id)
}

impl Topics {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn by_name(&self, name: &str) -> Option<&Topic> {
        let slot = self.by_name.find(|slot| compare_name(&self.slab, slot, name))?;
        Some(topic_at(&self.slab, slot))
    }

    pub fn by_id(&self, id: TopicId) -> Option<&Topic> {
        let slot = self.by_id.find(|slot| compare_id(&self.slab, slot, id))?;
        Some(topic_at(&self.slab, slot))
    }

    /// The partitions of a topic, to be changed.
    pub fn partitions_mut(&mut self, id: TopicId) -> Option<&mut Partitions> {
        let slot = self.by_id.find(|slot| compare_id(&self.slab, slot, id))?;
        self.slab.get_mut(slot as usize)?.as_mut().map(|topic| &mut topic.partitions)
    }

    /// By name, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.iter().map(|slot| topic_at(&self.slab, slot))
    }

    /// By name, ascending, from the first name that is not less than `from`.
    pub fn iter_from(&self, from: &str) -> impl Iterator<Item = &Topic> {
        self.by_name.iter_from(|slot| compare_name(&self.slab, slot, from)).map(|slot| topic_at(&self.slab, slot))
    }

    /// Adds a topic without partitions. When its name or id is in use, nothing is added and the id of the topic that has it
    /// is returned.
    pub fn insert(&mut self, id: TopicId, name: &str, created_ms: i64) -> Result<(), TopicId> {
        let slot = match self.free.last() {
            Some(slot) => *slot,
            None => u32::try_from(self.slab.len()).expect("fewer than 2^32 topics fit in memory"),
        };
        let in_use = |slab: &Vector<Option<Topic>>, slot| topic_at(slab, slot).id;
        self.by_id
            .insert(slot, |other| compare_id(&self.slab, other, id))
            .map_err(|other| in_use(&self.slab, other))?;
        if let Err(namesake) = self.by_name.insert(slot, |other| compare_name(&self.slab, other, name)) {
            // The slab does not hold the new topic yet, so its own slot is told by its number.
            self.by_id.remove(|other| if other == slot { Ordering::Equal } else { compare_id(&self.slab, other, id) });
            return Err(in_use(&self.slab, namesake));
        }
        let topic = Some(Topic { id, name: Name::new(name), created_ms, partitions: Partitions::none() });
        if self.free.pop_back().is_some() {
            self.slab.set(slot as usize, topic);
        } else {
            self.slab.push_back(topic);
        }
        self.len += 1;
        Ok(())
    }

    pub fn remove(&mut self, id: TopicId) -> Option<Topic> {
        let slot = self.by_id.remove(|slot| compare_id(&self.slab, slot, id))?;
        let name = topic_at(&self.slab, slot).name().to_owned();
        self.by_name.remove(|slot| compare_name(&self.slab, slot, &name));
        self.free.push_back(slot);
        self.len -= 1;
        self.slab.set(slot as usize, None)
    }

    pub fn memory_bytes(&self) -> usize {
        let heap = |topic: &Topic| topic.name.heap_bytes() + topic.partitions.heap_bytes();
        self.slab.len() * size_of::<Option<Topic>>()
            + self.iter().map(heap).sum::<usize>()
            + 4 * self.free.len()
            + self.by_name.memory_bytes()
            + self.by_id.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_the_memory_goal_rests_on() {
        assert_eq!(size_of::<Partition>(), 32);
        assert_eq!(size_of::<Option<Topic>>(), 80);
    }
}
