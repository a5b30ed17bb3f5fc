//! Large page-aligned blocks for reads from sockets and files.
//!
//! Copies into memory that starts 1 to 63 bytes past a page boundary, which is what a plain large allocation gives, run 5 to 16
//! times slower on common hardware; blocks start on a page and are recycled.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

const PAGE: usize = 4096;
/// The smallest block handed out, in bytes.
pub const MIN_BLOCK: usize = 16 * 1024;
/// Blocks above this size (bytes) go back to the allocator, not to the pool.
const MAX_POOLED: usize = 2 * 1024 * 1024;
/// How many bytes of free blocks a pool keeps.
const MAX_FREE_BYTES: usize = 6 * 1024 * 1024;

/// The index of the class of a pooled capacity, which is a power of two.
const fn class_of(capacity: usize) -> usize {
    (capacity / MIN_BLOCK).trailing_zeros() as usize
}

/// A pool of free blocks by power of two. Cheap to clone; shared by threads.
#[derive(Clone, Default)]
pub struct BlockPool(Arc<Mutex<Free>>);

#[derive(Default)]
struct Free {
    /// Index n holds blocks of `MIN_BLOCK << n` bytes.
    classes: [Vec<Vec<u8>>; class_of(MAX_POOLED) + 1],
    bytes: usize,
}

/// A writable page-aligned block of fixed capacity. Goes back to its pool when it and every [`Bytes`] made from it are dropped.
pub struct Block {
    /// Over-allocated by one page; the aligned part starts at `start`. Never empty until dropped.
    memory: Vec<u8>,
    start: usize,
    capacity: usize,
    pool: BlockPool,
}

impl BlockPool {
    /// A block of at least `capacity` bytes. Contents are unspecified (old data of this process or zeros).
    pub fn take(&self, capacity: usize) -> Block {
        // Sizes that are pooled are powers of two; larger ones are no larger than needed.
        let capacity = match capacity.max(MIN_BLOCK) {
            small if small <= MAX_POOLED => small.next_power_of_two(),
            large => large.next_multiple_of(PAGE),
        };
        let pooled = if capacity > MAX_POOLED {
            None
        } else {
            let mut free = self.0.lock();
            let found = free.classes[class_of(capacity)].pop();
            if found.is_some() {
                free.bytes -= capacity;
            }
            found
        };
        let memory = pooled.unwrap_or_else(|| vec![0; capacity + PAGE]);
        let start = memory.as_ptr().align_offset(PAGE);
        debug_assert!(start < PAGE);
        Block { memory, start, capacity, pool: self.clone() }
    }

    /// Bytes of free blocks held.
    pub fn free_bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl Block {
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.capacity]
    }

    /// Freezes the block: the first `len` bytes, shared without a copy.
    pub fn freeze(self, len: usize) -> Bytes {
        let mut bytes = Bytes::from_owner(self);
        bytes.truncate(len);
        bytes
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.capacity]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.capacity > MAX_POOLED {
            return;
        }
        let memory = std::mem::take(&mut self.memory);
        let mut free = self.pool.0.lock();
        if free.bytes + self.capacity <= MAX_FREE_BYTES {
            free.bytes += self.capacity;
            free.classes[class_of(self.capacity)].push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_page_aligned_and_recycled() {
        let pool = BlockPool::default();
        for capacity in [1, MIN_BLOCK, MIN_BLOCK + 1, 1 << 20, (1 << 22) + 1, 9_000_000] {
            let mut block = pool.take(capacity);
            assert!(block.capacity() >= capacity);
            assert_eq!(block.as_mut_slice().as_ptr() as usize % PAGE, 0);
            block.as_mut_slice()[0] = 7;
            let shared = block.freeze(1);
            let other = shared.clone();
            drop(shared);
            assert_eq!(other[0], 7);
        }
        assert_eq!(
            pool.free_bytes(),
            MIN_BLOCK + 2 * MIN_BLOCK + (1 << 20),
            "reused across sizes, the largest not kept"
        );
        let before = pool.free_bytes();
        drop(pool.take(MIN_BLOCK));
        assert_eq!(pool.free_bytes(), before);
    }
}
