//! The leader of one partition.

use std::collections::BTreeMap;

/// A broker's `node.id`.
pub type ReplicaId = i32;

/// How far a produce request wants to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// No answer at all.
    None,
    /// Until the leader holds the records (durably, unless it was told that the page cache is enough).
    Leader,
    /// Until every in-sync replica holds them.
    All,
}

/// Why a follower's fetch changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefused {
    #[error("epoch {0} is older than the leader's")]
    Fenced(i32),
    #[error("epoch {0} is newer than the leader's")]
    UnknownEpoch(i32),
    #[error("broker {0} is not a replica of this partition")]
    NotAReplica(ReplicaId),
    #[error("offset {0} is beyond the leader's log end")]
    BeyondEnd(i64),
}

/// What the leader of a partition knows about its own log and its followers'.
#[derive(Clone, Debug)]
pub struct Leader {
    id: ReplicaId,
    epoch: i32,
    /// One past the last record appended here.
    log_end: i64,
    /// All records below are held by this leader as durably as it was told to. Invariant: held <= log_end.
    held: i64,
    /// Invariant: never falls, and held by every member of `in_sync`.
    high_watermark: i64,
    /// The followers and the offset up to which each holds the log. The leader itself is not among them.
    followers: BTreeMap<ReplicaId, Follower>,
}

#[derive(Clone, Copy, Debug)]
struct Follower {
    /// One past the last record the follower is known to hold; -1 before its first fetch in this epoch.
    held: i64,
    in_sync: bool,
    /// When it last reached the log end, in the caller's milliseconds.
    caught_up_ms: i64,
}

impl Leader {
    /// A leader at the start of `epoch`. `log_end` is durable. The other members of `replicas` follow; those of `in_sync` hold back the
    /// high watermark until they have fetched.
    pub fn new(
        id: ReplicaId,
        epoch: i32,
        replicas: &[ReplicaId],
        in_sync: &[ReplicaId],
        high_watermark: i64,
        log_end: i64,
        now_ms: i64,
    ) -> Self {
        assert!(high_watermark <= log_end, "the high watermark {high_watermark} is beyond the log end {log_end}");
        let followers = replicas
            .iter()
            .filter(|&&replica| replica != id)
            .map(|&replica| (replica, Follower { held: -1, in_sync: in_sync.contains(&replica), caught_up_ms: now_ms }))
            .collect();
        let mut leader = Leader { id, epoch, log_end, held: log_end, high_watermark, followers };
        leader.advance();
        leader
    }

    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    pub fn log_end_offset(&self) -> i64 {
        self.log_end
    }

    /// One past the last record a consumer may see.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// How many replicas the partition has, this leader included.
    pub fn replica_count(&self) -> usize {
        self.followers.len() + 1
    }

    /// The in-sync replicas, this leader included, ascending.
    pub fn in_sync(&self) -> Vec<ReplicaId> {
        let mut ids: Vec<_> = self.followers.iter().filter(|(_, f)| f.in_sync).map(|(&id, _)| id).collect();
        ids.push(self.id);
        ids.sort_unstable();
        ids
    }

    /// Records up to `end` were appended here, but are not yet held.
    pub fn appended(&mut self, end: i64) {
        assert!(end >= self.log_end, "the log end fell from {} to {end}", self.log_end);
        self.log_end = end;
    }

    /// This leader holds everything below `end`: synced, or written where the page cache is enough. Whether the high watermark moved.
    pub fn held(&mut self, end: i64) -> bool {
        assert!(end <= self.log_end, "holds up to {end}, beyond the log end {}", self.log_end);
        self.held = self.held.max(end);
        self.advance()
    }

    /// A follower asked for records from `offset` on, so it holds all below. Whether the high watermark moved.
    pub fn fetched(&mut self, replica: ReplicaId, epoch: i32, offset: i64, now_ms: i64) -> Result<bool, FetchRefused> {
        if epoch < self.epoch {
            return Err(FetchRefused::Fenced(epoch));
        }
        if epoch > self.epoch {
            return Err(FetchRefused::UnknownEpoch(epoch));
        }
        if offset > self.log_end {
            return Err(FetchRefused::BeyondEnd(offset));
        }
        let log_end = self.log_end;
        let follower = self.followers.get_mut(&replica).ok_or(FetchRefused::NotAReplica(replica))?;
        follower.held = offset;
        if offset == log_end {
            follower.caught_up_ms = now_ms;
        }
        Ok(self.advance())
    }

    /// Whether a produce that ends at `end` may be acknowledged.
    pub fn acknowledges(&self, acks: Acks, end: i64) -> bool {
        match acks {
            Acks::None => true,
            Acks::Leader => self.held >= end,
            Acks::All => self.high_watermark >= end,
        }
    }

