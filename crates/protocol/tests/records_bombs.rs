//! Bodies that expand a thousandfold, and the memory they take. One test, alone in its process: peaks are the process's.

mod records_support;

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use chronik_protocol::batch::{BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::compression::{DecompressError, Limits, compress, decoder, decompress};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::records::{self, RecordsError};
use chronik_protocol::validate::{ProduceRules, validate};
use records_support::batch_of;

const LIMIT: Limits = Limits { max_output_bytes: 1 << 20 };
const GIB: u64 = 1 << 30;
const MOST_GROWTH: usize = 24 << 20;

/// A long run of zeros as a codec packs it, made without ever holding the zeros. `bytes` is a multiple of 16 MiB.
fn bomb(codec: Compression, bytes: u64) -> Vec<u8> {
    match codec {
        Compression::Gzip => {
            // Members in a row are one stream.
            let member = compress(codec, None, &vec![0; 16 << 20]);
            member.repeat((bytes >> 24) as usize)
        }
        Compression::Zstd => zstd::stream::encode_all(io::repeat(0).take(bytes), 1).expect("memory"),
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max4MB);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&vec![0; 4 << 20]).expect("memory");
            let frame = encoder.finish().expect("memory");
            let (header, rest) = frame.split_at(7);
            let (block, end) = rest.split_at(rest.len() - 4);
            [header, &block.repeat((bytes >> 22) as usize), end].concat()
        }
        Compression::Snappy => {
            // One raw block: its length, one literal zero, then copies of 64 from one byte back.
            let mut block = Vec::new();
            let mut length = bytes;
            while length >= 0x80 {
                block.push(length as u8 | 0x80);
                length >>= 7;
            }
            block.extend_from_slice(&[length as u8, 0, 0]);
            block.extend_from_slice(&[63 << 2 | 0b10, 1, 0].repeat((bytes / 64 - 1) as usize));
            block.extend_from_slice(&[62 << 2 | 0b10, 1, 0]);
            block
        }
        Compression::None => unreachable!("nothing to blow up"),
    }
}

/// Peak resident bytes of this process.
fn peak_rss() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().expect("a number") * 1024
}

/// Runs `run` and tells by how many bytes the process's peak rose above what it held at the start.
fn growth<T>(run: impl FnOnce() -> T) -> (T, usize) {
    // Forgets the peak so far: it becomes what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").expect("procfs");
    let before = peak_rss();
    let result = run();
    (result, peak_rss().saturating_sub(before))
}

fn without_growth<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let (result, grown) = growth(run);
    assert!(grown < MOST_GROWTH, "{what}: {grown} bytes more");
    result
}

#[test]
fn bombs_take_no_more_than_the_window() {
    let (_, seen) = growth(|| vec![1u8; 2 * MOST_GROWTH]);
    assert!(seen > MOST_GROWTH, "growth is seen: {seen}");

    for codec in [Compression::Gzip, Compression::Zstd, Compression::Lz4, Compression::Snappy] {
        let packed = bomb(codec, GIB);
        let too_large = DecompressError::TooLarge { codec, max_output_bytes: LIMIT.max_output_bytes };
        let whole = without_growth("decompress", || decompress(codec, &packed, LIMIT));
        assert_eq!(whole, Err(too_large.clone()));

        // As one batch: the first record's length is a varint of zeros, so a walk stops early; the stream does not.
        let mut reader = decoder(codec, &packed, Limits { max_output_bytes: 64 << 20 }).expect("opens");
        let error = without_growth("stream", || io::copy(&mut reader, &mut io::sink())).expect_err("cut");
        assert!(matches!(reader.explain(&error), DecompressError::TooLarge { .. }));

        let batch = batch_of(codec, i32::MAX, &packed);
        let header = BatchHeader::parse(&batch).expect("whole");
        let walked = without_growth("walk", || {
            records::walk(&header, &batch[HEADER_LEN..], LIMIT, |_| ControlFlow::Continue(()))
        });
        assert!(matches!(walked, Err(RecordsError::Malformed { index: 0, .. })), "{walked:?}");
    }
    a_long_record_is_walked_through_the_window();
    a_wide_zstd_window_is_touched_only_as_far_as_output_goes();
}

fn a_wide_zstd_window_is_touched_only_as_far_as_output_goes() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(27).expect("in range");
    io::copy(&mut io::repeat(0).take(LONG), &mut encoder).expect("memory");
    let packed = encoder.finish().expect("memory");
    let result = without_growth("a window of 128 MiB", || decompress(Compression::Zstd, &packed, LIMIT));
    assert!(matches!(result, Err(DecompressError::TooLarge { .. })), "{result:?}");
}

/// A long value: more than any window, not so long that an unoptimized decoder takes minutes over it.
const LONG: u64 = 128 << 20;

/// One sound record whose value is [`LONG`] zeros.
fn a_long_record_is_walked_through_the_window() {
    let mut fields = vec![0, 0, 0, 1];
    put_zigzag(&mut fields, LONG);
    let mut prefix = Vec::new();
    put_zigzag(&mut prefix, fields.len() as u64 + LONG + 1);
    prefix.extend_from_slice(&fields);
    for codec in [Compression::Gzip, Compression::Zstd, Compression::Snappy] {
        let mut zeros = bomb(codec, LONG);
        if codec == Compression::Snappy {
            // As one xerial block.
            zeros = [&(zeros.len() as u32).to_be_bytes()[..], &zeros].concat();
        }
        let body = [compress(codec, None, &prefix), zeros, compress(codec, None, &[0])].concat();
        let batch = batch_of(codec, 1, &body);
        let header = BatchHeader::parse(&batch).expect("whole");
        let mut seen = Vec::new();
        let walked = without_growth("walk a long record", || {
            records::walk(&header, &batch[HEADER_LEN..], Limits::NONE, |record| {
                seen.push((record.key_len, record.value_len));
                ControlFlow::Continue(())
            })
        });
        assert_eq!((walked, seen), (Ok(()), vec![(None, Some(LONG as usize))]), "{codec:?}");

        let rules =
            ProduceRules { max_message_bytes: 1 << 30, max_decompressed_bytes: 1 << 20, ..ProduceRules::default() };
        let refused = without_growth("validate", || validate(&batch, &rules, 1000)).expect_err("too large");
        assert_eq!(refused.error_code(), ErrorCode::MessageTooLarge, "{codec:?}: {refused}");
    }
}

fn put_zigzag(out: &mut Vec<u8>, value: u64) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
