//! What the tests of batches share: pinned vectors, a small deterministic source of numbers, and a reader of whole batches.
#![allow(dead_code)]

use bytes::Bytes;
use chronik_protocol::batch::{self, BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::records::{self, Limits, Record, RecordsError};

pub const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

pub fn vector(name: &str) -> Bytes {
    let line = include_str!("../records_vectors.txt")
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no vector {name}"));
    let hex = line.trim();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("vectors are hex")).collect()
}

/// The long value of the `big` vectors.
pub fn long_value() -> Vec<u8> {
    (0..150_000).map(|i| (i / 1000) as u8).collect()
}

/// The `small` records of the vectors by our own writer.
pub fn small_batch(codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new().leader_epoch(7).producer(4000, 3, 11).compression(codec, None);
    builder.push(1000, Some(b"k0"), Some(b"v0"), &[("h", Some(b"x")), ("n", None)]);
    builder.push(1005, None, Some(b""), &[]);
    builder.push(999, Some(b""), None, &[]);
    builder.build().expect("small")
}

pub fn read(batch: &Bytes, limits: Limits) -> Result<Vec<Record>, RecordsError> {
    let header = BatchHeader::parse(batch).expect("a whole header");
    records::iterate(&header, &batch.slice(HEADER_LEN..), limits)?.collect()
}

/// `batch` with its header changed and its CRC made right again.
pub fn with_header(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).expect("a whole header");
    change(&mut header);
    assemble(header, &batch[HEADER_LEN..])
}

/// A batch of `header` and `body`, its CRC made right; the length field is as given.
pub fn assemble(mut header: BatchHeader, body: &[u8]) -> Bytes {
    header.crc = batch::crc_of_parts(&header.to_bytes(), body);
    [&header.to_bytes()[..], body].concat().into()
}

/// A batch of `count` records around `body`, all lengths right.
pub fn batch_of(codec: Compression, count: i32, body: &[u8]) -> Bytes {
    let empty = BatchBuilder::new().build().expect("small");
    let mut header = BatchHeader::parse(&empty).expect("a whole header");
    header.attributes = codec as i16;
    header.records_count = count;
    header.last_offset_delta = count - 1;
    header.base_timestamp = 1000;
    header.max_timestamp = 1000;
    header.batch_length = (HEADER_LEN - batch::LOG_OVERHEAD + body.len()) as i32;
    assemble(header, body)
}

/// xorshift64*: the same numbers from the same seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        // Few distinct bytes, so that codecs find something to do.
        (0..len).map(|_| (self.next() >> 61) as u8).collect()
    }
}
