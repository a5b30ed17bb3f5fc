//! Snapshots: pinned bytes, refusals, hostile input, size in memory.

mod common;

use chronik_metadata::record::{FeatureLevel, Record};
use chronik_metadata::request::ConfigResource;
use chronik_metadata::snapshot::{self, SnapshotError, SnapshotHeader};
use chronik_metadata::{Image, controller::Controller};
use common::*;

fn some_image() -> Image {
    let mut controller = with_brokers(3, 3, true);
    for index in 0..5 {
        make(&mut controller, new_topic(&format!("topic.{index}"), 1 + index % 3, 2));
    }
    controller.handle(1, set(ConfigResource::Topic("topic.1".to_owned()), &[("a", Some("1")), ("b", Some("2"))]));
    controller.handle(1, set(ConfigResource::Broker(None), &[("c", Some("3"))]));
    controller.tip().clone()
}

/// Rewrites the checksum after a change.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn the_layout_is_pinned() {
    let mut image = Image::default();
    image.apply(7, 3, &Record::FeatureLevel(FeatureLevel { level: 1 }));
    let hex: String = snapshot::encode(&image).iter().map(|byte| format!("{byte:02x}")).collect();
    let header = "4348524f4e494b00_0001_00000001_0000000000000007_00000003_0000000000000001";
    assert_eq!(hex, format!("{header}_00000005_0002010801_CRC").replace('_', "").replace("CRC", &hex[hex.len() - 8..]));
    let bytes = snapshot::encode(&image);
    assert_eq!(bytes[bytes.len() - 4..], crc32c::crc32c(&bytes[..bytes.len() - 4]).to_be_bytes());
    let expected = SnapshotHeader { feature_level: 1, last_offset: 7, epoch: 3, records: 1 };
    assert_eq!(snapshot::decode_header(&bytes), Ok(expected));
}

#[test]
fn an_empty_image_has_a_snapshot() {
    let loaded = snapshot::decode(&snapshot::encode(&Image::default())).expect("loads");
    assert_eq!((loaded.offset(), loaded.epoch(), loaded.hash()), (-1, -1, Image::default().hash()));
}

#[test]
fn pieces_add_up_to_the_whole() {
    let mut controller = with_brokers(3, 1, false);
    for index in 0..20_000 {
        make(&mut controller, new_topic(&format!("topic-{index}"), 1, 1));
    }
    let (mut pieces, mut whole) = (0, Vec::new());
    let written = snapshot::encode_to(controller.tip(), |piece| {
        pieces += 1;
        whole.extend_from_slice(piece);
        Ok::<_, ()>(())
    });
    assert_eq!(written, Ok(()));
    assert!(pieces > 3, "{pieces}");
    assert_eq!(whole, snapshot::encode(controller.tip()));
    assert_eq!(snapshot::encode_to(controller.tip(), |_| Err("full")), Err("full"));
}

#[test]
fn damage_is_named() {
    let good = snapshot::encode(&some_image());
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(snapshot::decode(&with(0, b'X')).err(), Some(SnapshotError::Magic));
    assert_eq!(snapshot::decode(&with(9, 2)).err(), Some(SnapshotError::Format { found: 2 }));
    assert!(matches!(snapshot::decode(&with(good.len() / 2, 0xee)), Err(SnapshotError::Crc { .. })));
    assert_eq!(snapshot::decode(&seal(with(13, 9))).err(), Some(SnapshotError::FeatureLevel { found: 9 }));
    assert!(
        matches!(snapshot::decode(&seal(with(33, 0xff))), Err(SnapshotError::Truncated { .. })),
        "more records than there are"
    );
    assert!(matches!(snapshot::decode(&seal(with(33, 1))), Err(SnapshotError::Trailing(_))));
    assert!(matches!(snapshot::decode(&seal(with(38, 0x7f))), Err(SnapshotError::Record { index: 0, .. })));
    for len in 0..good.len() {
        assert!(snapshot::decode(&good[..len]).is_err(), "cut at {len}");
    }
}

/// Any bytes with a right checksum are an image or an error, quickly: lengths are believed only as far as bytes are
/// there.
#[test]
fn hostile_bytes_never_panic() {
    let good = snapshot::encode(&some_image());
    let mut rng = Rng(5);
    let mut loaded = 0;
    for _ in 0..40_000 {
        let mut bytes = good.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next() as u8;
        }
        if rng.below(4) == 0 {
            bytes.truncate(38 + rng.below(bytes.len() as u64 - 38) as usize);
        }
        if let Ok(image) = snapshot::decode(&seal(bytes)) {
            loaded += 1;
            let again = snapshot::decode(&snapshot::encode(&image)).expect("what was loaded can be written and loaded");
            assert_eq!(again.hash(), image.hash());
        }
    }
    assert!(loaded > 1000, "{loaded}");
}

/// M12: a topic with one partition takes at most 100 bytes, ten thousand of them 1 MB.
#[test]
fn ten_thousand_topics_take_at_most_a_megabyte() {
    let bytes_of = |topics: u64, insert: &dyn Fn(&mut Controller)| {
        let mut controller = with_brokers(3, 3, false);
        let before = controller.tip().memory_bytes();
        insert(&mut controller);
        assert_eq!(controller.tip().topic_count(), topics);
        let bytes = controller.tip().memory_bytes() - before;
        assert!(bytes as u64 > topics * 60, "the count leaves nothing out: {bytes}");
        bytes
    };
    let in_order = bytes_of(10_000, &|controller| {
        for index in 0..10_000 {
            make(controller, new_topic(&format!("topic-name-{index:05}"), 1, 3));
        }
    });
    let in_disorder = bytes_of(10_000, &|controller| {
        for index in 0..10_000 {
            make(controller, new_topic(&format!("{}-topic-name", index * 7919 % 10_000), 1, 3));
        }
    });
    assert!(in_order <= 1_000_000 && in_disorder <= 1_000_000, "{in_order} and {in_disorder} bytes");
}
