//! How many bytes of requests the broker holds at once, over all connections (`queued.max.request.bytes`).
//!
//! Only bytes that have arrived are counted: a length field alone takes nothing from others. While the bound is reached no frame
//! is begun, and of those that are half there one at a time goes on, so that no two wait for each other; one that stops in its
//! middle then loses its connection. The bound is passed by one frame, and by one read of each connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use parking_lot::Mutex;

pub(crate) struct RequestMemory {
    /// `None` = no bound.
    limit: Option<u64>,
    used: AtomicU64,
    /// The connection whose frame goes on although the bound is reached; connections count from 1, 0 = none.
    finishing: AtomicU64,
    /// Connections that wait for room, by their ids.
    waiting: Mutex<HashMap<u64, Waker>>,
}

impl RequestMemory {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        RequestMemory { limit, used: AtomicU64::new(0), finishing: AtomicU64::new(0), waiting: Mutex::default() }
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
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether a connection may read; `inside` says that a large frame of its is half there. Where it may not, it is woken
    /// when that may have changed.
    pub(crate) fn has_room(&self, connection_id: u64, inside: bool, cx: &Context<'_>) -> bool {
        if self.limit.is_none() {
            return true;
        }
        if !inside {
            self.step_aside(connection_id);
        }
        if self.lets(connection_id, inside) {
            return true;
        }
        self.waiting.lock().insert(connection_id, cx.waker().clone());
        // What was given back before the waker was there woke nobody.
        self.lets(connection_id, inside)
    }

    fn lets(&self, connection_id: u64, inside: bool) -> bool {
        if !self.is_exhausted() {
            return true;
        }
        let turn = || self.finishing.compare_exchange(0, connection_id, Ordering::AcqRel, Ordering::Acquire);
        inside && turn().map_or_else(|other| other == connection_id, |_| true)
    }

    /// A connection's frame is whole, or does not go on for now: another's may.
    pub(crate) fn step_aside(&self, connection_id: u64) {
        let its_turn = self.finishing.load(Ordering::Relaxed) == connection_id
            && self.finishing.compare_exchange(connection_id, 0, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if its_turn {
            self.wake_all();
        }
    }

    /// A connection is gone, with all it held.
    pub(crate) fn forget(&self, connection_id: u64, held: usize) {
        self.waiting.lock().remove(&connection_id);
        self.change(held, 0);
        self.step_aside(connection_id);
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
        assert!(memory.has_room(1, false, &cx));
        memory.change(0, 150);
        assert!((0..2).all(|_| !memory.has_room(2, false, &cx)) && !memory.has_room(3, false, &cx));
        memory.change(150, 100);
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "still none");
        memory.change(100, 99);
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "each once");
        assert!(memory.has_room(2, false, &cx));
        memory.forget(1, 99);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn of_half_frames_one_at_a_time_goes_on() {
        let memory = RequestMemory::new(Some(100));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        memory.change(0, 100);
        assert!(memory.has_room(1, true, &cx) && !memory.has_room(2, true, &cx) && memory.has_room(1, true, &cx));
        assert!(!memory.has_room(1, false, &cx), "its frame is there: no other one of its");
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the next one's turn");
        assert!(memory.has_room(2, true, &cx));
        memory.forget(2, 0);
        assert!(memory.has_room(3, true, &cx));
    }

    #[test]
    fn who_steps_aside_lets_the_next_one_go_on() {
        let memory = RequestMemory::new(Some(100));
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        memory.change(0, 100);
        assert!(memory.has_room(1, true, &cx) && !memory.has_room(2, true, &cx));
        memory.step_aside(3);
        assert_eq!(count.0.load(Ordering::Relaxed), 0, "it was not its turn");
        memory.step_aside(1);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(memory.has_room(2, true, &cx) && !memory.has_room(1, true, &cx));
    }

    #[test]
    fn without_a_bound_there_is_always_room() {
        let memory = RequestMemory::new(None);
        memory.change(0, usize::MAX / 2);
        assert!(memory.has_room(1, false, &Context::from_waker(Waker::noop())));
    }
}