    /// The followers that have not reached the log end for longer than `max_lag_ms` and still count as in sync.
    pub fn lagging(&self, now_ms: i64, max_lag_ms: i64) -> Vec<ReplicaId> {
        let late =
            |f: &Follower| f.in_sync && f.held < self.log_end && now_ms.saturating_sub(f.caught_up_ms) > max_lag_ms;
        self.followers.iter().filter(|(_, f)| late(f)).map(|(&id, _)| id).collect()
    }

    /// The set of in-sync replicas as the controller committed it. Whether the high watermark moved.
    pub fn set_in_sync(&mut self, in_sync: &[ReplicaId]) -> bool {
        for (id, follower) in &mut self.followers {
            follower.in_sync = in_sync.contains(id);
        }
        self.advance()
    }

    fn advance(&mut self) -> bool {
        let followers = self.followers.values().filter(|f| f.in_sync).map(|f| f.held).min();
        let held_by_all = followers.map_or(self.held, |held| held.min(self.held));
        let moved = held_by_all > self.high_watermark;
        if moved {
            self.high_watermark = held_by_all;
        }
        debug_assert!(self.high_watermark <= self.log_end);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_the_high_watermark_is_what_is_held() {
        let mut leader = Leader::new(1, 0, &[1], &[1], 0, 0, 0);
        leader.appended(10);
        assert_eq!(leader.high_watermark(), 0);
        assert!(!leader.acknowledges(Acks::Leader, 10));
        assert!(leader.held(7));
        assert_eq!(leader.high_watermark(), 7);
        assert!(leader.acknowledges(Acks::All, 7) && !leader.acknowledges(Acks::All, 8));
        assert!(!leader.held(5), "a late report changes nothing");
        assert_eq!(leader.high_watermark(), 7);
    }

    #[test]
    fn the_slowest_in_sync_replica_holds_the_high_watermark() {
        let mut leader = Leader::new(1, 3, &[1, 2, 3], &[1, 2, 3], 5, 5, 0);
        leader.appended(20);
        leader.held(20);
        assert_eq!(leader.high_watermark(), 5, "nobody has fetched");
        assert_eq!(leader.fetched(2, 3, 20, 10), Ok(false));
        assert_eq!(leader.fetched(3, 3, 12, 10), Ok(true));
        assert_eq!(leader.high_watermark(), 12);
        assert!(leader.acknowledges(Acks::Leader, 20) && !leader.acknowledges(Acks::All, 20));
        assert_eq!(leader.lagging(40_011, 30_000), vec![3]);
        assert!(leader.set_in_sync(&[1, 2]));
        assert_eq!((leader.high_watermark(), leader.in_sync()), (20, vec![1, 2]));
    }

    #[test]
    fn stale_foreign_and_impossible_fetches_change_nothing() {
        let mut leader = Leader::new(1, 3, &[1, 2], &[1, 2], 0, 4, 0);
        assert_eq!(leader.fetched(2, 2, 4, 0), Err(FetchRefused::Fenced(2)));
        assert_eq!(leader.fetched(2, 4, 4, 0), Err(FetchRefused::UnknownEpoch(4)));
        assert_eq!(leader.fetched(9, 3, 4, 0), Err(FetchRefused::NotAReplica(9)));
        assert_eq!(leader.fetched(2, 3, 5, 0), Err(FetchRefused::BeyondEnd(5)));
        assert_eq!(leader.high_watermark(), 0);
    }

    /// Random histories: the high watermark never falls, never passes the log end, and never passes an in-sync replica.
    #[test]
    fn the_high_watermark_is_safe_in_random_histories() {
        let mut seed = 7u64;
        let mut next = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        for _ in 0..2_000 {
            let mut leader = Leader::new(0, 1, &[0, 1, 2], &[0, 1, 2], 0, 0, 0);
            let (mut fetched, mut isr, mut seen) = ([0i64; 3], vec![0, 1, 2], 0);
            for now in 0..60 {
                match next(4) {
                    0 => leader.appended(leader.log_end_offset() + next(5) as i64),
                    1 => {
                        let end = fetched[0].max(next(leader.log_end_offset() as u64 + 1) as i64);
                        fetched[0] = end;
                        leader.held(end);
                    }
                    2 => {
                        let follower = 1 + next(2) as usize;
                        let offset = fetched[follower].max(next(leader.log_end_offset() as u64 + 1) as i64);
                        fetched[follower] = offset;
                        leader.fetched(follower as i32, 1, offset, now).expect("a valid fetch");
                    }
                    _ => {
                        // The controller admits only replicas that hold everything below the high watermark.
                        isr = (0..3)
                            .filter(|&id| id == 0 || (fetched[id as usize] >= leader.high_watermark() && next(2) == 0))
                            .collect();
                        leader.set_in_sync(&isr);
                    }
                }
                let hw = leader.high_watermark();
                assert!(hw >= seen && hw <= leader.log_end_offset());
                assert!(isr.iter().all(|&id| fetched[id as usize] >= hw));
                seen = hw;
            }
        }
    }
}
