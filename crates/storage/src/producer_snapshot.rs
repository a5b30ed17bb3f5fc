//! Kafka's producer snapshot, `%020d.snapshot`, version 1: producer states as of the offset in the name.
//!
//! Kafka keeps one entry a producer and so forgets four of its five batches at a restart. We write one entry a
//! remembered batch, oldest first: Kafka's reader lets the last entry of a producer win, ours puts the batches back. An
//! entry without a batch comes before them where a producer was seen at another time than its records say: going by old
//! records it would be forgotten at the next start, and a retry taken for new; going by those dated in the future, never.
//!
//! A snapshot is written only when all of the log below its offset is durable, so its presence proves that.

use crate::producers::{ProducerState, ProducerStates, SequencedBatch};

const VERSION: i16 = 1;
/// Version (2), CRC (4).
const CRC_END: usize = 6;
const HEAD_LEN: usize = CRC_END + 4;
const ENTRY_LEN: usize = 46;

/// The snapshot's bytes.
pub(crate) fn encode(producers: &ProducerStates) -> Vec<u8> {
    let mut out = vec![0; HEAD_LEN];
    let mut count: u32 = 0;
    for (producer_id, state) in producers.iter() {
        let no_batch =
            SequencedBatch { last_sequence: -1, last_offset: -1, offset_delta: 0, timestamp: state.last_timestamp };
        let none = state.batches.is_empty().then_some(&no_batch);
        let seen = SequencedBatch { timestamp: state.seen_ms, ..no_batch };
        let seen = (state.seen_ms != state.last_timestamp).then_some(&seen);
        for batch in seen.into_iter().chain(&state.batches).chain(none) {
            out.extend_from_slice(&producer_id.to_be_bytes());
            out.extend_from_slice(&state.epoch.to_be_bytes());
            out.extend_from_slice(&batch.last_sequence.to_be_bytes());
            out.extend_from_slice(&batch.last_offset.to_be_bytes());
            out.extend_from_slice(&batch.offset_delta.to_be_bytes());
            out.extend_from_slice(&batch.timestamp.to_be_bytes());
            out.extend_from_slice(&state.coordinator_epoch.to_be_bytes());
            out.extend_from_slice(&state.current_txn_first_offset.to_be_bytes());
            count += 1;
        }
    }
    out[CRC_END..HEAD_LEN].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&out[CRC_END..]);
    out[..2].copy_from_slice(&VERSION.to_be_bytes());
    out[2..CRC_END].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads a snapshot; `None` when it is not a whole one of version 1: its contents are then replayed from the log.
pub(crate) fn decode(bytes: &[u8], expiration_ms: i64) -> Option<ProducerStates> {
    let (head, entries) = bytes.split_at_checked(HEAD_LEN)?;
    let version = i16::from_be_bytes([head[0], head[1]]);
    let crc = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let count = u32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    if version != VERSION
        || crc != crc32c::crc32c(&bytes[CRC_END..])
        || entries.len() as u64 != u64::from(count) * ENTRY_LEN as u64
    {
        return None;
    }
    let mut producers = ProducerStates::new(expiration_ms);
    let mut seen = None;
    for entry in entries.chunks_exact(ENTRY_LEN) {
        load(&mut producers, entry, &mut seen)?;
    }
    Some(producers)
}

/// `seen` is the producer of which an entry without a batch has told when it was seen.
fn load(producers: &mut ProducerStates, entry: &[u8], seen: &mut Option<i64>) -> Option<()> {
    let mut at = 0;
    let mut take = |len: usize| -> i64 {
        let mut value = i64::from(entry[at] as i8);
        for &byte in &entry[at + 1..at + len] {
            value = value << 8 | i64::from(byte);
        }
        at += len;
        value
    };
    let producer_id = take(8);
    let epoch = take(2) as i16;
    let last_sequence = take(4) as i32;
    let (last_offset, offset_delta, timestamp) = (take(8), take(4) as i32, take(8));
    let (coordinator_epoch, current_txn_first_offset) = (take(4) as i32, take(8));
    if producer_id < 0 || offset_delta < 0 || (last_sequence >= 0 && last_offset < i64::from(offset_delta)) {
        return None;
    }
    let fresh = ProducerState {
        epoch,
        batches: Default::default(),
        last_timestamp: timestamp,
        coordinator_epoch,
        current_txn_first_offset,
        seen_ms: timestamp,
    };
    let state = producers.states.entry(producer_id).or_insert_with(|| fresh.clone());
    if state.epoch != epoch {
        *state = fresh;
    }
    state.last_timestamp = timestamp;
    if *seen != Some(producer_id) {
        state.seen_ms = timestamp;
        *seen = (last_sequence < 0).then_some(producer_id);
    }
    if last_sequence >= 0 {
        state.push(SequencedBatch { last_sequence, last_offset, offset_delta, timestamp });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let batch = |n: i32| SequencedBatch {
            last_sequence: n,
            last_offset: i64::from(n) + 40,
            offset_delta: 0,
            timestamp: 1000 + i64::from(n),
        };
        let mut producers = ProducerStates::new(7);
        for (batches, seen_ms) in
            (0..=2).flat_map(|batches| [900, 1000 + i64::from(batches), 2000].map(|ms| (batches, ms)))
        {
            let state = ProducerState {
                epoch: 3,
                batches: (1..=batches).map(batch).collect(),
                last_timestamp: 1000 + i64::from(batches),
                coordinator_epoch: 4,
                current_txn_first_offset: 41,
                seen_ms,
            };
            producers.states.insert(producers.len() as i64, state);
        }
        assert_eq!(decode(&encode(&producers), 7), Some(producers));
    }
}
