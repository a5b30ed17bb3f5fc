//! Every file of ours and Kafka's, byte for byte.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chronik_env::fs::{Disk, replace_file};
use chronik_protocol::batch::Compression;
use chronik_protocol::types::TopicId;
use chronik_storage::checkpoint::{self, CheckpointError};
use chronik_storage::{LogOptions, Start, partition_metadata};
use common::*;

/// Bytes written in hexadecimal, spaces left out.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
        .collect()
}

fn check(disk: &impl Disk, name: &str, expected: &[u8]) {
    let found = chronik_env::fs::read_file(disk, &dir().join(name), 1 << 20).expect("readable").expect("there");
    let show = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(show(&found), show(expected), "{name}");
}

/// Batches of 69 bytes: header 61, one record of 8 (length, attributes, two deltas, null key, value of 1, no headers).
fn small(offset: i64, timestamp: i64, epoch: i32) -> Vec<u8> {
    let mut batch = batch(offset, Compression::None, &[timestamp], 1).to_vec();
    assert_eq!(batch.len(), 69);
    batch[12..16].copy_from_slice(&epoch.to_be_bytes());
    batch
}

#[test]
fn the_files_of_a_partition() {
    let disk = disk();
    let options = LogOptions { segment_bytes: 69 * 5, index_interval_bytes: 100, ..options() };
    let (mut log, _) = open(&disk, &options, proven(0), Start::Clean);
    let timestamps = [1000, 3000, 2000, 2500, 4000, 5000, 5000];
    let batches: Vec<_> =
        timestamps.iter().enumerate().map(|(i, at)| small(i as i64, *at, 7 + (i as i32) / 4)).collect();
    batches.iter().for_each(|batch| append_bytes(&mut log, batch));
    let marked = sequenced(7, 0x1234, 3, 5, 2);
    let mut header = header_of(&marked);
    header.partition_leader_epoch = 8;
    log.append(&header, &marked[61..], NOW).expect("appends");
    // Nothing is written beside a short segment before it is rolled.
    log.set_options(LogOptions { segment_ms: 0, ..options });
    assert!(log.roll_if_due(NOW).expect("rolls"));
    log.close().expect("closes");

    let mut all = names(&disk);
    all.sort();
    let files = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000005.index",
        "00000000000000000005.log",
        "00000000000000000005.snapshot",
        "00000000000000000005.timeindex",
        "00000000000000000009.snapshot",
        "index-summaries",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ];
    assert_eq!(all, files);
    check(&disk, "00000000000000000000.log", &batches[..5].concat());
    check(&disk, "00000000000000000005.log", &[&batches[5..].concat(), &header.to_bytes()[..], &marked[61..]].concat());
    // The first entry comes at the third batch: 138 bytes are more than 100. (offset 2, position 138), (offset 4,
    // position 276).
    check(&disk, "00000000000000000000.index", &hex("00000002 0000008a 00000004 00000114"));
    // 3000 was the largest when the first entry was made, from offset 1; 4000 came with the second.
    check(&disk, "00000000000000000000.timeindex", &hex("0000000000000bb8 00000001 0000000000000fa0 00000004"));
    check(&disk, "00000000000000000005.index", &hex("00000003 0000008a"));
    // The largest timestamp of the producer's batch: 1,700,000,000,000.
    check(&disk, "00000000000000000005.timeindex", &hex("0000018bcfe56800 00000003"));
    check(&disk, "leader-epoch-checkpoint", b"0\n2\n7 0\n8 4\n");
    check(&disk, "partition.metadata", b"version: 0\ntopic_id: ESIzRFVmR4iZqrvM3e7_AA");
    // Version 1, CRC, no entry.
    check(&disk, "00000000000000000005.snapshot", &hex("0001 48674bc7 00000000"));
    // Producer 0x1234, epoch 3, last sequence 6, last offset 8, delta 1, timestamp, no coordinator, no transaction.
    let entry = "0000000000001234 0003 00000006 0000000000000008 00000001 0000018bcfe56800 ffffffff ffffffffffffffff";
    let entries = hex(&format!("00000001 {entry}"));
    let snapshot = [&hex("0001")[..], &crc32c::crc32c(&entries).to_be_bytes(), &entries].concat();
    check(&disk, "00000000000000000009.snapshot", &snapshot);
}

