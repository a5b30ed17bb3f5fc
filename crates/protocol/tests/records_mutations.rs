//! Random damage: nothing panics, nothing is produced beyond the limit, and what is accepted is sound.

mod records_support;

use std::ops::ControlFlow;

use bytes::Bytes;
use chronik_protocol::batch::{self, BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::compression::{compress, decompress};
use chronik_protocol::records::{self, Limits};
use chronik_protocol::validate::{ProduceRules, TopicCompression, validate};
use records_support::{CODECS, Numbers, read};

const LIMITS: Limits = Limits { max_output_bytes: 64 << 10 };
const ROUNDS: usize = 60_000;

fn seeds() -> Vec<Bytes> {
    let mut numbers = Numbers(21);
    let mut seeds = Vec::new();
    for codec in CODECS {
        let mut builder = BatchBuilder::new().producer(1, 0, 0).compression(codec, None);
        for i in 0..8 {
            let (key, value) = (numbers.bytes(i), numbers.bytes(40));
            builder.push(1000 + i as i64, Some(&key), Some(&value), &[("header", Some(&key)), ("null", None)]);
        }
        seeds.push(builder.build().expect("small"));
    }
    seeds
}

fn damage(numbers: &mut Numbers, bytes: &mut Vec<u8>) {
    const NASTY: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x0f, 0x40];
    for _ in 0..1 + numbers.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = NASTY[numbers.below(NASTY.len())],
            2 => bytes.truncate(at),
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, numbers.next() as u8),
            _ => {
                let end = (at + 1 + numbers.below(5)).min(bytes.len());
                bytes[at..end].fill(NASTY[numbers.below(NASTY.len())]);
            }
        }
    }
}

/// Reads `batch` in every way there is; what one way accepts another must, and validated bytes must be sound.
fn feed(batch: &Bytes, rules: &ProduceRules) -> bool {
    if let Some(header) = BatchHeader::parse(batch) {
        let mut walked = 0;
        let walk = records::walk(&header, &batch[HEADER_LEN..], LIMITS, |_| {
            walked += 1;
            ControlFlow::Continue(())
        });
        let whole = read(batch, LIMITS);
        assert_eq!(walk.is_ok(), whole.is_ok(), "{walk:?} {whole:?}");
        assert!(whole.is_err() || whole.is_ok_and(|records| records.len() == walked));
    }
    let Ok(validated) = validate(batch, rules, 2000) else { return false };
    let stored: Bytes = [&validated.header.to_bytes()[..], &validated.body].concat().into();
    assert_eq!(validated.header.crc, batch::crc_of(&stored));
    assert_eq!(validated.header.size(), Some(stored.len()));
    let records = read(&stored, Limits::NONE).expect("what is accepted is sound");
    assert_eq!(records.len() as i32, validated.header.last_offset_delta + 1);
    true
}

/// Half of the mutants get a right length and CRC again, so that the damage reaches the records.
#[test]
fn damaged_batches_never_panic() {
    let mut numbers = Numbers(22);
    let seeds = seeds();
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        damage(&mut numbers, &mut bytes);
        if round % 2 == 0
            && let Some(mut header) = BatchHeader::parse(&bytes)
        {
            header.batch_length = (bytes.len() - batch::LOG_OVERHEAD) as i32;
            header.magic = 2;
            header.base_offset = 0;
            bytes = records_support::assemble(header, &bytes[HEADER_LEN..]).to_vec();
        }
        let rules = ProduceRules {
            max_decompressed_bytes: LIMITS.max_output_bytes,
            compression: match numbers.below(4) {
                0 => TopicCompression::Codec { codec: CODECS[numbers.below(CODECS.len())], level: Some(1) },
                _ => TopicCompression::Producer,
            },
            ..ProduceRules::default()
        };
        accepted += usize::from(feed(&bytes.into(), &rules));
    }
    assert!(accepted > 0 && accepted < ROUNDS / 2, "{accepted} mutants of {ROUNDS} accepted");
}

/// The damage is done to the records and then compressed, so that the walk of a stream meets it.
#[test]
fn damaged_records_never_panic() {
    let mut numbers = Numbers(23);
    let seed = seeds()[0].clone();
    let header = BatchHeader::parse(&seed).expect("a whole header");
    for round in 0..ROUNDS {
        let mut body = seed[HEADER_LEN..].to_vec();
        damage(&mut numbers, &mut body);
        let codec = [Compression::None, Compression::Snappy, Compression::Lz4][round % 3];
        let body = compress(codec, None, &body);
        let mut header = BatchHeader { attributes: codec as i16, ..header };
        header.batch_length = (HEADER_LEN - batch::LOG_OVERHEAD + body.len()) as i32;
        let rules = ProduceRules { max_decompressed_bytes: LIMITS.max_output_bytes, ..ProduceRules::default() };
        feed(&records_support::assemble(header, &body), &rules);
    }
}

#[test]
fn damaged_compressed_data_never_panics() {
    let mut numbers = Numbers(24);
    let plain = numbers.bytes(3000);
    let packed: Vec<_> = CODECS.map(|codec| (codec, compress(codec, None, &plain))).into();
    for round in 0..ROUNDS {
        let (codec, good) = &packed[round % packed.len()];
        let mut bytes = good.clone();
        damage(&mut numbers, &mut bytes);
        if let Ok(out) = decompress(*codec, &bytes, LIMITS) {
            assert!(out.len() <= LIMITS.max_output_bytes);
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut numbers = Numbers(25);
    for round in 0..ROUNDS {
        let len = numbers.below(200);
        let bytes: Vec<u8> = (0..len).map(|_| numbers.next() as u8).collect();
        let codec = CODECS[round % CODECS.len()];
        if let Ok(out) = decompress(codec, &bytes, LIMITS) {
            assert!(out.len() <= LIMITS.max_output_bytes);
        }
        feed(&records_support::batch_of(codec, numbers.below(20) as i32, &bytes), &ProduceRules::default());
        feed(&bytes.into(), &ProduceRules::default());
    }
}
