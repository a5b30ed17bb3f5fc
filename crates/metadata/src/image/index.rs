//! A sorted list of topic slots that shares its unchanged parts with older copies: four bytes a topic.

use std::cmp::Ordering;
use std::sync::Arc;

/// Slots in one chunk at most: an insertion copies at most this many.
const CHUNK: usize = 256;

/// Slots in an order that the caller defines: every method takes a comparison of a stored slot with what is sought.
#[derive(Clone, Default)]
pub(crate) struct SlotIndex {
    /// Invariant: no chunk is empty.
    chunks: Arc<Vec<Arc<Vec<u32>>>>,
}

impl SlotIndex {
    /// The slot that compares equal.
    pub fn find(&self, mut compare: impl FnMut(u32) -> Ordering) -> Option<u32> {
        let chunk = self.chunks.get(self.chunk_of(&mut compare))?;
        chunk.binary_search_by(|slot| compare(*slot)).ok().map(|at| chunk[at])
    }

    /// Inserts a slot at its place. Where one compares equal, that one is returned and nothing is inserted.
    pub fn insert(&mut self, slot: u32, mut compare: impl FnMut(u32) -> Ordering) -> Result<(), u32> {
        let at = self.chunk_of(&mut compare);
        let Some(chunk) = self.chunks.get(at) else {
            Arc::make_mut(&mut self.chunks).push(Arc::new(vec![slot]));
            return Ok(());
        };
        let within = match chunk.binary_search_by(|slot| compare(*slot)) {
            Ok(equal) => return Err(chunk[equal]),
            Err(within) => within,
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        if chunk.len() < CHUNK {
            chunk.insert(within, slot);
        } else if within == CHUNK {
            // Names often arrive in order: full chunks stay full.
            chunks.insert(at + 1, Arc::new(vec![slot]));
        } else {
            let mut right = chunk.split_off(CHUNK / 2);
            if within <= CHUNK / 2 {
                chunk.insert(within, slot);
            } else {
                right.insert(within - CHUNK / 2, slot);
            }
            chunks.insert(at + 1, Arc::new(right));
        }
        Ok(())
    }

    /// Removes the slot that compares equal, if there is one.
    pub fn remove(&mut self, mut compare: impl FnMut(u32) -> Ordering) -> Option<u32> {
        let at = self.chunk_of(&mut compare);
        let within = self.chunks.get(at)?.binary_search_by(|slot| compare(*slot)).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let slot = chunk.remove(within);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        Some(slot)
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied())
    }

    /// The slots from the first that does not compare less.
    pub fn iter_from(&self, mut compare: impl FnMut(u32) -> Ordering) -> impl Iterator<Item = u32> + '_ {
        let at = self.chunk_of(&mut compare);
        let skip =
            self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|slot| compare(*slot) == Ordering::Less));
        self.chunks.iter().skip(at).flat_map(|chunk| chunk.iter().copied()).skip(skip)
    }

    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| 8 + 16 + size_of::<Vec<u32>>() + 4 * chunk.capacity()).sum()
    }

    /// The last chunk whose first slot is not greater, else the first.
    fn chunk_of(&self, compare: &mut impl FnMut(u32) -> Ordering) -> usize {
        self.chunks.partition_point(|chunk| compare(chunk[0]) != Ordering::Greater).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random insertions and removals against a sorted vector; old copies stay as they were.
    #[test]
    fn behaves_like_a_sorted_vector() {
        let mut state = 1u64;
        let mut index = SlotIndex::default();
        let mut model = Vec::<u32>::new();
        for step in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let slot = (state >> 33) as u32 % 3000;
            let before = (step % 1000 == 0).then(|| (index.clone(), model.clone()));
            match model.binary_search(&slot) {
                Ok(at) => {
                    assert_eq!(index.find(|s| s.cmp(&slot)), Some(slot));
                    assert_eq!(index.remove(|s| s.cmp(&slot)), Some(slot));
                    model.remove(at);
                }
                Err(at) => {
                    assert_eq!(index.find(|s| s.cmp(&slot)), None);
                    assert_eq!(index.remove(|s| s.cmp(&slot)), None);
                    assert_eq!(index.insert(slot, |s| s.cmp(&slot)), Ok(()));
                    assert_eq!(index.insert(slot, |s| s.cmp(&slot)), Err(slot));
                    model.insert(at, slot);
                }
            }
            if let Some((old, old_model)) = before {
                assert_eq!(old.iter().collect::<Vec<_>>(), old_model);
                assert_eq!(index.iter().collect::<Vec<_>>(), model);
                let from: Vec<_> = model.iter().copied().filter(|s| *s >= slot).collect();
                assert_eq!(index.iter_from(|s| s.cmp(&slot)).collect::<Vec<_>>(), from);
            }
        }
    }

    #[test]
    fn slots_in_order_fill_their_chunks() {
        let mut index = SlotIndex::default();
        for slot in 0..10_240 {
            assert_eq!(index.insert(slot, |s| s.cmp(&slot)), Ok(()));
        }
        assert_eq!(index.chunks.len(), 10_240 / CHUNK);
        assert!(index.iter().eq(0..10_240));
    }
}
