//! How many bytes of requests the broker holds at once, over all connections (`queued.max.request.bytes`).
//!
//! As in Kafka a frame is counted whole from the moment its length is known, and is then read to its end: what is let in can
//! always be finished, so no two half frames wait for each other. A frame is let in while anything is left, so the bound is
//! passed by one frame for each thread at most.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use parking_lot::Mutex;

pub(crate) struct RequestMemory {
    /// `None` = no bound.
    limit: Option<u64>,
    used: AtomicU64,
    /// Connections that wait for room, by their ids.
    waiting: Mutex<HashMap<u64, Waker>>,
}

impl RequestMemory {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        RequestMemory { limit, used: AtomicU64::new(0), waiting: Mutex::default() }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.used.load(Ordering::Acquire) >= limit)
    }

    /// What a connection holds has changed.
    pub(crate) fn change(&self, before: usize, after: usize) {
        if after >= before {
            self.used.fetch_add((after - before) as u64, Ordering::AcqRel);
            return;
        }
        self.used.fetch_sub((before - after) as u64, Ordering::AcqRel);
        if self.limit.is_some() && !self.is_exhausted() {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_values().for_each(Waker::wake);
        }
    }

    /// Whether a connection may let another frame in. Where not, it is woken when that may have changed.
    pub(crate) fn has_room(&self, connection_id: u64, cx: &Context<'_>) -> bool {
        if !self.is_exhausted() {
            return true;
        }
        self.waiting.lock().insert(connection_id, cx.waker().clone());
        // What was given back before the waker was there woke nobody.
        !self.is_exhausted()
    }

    /// A connection is gone, with all it held.
    pub(crate) fn forget(&self, connection_id: u64, held: usize) {
        self.waiting.lock().remove(&connection_id);
        self.change(held, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_finds_no_room_is_woken_when_there_is_some() {
        let memory = RequestMemory::new(Some(100));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        assert!(memory.has_room(1, &cx));
        memory.change(0, 150);
        assert!(!memory.has_room(2, &cx) && !memory.has_room(2, &cx) && !memory.has_room(3, &cx));
        memory.change(150, 100);
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "still none");
        memory.change(100, 99);
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "each once");
        assert!(memory.has_room(2, &cx));
        memory.forget(1, 99);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn without_a_bound_there_is_always_room() {
        let memory = RequestMemory::new(None);
        memory.change(0, usize::MAX / 2);
        assert!(memory.has_room(1, &Context::from_waker(Waker::noop())));
    }
}
