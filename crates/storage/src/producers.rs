//! What a partition remembers of idempotent producers (KIP-98, KIP-360): the last five batches of each.
//!
//! Pure: no file and no clock. [`crate::producer_snapshot`] keeps it over restarts.

use std::collections::{BTreeMap, VecDeque};

use chronik_protocol::batch::BatchHeader;

/// Batches remembered per producer: a client may have as many in flight.
pub const REMEMBERED_BATCHES: usize = 5;

/// Whether a batch is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    New,
    /// Appended before: the offset it was given, and its largest timestamp in milliseconds.
    Duplicate {
        base_offset: i64,
        timestamp: i64,
    },
}

/// Why a batch does not follow its producer's earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Kafka's OUT_OF_ORDER_SEQUENCE_NUMBER (45).
    #[error("producer {producer_id}: sequence {found} instead of {expected}")]
    OutOfOrder { producer_id: i64, expected: i32, found: i32 },
    /// Kafka's INVALID_PRODUCER_EPOCH (47).
    #[error("producer {producer_id}: epoch {epoch} is older than {latest}")]
    StaleEpoch { producer_id: i64, epoch: i16, latest: i16 },
}

/// One remembered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencedBatch {
    pub last_sequence: i32,
    pub last_offset: i64,
    /// Last offset minus base offset; also last sequence minus first, modulo 2³¹.
    pub offset_delta: i32,
    /// Milliseconds.
    pub timestamp: i64,
}

impl SequencedBatch {
    pub fn first_sequence(&self) -> i32 {
        match self.last_sequence.checked_sub(self.offset_delta) {
            Some(first) if first >= 0 => first,
            // Before the wrap from 2³¹−1 to 0.
            _ => (i64::from(self.last_sequence) - i64::from(self.offset_delta) + (1 << 31)) as i32,
        }
    }

    pub fn base_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    pub epoch: i16,
    /// Oldest first, at most [`REMEMBERED_BATCHES`], all of `epoch`.
    pub batches: VecDeque<SequencedBatch>,
    /// The largest timestamp of the newest batch, in milliseconds.
    pub last_timestamp: i64,
    /// The transaction coordinator's epoch; -1 = none.
    pub coordinator_epoch: i32,
    /// Where the open transaction began; -1 = none open.
    pub current_txn_first_offset: i64,
    /// When the broker last saw the producer, in milliseconds: what expiry counts from. Not the time in its records, which
    /// the client may have set to anything.
    pub(crate) seen_ms: i64,
}

/// All producers of one partition, by producer id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    pub(crate) states: BTreeMap<i64, ProducerState>,
    pub(crate) expiration_ms: i64,
}

impl ProducerStates {
    /// Empty; producers idle for `expiration_ms` milliseconds are forgotten (never, when that is not positive).
    pub fn new(expiration_ms: i64) -> Self {
        ProducerStates { states: BTreeMap::new(), expiration_ms }
    }

    pub fn len(&self) -> usize {
        self.states.len()
    }

    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    pub fn get(&self, producer_id: i64) -> Option<&ProducerState> {
        self.states.get(&producer_id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &ProducerState)> {
        self.states.iter().map(|(&id, state)| (id, state))
    }

    /// What to do with a batch a client sent. Batches without a producer id are always new. A producer that is not
    /// known, or was forgotten, may begin anywhere; a new epoch begins at sequence 0.
    pub fn check(&self, header: &BatchHeader, now_ms: i64) -> Result<Verdict, SequenceError> {
        let known = self.states.get(&header.producer_id).filter(|state| !self.is_expired(state, now_ms));
        let Some(state) = known.filter(|_| header.has_producer_id()) else { return Ok(Verdict::New) };
        let producer_id = header.producer_id;
        if header.producer_epoch < state.epoch {
            return Err(SequenceError::StaleEpoch { producer_id, epoch: header.producer_epoch, latest: state.epoch });
        }
        let found = header.base_sequence;
        if header.producer_epoch > state.epoch {
            return if found == 0 {
                Ok(Verdict::New)
            } else {
                Err(SequenceError::OutOfOrder { producer_id, expected: 0, found })
            };
        }
        let same =
            |batch: &&SequencedBatch| batch.last_sequence == header.last_sequence() && batch.first_sequence() == found;
        if let Some(batch) = state.batches.iter().find(same) {
            return Ok(Verdict::Duplicate { base_offset: batch.base_offset(), timestamp: batch.timestamp });
        }
        let expected = state.batches.back().map_or(0, |last| last.last_sequence.checked_add(1).unwrap_or(0));
        if found == expected {
            Ok(Verdict::New)
        } else {
            Err(SequenceError::OutOfOrder { producer_id, expected, found })
        }
    }

    /// Notes a batch that is in the log, whatever [`ProducerStates::check`] would say of it.
    pub(crate) fn update(&mut self, header: &BatchHeader, seen_ms: i64) {
        if !header.has_producer_id() {
            return;
        }
        let state = self.states.entry(header.producer_id).or_insert_with(|| ProducerState {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            last_timestamp: -1,
            coordinator_epoch: -1,
            current_txn_first_offset: -1,
            seen_ms,
        });
        if state.epoch != header.producer_epoch {
            state.epoch = header.producer_epoch;
            state.batches.clear();
        }
        state.last_timestamp = header.max_timestamp;
        state.seen_ms = seen_ms;
        if header.is_control() {
            state.current_txn_first_offset = -1;
            return;
        }
        state.push(SequencedBatch {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
    }

    /// Forgets producers idle for too long.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let expiration_ms = self.expiration_ms;
        self.states.retain(|_, state| !has_expired(state, expiration_ms, now_ms));
    }

    fn is_expired(&self, state: &ProducerState, now_ms: i64) -> bool {
        has_expired(state, self.expiration_ms, now_ms)
    }
}

fn has_expired(state: &ProducerState, expiration_ms: i64, now_ms: i64) -> bool {
    expiration_ms > 0 && state.current_txn_first_offset < 0 && now_ms.saturating_sub(state.seen_ms) >= expiration_ms
}

impl ProducerState {
    pub(crate) fn push(&mut self, batch: SequencedBatch) {
        if self.batches.len() == REMEMBERED_BATCHES {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
    }
}
