//! The records written and read back, made from a seed by the rules of tests/clients/README.md.

pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
pub const PARTITIONS: i32 = 3;
pub const RECORDS: usize = 40;
pub const MIB: usize = 1 << 20;
/// `max.message.bytes` of the topics that hold large records.
pub const TOPIC_LIMIT: usize = 4 * MIB;
/// Kafka's default `max.message.bytes`.
pub const DEFAULT_LIMIT: usize = 1_048_588;
pub const BASE_MS: i64 = 1_700_000_000_000;
pub const BULK: usize = 10_000;

/// One record; the timestamp in milliseconds.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: i64,
}

/// `length` bytes of xorshift32, four a step, little end first.
pub fn random_bytes(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761);
    let mut out = Vec::with_capacity(length + 3);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// `length` bytes that compress well: 16 random ones over and over.
fn repeated_bytes(seed: u32, length: usize) -> Vec<u8> {
    random_bytes(seed, 16).into_iter().cycle().take(length).collect()
}

fn key_of(seed: u32, i: usize) -> Option<Vec<u8>> {
    match i % 5 {
        0 => None,
        1 => Some(Vec::new()),
        _ => Some(random_bytes(seed * 4, 1 + i)),
    }
}

fn value_of(seed: u32, i: usize) -> Option<Vec<u8>> {
    let length = match i {
        20 | 21 => MIB,
        _ => i * i * 7 % 3000 + 1,
    };
    match (i % 7, i % 2) {
        (3, _) => None,
        (5, _) => Some(Vec::new()),
        (_, 1) => Some(repeated_bytes(seed * 4 + 1, length)),
        _ => Some(random_bytes(seed * 4 + 1, length)),
    }
}

fn headers_of(seed: u32, i: usize) -> Vec<(String, Option<Vec<u8>>)> {
    let data = random_bytes(seed * 4 + 2, 4 + i);
    let headers = match i % 3 {
        0 => vec![],
        1 => vec![("h", Some(data))],
        _ => vec![("é", Some(b"1".to_vec())), ("é", Some(data)), ("empty", Some(Vec::new())), ("null", None)],
    };
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Out of order on purpose: a search by time has to look at records, not only at batches.
fn timestamp_of(partition: i32, i: usize) -> i64 {
    BASE_MS + (i * 37 % RECORDS) as i64 * 1000 + i64::from(partition)
}

/// The records of one partition in offset order; `codec` is an index of [`CODECS`].
pub fn records_of(codec: usize, partition: i32) -> Vec<Item> {
    (0..RECORDS)
        .map(|i| {
            let seed = codec as u32 * 100_000 + partition as u32 * 1000 + 1 + i as u32;
            Item {
                partition,
                key: key_of(seed, i),
                value: value_of(seed, i),
                headers: headers_of(seed, i),
                timestamp: timestamp_of(partition, i),
            }
        })
        .collect()
}

/// The records of all partitions, interleaved as they are to be sent.
pub fn all_records(codec: usize) -> Vec<Item> {
    let by_partition: Vec<_> = (0..PARTITIONS).map(|p| records_of(codec, p)).collect();
    (0..RECORDS).flat_map(|i| by_partition.iter().map(move |records| records[i].clone())).collect()
}

/// Many small ones for one partition, so that requests are pipelined.
pub fn bulk_records(count: usize) -> Vec<Item> {
    (0..count)
        .map(|i| Item {
            partition: 0,
            key: Some(i.to_string().into_bytes()),
            value: Some(random_bytes(7_000_000 + i as u32, 100)),
            headers: Vec::new(),
            timestamp: BASE_MS + i as i64,
        })
        .collect()
}

/// What ListOffsets must answer: the first offset whose record is not older.
pub fn first_at_or_after(items: &[Item], timestamp: i64) -> Option<i64> {
    let at = items.iter().position(|item| item.timestamp >= timestamp)?;
    Some(at as i64)
}

fn shorten(bytes: Option<&Vec<u8>>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some(bytes) => format!("{} bytes {:?}", bytes.len(), &bytes[..bytes.len().min(8)]),
    }
}

/// The first difference in words, `None` when the two are byte for byte the same.
pub fn difference(got: &Item, wanted: &Item) -> Option<String> {
    if got == wanted {
        return None;
    }
    let account = |item: &Item| {
        let headers: Vec<_> =
            item.headers.iter().map(|(name, value)| format!("{name}={}", shorten(value.as_ref()))).collect();
        format!(
            "partition {}, timestamp {}, key {}, value {}, headers {headers:?}",
            item.partition,
            item.timestamp,
            shorten(item.key.as_ref()),
            shorten(item.value.as_ref())
        )
    };
    Some(format!("got {}, wanted {}", account(got), account(wanted)))
}
