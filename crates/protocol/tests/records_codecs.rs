//! Each codec against bytes of other writers, against itself, and against data that lies.

mod records_support;

use chronik_protocol::batch::Compression;
use chronik_protocol::compression::{DecompressError, Limits, compress, decompress};
use records_support::{CODECS, Numbers, long_value, read, small_batch, vector};

const LIMIT: Limits = Limits { max_output_bytes: 1 << 20 };

#[test]
fn frames_of_other_writers_are_read() {
    assert_eq!(decompress(Compression::Snappy, &vector("raw-snappy.blocks"), LIMIT), Ok(long_value()));
    let text = b"abcabcabcabcabcabcabc and then some more, abcabc".to_vec();
    assert_eq!(decompress(Compression::Snappy, &vector("raw-snappy.text"), LIMIT), Ok(text));
    assert_eq!(decompress(Compression::Gzip, &vector("gzip.members"), LIMIT), Ok(b"first second".to_vec()));
    assert_eq!(decompress(Compression::Lz4, &vector("lz4.checked"), LIMIT), Ok(long_value()));
    assert_eq!(decompress(Compression::Lz4, &vector("lz4.4mib"), LIMIT), Ok(long_value()));
}

#[test]
fn linked_lz4_blocks_are_refused_as_java_clients_do() {
    let error = decompress(Compression::Lz4, &vector("lz4.linked"), LIMIT).unwrap_err();
    assert!(error.to_string().contains("depend on each other"), "{error}");
}

#[test]
fn two_xerial_streams_in_a_row_are_one() {
    let both = [compress(Compression::Snappy, None, b"one "), compress(Compression::Snappy, None, b"two")].concat();
    assert_eq!(decompress(Compression::Snappy, &both, LIMIT), Ok(b"one two".to_vec()));
}

/// The bytes that Apache Kafka 4.3.1 was seen to read.
#[test]
fn what_is_written_is_pinned() {
    for codec in CODECS {
        let name = format!("ours.{}", format!("{codec:?}").to_lowercase());
        let batch = small_batch(codec);
        assert_eq!(batch, vector(&name), "{name}");
        assert_eq!(read(&batch, LIMIT), read(&vector("small.none"), LIMIT), "{name}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut numbers = Numbers(7);
    let mut inputs = vec![vec![], vec![5], long_value(), vec![0; 1 << 20]];
    for len in [31, 32 * 1024, 32 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 300_000] {
        inputs.push(numbers.bytes(len));
        inputs.push((0..len).map(|_| numbers.next() as u8).collect());
    }
    for codec in CODECS {
        for level in [None, Some(-3), Some(1), Some(9), Some(100)] {
            for input in &inputs {
                let packed = compress(codec, level, input);
                assert!(decompress(codec, &packed, LIMIT).as_ref() == Ok(input), "{codec:?} {level:?} {}", input.len());
                if codec == Compression::Snappy && !input.is_empty() {
                    let raw = snap::raw::Encoder::new().compress_vec(input).expect("small");
                    assert!(decompress(codec, &raw, LIMIT).as_ref() == Ok(input), "raw {}", input.len());
                }
            }
        }
    }
}

#[test]
fn the_limit_is_exact() {
    for codec in CODECS {
        let packed = compress(codec, None, &[9; 1000]);
        assert_eq!(decompress(codec, &packed, Limits { max_output_bytes: 1000 }), Ok(vec![9; 1000]));
        assert_eq!(
            decompress(codec, &packed, Limits { max_output_bytes: 999 }),
            Err(DecompressError::TooLarge { codec, max_output_bytes: 999 })
        );
    }
}

#[test]
fn data_cut_short_is_refused() {
    let mut numbers = Numbers(3);
    let input = numbers.bytes(200_000);
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let packed = compress(codec, None, &input);
        for _ in 0..100 {
            let cut = numbers.below(packed.len());
            let result = decompress(codec, &packed[..cut], LIMIT);
            // A xerial stream may end after any of its blocks; an empty input is an empty stream to some codecs.
            match result {
                Ok(out) => {
                    assert!(codec == Compression::Snappy || cut == 0, "{codec:?} {cut}");
                    assert!(input.starts_with(&out));
                }
                Err(DecompressError::Damaged { .. }) => {}
                Err(other) => panic!("{codec:?} {cut}: {other}"),
            }
        }
    }
}

#[test]
fn a_changed_checksum_is_noticed() {
    let checked = vector("lz4.checked");
    let last = checked.len() - 1;
    for at in [6, 14, 40, last] {
        let mut bytes = checked.to_vec();
        bytes[at] ^= 1;
        assert!(decompress(Compression::Lz4, &bytes, LIMIT).is_err(), "byte {at}");
    }
    let mut gzip = compress(Compression::Gzip, None, b"hello hello hello");
    let crc = gzip.len() - 8;
    gzip[crc] ^= 1;
    assert!(decompress(Compression::Gzip, &gzip, LIMIT).is_err());
}

#[test]
fn bytes_after_the_end_are_refused() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let packed = [compress(codec, None, b"hello"), vec![0, 0, 0, 9, 1]].concat();
        assert!(decompress(codec, &packed, LIMIT).is_err(), "{codec:?}");
    }
}

/// Snappy elements by hand, each a way in which a block can lie.
#[test]
fn snappy_blocks_that_lie_are_refused() {
    let cases: [(&str, &[u8]); 12] = [
        ("no length", &[]),
        ("unending length", &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ("length over 32 bits", &[0xff, 0xff, 0xff, 0xff, 0x10]),
        ("claims 4 GiB, holds nothing", &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("literal past the input", &[10, 9 << 2, 1]),
        ("literal past the claim", &[1, 1 << 2, 1, 2]),
        ("literal of 4 GiB", &[10, 63 << 2, 0xff, 0xff, 0xff, 0xff]),
        ("literal length cut", &[10, 63 << 2, 0xff]),
        ("copy before the start", &[8, 0, 7, 0b1, 2]),
        ("copy of offset 0", &[8, 0, 7, 0b1, 0]),
        ("copy past the claim", &[3, 0, 7, 0b1, 1]),
        ("copy cut", &[5, 0, 7, 0b10, 1]),
    ];
    for (what, block) in cases {
        assert!(
            matches!(decompress(Compression::Snappy, block, LIMIT), Err(DecompressError::Damaged { .. })),
            "{what}"
        );
    }
    assert_eq!(decompress(Compression::Snappy, &[5, 0, 7, 0b1, 1], LIMIT), Ok(vec![7; 5]));
}

#[test]
fn a_snappy_copy_does_not_reach_into_the_block_before() {
    let mut stream = compress(Compression::Snappy, None, b"secret");
    let block = [4, 0b1, 4];
    stream.extend_from_slice(&3u32.to_be_bytes());
    stream.extend_from_slice(&block);
    assert!(decompress(Compression::Snappy, &stream, LIMIT).is_err());
}

#[test]
fn a_zstd_window_beyond_the_cap_is_refused() {
    // Magic, no single segment, window descriptor 2^(10+31), then an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
    assert!(matches!(decompress(Compression::Zstd, &frame, LIMIT), Err(DecompressError::Damaged { .. })));
}