#[test]
fn our_own_files() {
    let disk = disk();
    let mut log = open_clean(&disk);
    (0..3).for_each(|i| append_bytes(&mut log, &small(i, 1000 * i, 0)));
    log.set_options(LogOptions { segment_ms: 0, ..options() });
    assert!(log.roll_if_due(NOW).expect("rolls"));
    log.close().expect("closes");
    // Segment 0: 207 bytes of log; no offset entry; one time entry (2000, offset 2).
    let times = hex("00000000000007d0 00000002");
    let entries = [
        &hex("00000001 0000000000000000 00000000000000cf 00000000 00000000 0000000c")[..],
        &crc32c::crc32c(&times).to_be_bytes(),
        &hex("00000000000007d0 0000000000000002"),
    ]
    .concat();
    check(&disk, "index-summaries", &[&hex("0001")[..], &crc32c::crc32c(&entries).to_be_bytes(), &entries].concat());

    disk.damage(&dir().join("00000000000000000000.log"), |bytes| bytes[69 + 65] ^= 1).expect("there");
    open(&disk, &options(), proven(0), Start::Unclean);
    let entries = hex("00000001 0000000000000000 0000000000000045 000000000000008a 0000000000000001 0000000000000002");
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[0, 1]), &entries);
    check(&disk, "damaged-ranges", &[&hex("0001")[..], &crc.to_be_bytes(), &entries].concat());
}

#[test]
fn topic_ids_are_kafkas_base64() {
    for (id, text) in
        [(0, "AAAAAAAAAAAAAAAAAAAAAA"), (1, "AAAAAAAAAAAAAAAAAAAAAQ"), (u128::MAX, "_____________________w")]
    {
        assert_eq!(partition_metadata::encode_id(TopicId::from_u128(id)), text);
    }
    let mut dice = Dice::new(5);
    for _ in 0..1000 {
        let id = TopicId::from_u64_pair(dice.next(), dice.next());
        assert_eq!(partition_metadata::decode_id(&partition_metadata::encode_id(id)), Some(id));
    }
    for bad in [
        "",
        "AAAAAAAAAAAAAAAAAAAAAB",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAA+AAAAAAAAAA",
        "ÄÄÄÄÄÄÄÄÄÄÄ",
    ] {
        assert_eq!(partition_metadata::decode_id(bad), None, "{bad}");
    }
}

#[test]
fn offset_checkpoints() {
    let disk = disk();
    let path = PathBuf::from("/data").join(checkpoint::RECOVERY_POINT);
    assert_eq!(checkpoint::read_offsets(&disk, &path).expect("none is empty"), BTreeMap::new());
    let offsets =
        BTreeMap::from([(("a.b".to_owned(), 10), 7), (("a.b".to_owned(), 2), i64::MAX), (("z".to_owned(), 0), 0)]);
    checkpoint::write_offsets(&disk, &path, &offsets).expect("writes");
    let text = chronik_env::fs::read_file(&disk, &path, 1000).expect("readable").expect("there");
    assert_eq!(String::from_utf8_lossy(&text), "0\n3\na.b 2 9223372036854775807\na.b 10 7\nz 0 0\n");
    assert_eq!(checkpoint::read_offsets(&disk, &path).expect("reads"), offsets);
}

#[test]
fn a_checkpoint_that_makes_no_sense_names_its_line() {
    let cases = [
        ("", 1),
        ("x\n0\n", 1),
        ("0", 1),
        ("0\n", 2),
        ("0\n-1\n", 2),
        ("0\n1\n", 3),
        ("0\n1\na 0 5", 3),
        ("0\n1\na 0\n", 3),
        ("0\n1\na 0 5 6\n", 3),
        ("0\n1\na 0 5 6 7\n", 3),
        ("0\n1\na 0  5\n", 3),
        ("0\n1\na -1 5\n", 3),
        ("0\n1\na 0 +5\n", 3),
        ("0\n1\na 0 9223372036854775808\n", 3),
        ("0\n1\na 2147483648 5\n", 3),
        ("0\n1\n../a 0 5\n", 3),
        ("0\n2\na 0 5\na 0 6\n", 4),
        ("0\n1\na 0 5\nb 0 5\n", 4),
        ("0\n0\n\n", 3),
        ("0\n18446744073709551616\na 0 5\n", 2),
        ("0\n9223372036854775807\na 0 5\n", 4),
    ];
    let path = Path::new("/data/checkpoint");
    for (text, expected) in cases {
        let disk = disk();
        replace_file(&disk, path, text.as_bytes()).expect("writes");
        match checkpoint::read_offsets(&disk, path) {
            Err(CheckpointError::Malformed { file, line }) => {
                assert_eq!((file.as_path(), line), (path, expected), "{text:?}")
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
    let disk = disk();
    replace_file(&disk, path, b"1\n0\n").expect("writes");
    assert!(matches!(checkpoint::read_offsets(&disk, path), Err(CheckpointError::UnknownVersion { version: 1, .. })));
}
