//! Record batches: headers that lie, records that overrun, compressed bytes that explode.

use chronik_wire_tests::batch::{Batch, Record, parse_batches, sized};
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::codec::{self, GZIP, LZ4, SNAPPY, ZSTD};
use chronik_wire_tests::enc::Enc;
use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses;

use crate::World;
use crate::produce::{plain, writing};
use crate::row::{Mismatch, Row, Want, call, code, open, same, script};

/// What a batch that makes no sense may be called.
const MALFORMED: Want = Want::OneOf(&[CORRUPT_MESSAGE, INVALID_RECORD]);

const UNCHECKED: &str = "an exception becomes an unknown server error";

/// A row in which Kafka's reader throws what its broker does not expect.
fn thrown(row: Row) -> Row {
    row.kafka(Want::OneOf(&[UNKNOWN_SERVER_ERROR, CORRUPT_MESSAGE, INVALID_RECORD]), UNCHECKED)
}

pub fn rows(_: &World) -> Vec<Row> {
    let mut rows = header_rows();
    rows.extend(lengths());
    rows.extend(count_rows());
    rows.extend(record_rows());
    rows.extend(compressed_rows());
    rows.extend(bombs());
    let intact = script("what was refused left nothing behind", sink_is_intact);
    rows.push(intact.not_on_kafka("it took uncompressed records with gaps in their offsets"));
    rows
}

/// Reads all of the sink: batches follow each other without gap up to the high watermark, each with its right CRC.
fn sink_is_intact(broker: &Broker) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    let mut next = 0;
    loop {
        let body = fetch(12, Fetch::default(), &[(plain(), vec![FetchPartition::at(0, next)])]);
        let answer = responses::fetch(12, &conn.call(FETCH, 12, &body)?)?;
        let Some(partition) = answer.partitions.first() else {
            return same("partitions in the answer", 0, 1);
        };
        same("error", partition.error, NONE)?;
        let batches = parse_batches(&partition.records)?;
        if batches.is_empty() {
            return same("the end of the log", next, partition.high_watermark);
        }
        for batch in batches {
            same("base offset", batch.base_offset, next)?;
            same(&format!("at offset {next}, the CRC is right:"), batch.crc_is_right, true)?;
            next += i64::from(batch.last_offset_delta) + 1;
        }
    }
}

fn raw(name: &str, records: Option<&[u8]>, want: Want) -> Row {
    call(name, PRODUCE, 9, &produce(9, -1, &[(plain(), &[(0, records)])]), want)
}

fn batch(change: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::of(&[b"first", b"second", b"third"]);
    change(&mut batch);
    batch
}

fn header_rows() -> Vec<Row> {
    let mut rows = vec![
        writing("wrong CRC", &batch(|b| b.crc = Some(0xdead_beef)), code(CORRUPT_MESSAGE)),
        writing("magic 0", &batch(|b| b.magic = 0), code(INVALID_RECORD)),
        writing("magic 1", &batch(|b| b.magic = 1), code(INVALID_RECORD)),
        writing("magic 3", &batch(|b| b.magic = 3), MALFORMED),
        writing("magic -1", &batch(|b| b.magic = -1), MALFORMED),
        writing("a base offset that is not 0", &batch(|b| b.base_offset = 1 << 40), code(INVALID_RECORD)),
        writing("a leader epoch of the client's", &batch(|b| b.leader_epoch = 99), code(NONE)),
        writing("unused attribute bits", &batch(|b| b.attributes = 0x4000), Want::Answer),
    ];
    rows.extend([5, 6, 7].map(|n| {
        writing(format!("codec {n}"), &batch(|b| b.attributes = n), MALFORMED)
            .kafka(code(UNKNOWN_SERVER_ERROR), UNCHECKED)
    }));
    rows
}

fn lengths() -> Vec<Row> {
    let good = batch(|_| {}).encode();
    let two = [good.clone(), good.clone()].concat();
    let behind = [good.as_slice(), b"more"].concat();
    let length = good.len() as i32 - 12;
    let long = |n| batch(|b| b.batch_length = Some(n));
    vec![
        raw("null records", None, MALFORMED).kafka(Want::Health, "an exception leaves the request without an answer"),
        raw("empty records", Some(&[]), code(INVALID_RECORD)),
        raw("half a batch header", Some(&good[..30]), MALFORMED),
        raw("eleven bytes", Some(&good[..11]), MALFORMED),
        raw("a batch cut by one byte", Some(&good[..good.len() - 1]), MALFORMED),
        raw("two batches for one partition", Some(&two), code(INVALID_RECORD)),
        raw("a batch with bytes behind it", Some(&behind), MALFORMED)
            .kafka(code(NONE), "too few bytes for another batch are cut off"),
        writing("batch length one too long", &long(length + 1), MALFORMED),
        writing("batch length one too short", &long(length - 1), MALFORMED),
        writing("batch length 0", &long(0), MALFORMED),
        writing("batch length -1", &long(-1), MALFORMED),
        writing("batch length 2^31 - 1", &long(i32::MAX), MALFORMED).kafka(code(UNKNOWN_SERVER_ERROR), UNCHECKED),
        writing("batch length -2^31", &long(i32::MIN), MALFORMED),
    ]
}

fn count_rows() -> Vec<Row> {
    let count = |n: i32| batch(|b| b.records_count = Some(n));
    // The last offset delta agrees with the count, so that only the records themselves tell.
    let both = |n: i32| batch(|b| (b.records_count, b.last_offset_delta) = (Some(n), Some(n - 1)));
    let delta = |n: i32| batch(|b| b.last_offset_delta = Some(n));
    let mut empty = Batch::of(&[]);
    empty.last_offset_delta = Some(0);
    vec![
        writing("records count larger than the last offset delta says", &count(4), MALFORMED),
        writing("records count smaller than the last offset delta says", &count(2), MALFORMED),
        writing("records count 0", &count(0), MALFORMED),
        writing("records count -1", &count(-1), MALFORMED),
        writing("records count 2^31 - 1", &count(i32::MAX), MALFORMED),
        writing("records count and last offset delta larger than the records", &both(4), MALFORMED),
        writing("records count and last offset delta smaller than the records", &both(2), MALFORMED),
        writing("records count and last offset delta of 2^31 - 1", &both(i32::MAX), MALFORMED),
        writing("last offset delta 100", &delta(100), MALFORMED),
        writing("last offset delta -1", &delta(-1), MALFORMED),
        writing("last offset delta -2^31", &delta(i32::MIN), MALFORMED),
        writing("a batch without records", &empty, MALFORMED),
        writing(
            "a batch without records, counts in order",
            &Batch { last_offset_delta: Some(-1), ..empty.clone() },
            MALFORMED,
        ),
    ]
}

fn deltas(codec: i16, deltas: [i32; 3]) -> Batch {
    let mut b = batch(|_| {}).compressed(codec);
    for (record, delta) in b.records.iter_mut().zip(deltas) {
        record.offset_delta = delta;
    }
    b
}

/// One record whose bytes are given; the rest of the batch is right.
fn record(inner: Enc) -> Batch {
    Batch { body: Some(sized(inner.done())), ..Batch::one(b"v") }
}

fn body(bytes: Vec<u8>) -> Batch {
    Batch { body: Some(bytes), ..Batch::one(b"v") }
}

fn record_rows() -> Vec<Row> {
    let start = || Enc::new(false).i8(0).varint(0).varint(0);
    let whole = || start().varint(1).raw(b"k").varint(1).raw(b"v");
    let good = Record::new(0, b"v").encode();
    let mut rows = Vec::new();
    for codec in [codec::NONE, GZIP] {
        let how = codec::name(codec);
        let (theirs, why) = if codec == codec::NONE {
            (NONE, "the offsets of uncompressed records are not looked at")
        } else {
            (UNKNOWN_SERVER_ERROR, UNCHECKED)
        };
        rows.push(
            writing(format!("offset deltas with a gap, {how}"), &deltas(codec, [0, 1, 3]), code(INVALID_RECORD))
                .kafka(code(theirs), why),
        );
        rows.push(
            writing(format!("offset deltas twice the same, {how}"), &deltas(codec, [0, 1, 1]), code(INVALID_RECORD))
                .kafka(code(theirs), why),
        );
        rows.push(
            writing(format!("offset deltas backwards, {how}"), &deltas(codec, [2, 1, 0]), code(INVALID_RECORD))
                .kafka(code(theirs), why),
        );
        rows.push(
            writing(format!("negative offset deltas, {how}"), &deltas(codec, [-2, -1, 0]), code(INVALID_RECORD))
                .kafka(code(theirs), why),
        );
    }
    rows.extend([
        writing("record of length -1", &body(Enc::new(false).varint(-1).raw(&good).done()), MALFORMED),
        writing("record of length 0", &body(vec![0]), MALFORMED),
        writing("record longer than the batch", &body(Enc::new(false).varint(1 << 30).raw(&good).done()), MALFORMED),
        writing("record length of eleven bytes", &body(vec![0xff; 11]), MALFORMED)
            .kafka(code(UNKNOWN_SERVER_ERROR), UNCHECKED),
        writing("record that ends early", &record(start().varint(1).raw(b"k")), MALFORMED),
        writing("record with bytes left over", &record(whole().varint(0).raw(b"left")), MALFORMED),
        writing("record followed by bytes", &body([good.as_slice(), b"left"].concat()), MALFORMED),
        writing("key longer than the record", &record(start().varint(1 << 30).raw(b"k")), MALFORMED),
        writing(
            "value longer than the record",
            &record(start().varint(-1).varint(i64::from(i32::MAX)).raw(b"v")),
            MALFORMED,
        ),
        writing("key of length -5", &record(start().varint(-5).varint(1).raw(b"v").varint(0)), Want::Answer),
        writing("2^31 - 1 headers", &record(whole().varint(i64::from(i32::MAX))), MALFORMED),
        writing("-1 headers", &record(whole().varint(-1)), MALFORMED),
        writing("header with a null key", &record(whole().varint(1).varint(-1).varint(-1)), MALFORMED),
        writing("header longer than the record", &record(whole().varint(1).varint(1 << 20).raw(b"h")), MALFORMED),
    ]);
    rows
}

fn compressed_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let plain: Vec<u8> = batch(|_| {}).records.iter().flat_map(Record::encode).collect();
    for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
        let how = codec::name(codec);
        let with = |bytes: Vec<u8>| batch(|b| b.body = Some(bytes)).compressed(codec);
        let packed = codec::compress(codec, &plain);
        let mut flipped = packed.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x55;
        rows.extend([
            thrown(writing(format!("garbage called {how}"), &with(vec![0xa5; 100]), MALFORMED)),
            thrown(writing(format!("nothing called {how}"), &with(Vec::new()), MALFORMED)),
            thrown(writing(format!("{how} cut short"), &with(packed[..packed.len() / 2].to_vec()), MALFORMED)),
            writing(format!("{how} with a byte changed"), &with(flipped), Want::Answer),
            writing(format!("{how} of nothing"), &with(codec::compress(codec, &[])), MALFORMED),
            writing(format!("{how} within {how}"), &with(codec::compress(codec, &packed)), MALFORMED),
        ]);
    }
    rows.push(thrown(writing(
        "uncompressed records called gzip",
        &batch(|b| b.body = Some(plain.clone())).compressed(GZIP),
        MALFORMED,
    )));
    rows.push(writing(
        "snappy as one raw block",
        &batch(|b| b.body = Some(codec::raw_snappy(&plain))).compressed(SNAPPY),
        code(NONE),
    ));
    rows
}

/// What a batch that grows beyond all bounds may be called. Kafka expands it to the end and takes it.
const BOMB: Want = Want::OneOf(&[CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, INVALID_RECORD]);
const STRICTER: &str = "expanded size is bounded by batch.max.decompressed.bytes, here 32 MiB";

fn bombs() -> Vec<Row> {
    let mut rows: Vec<Row> = [(GZIP, 96), (LZ4, 96), (ZSTD, 512)].map(|(codec, mib)| zeros(codec, mib)).into();
    rows.push(many_small(ZSTD));
    rows.push(many_small(GZIP));
    // A raw snappy block says first how large it will be.
    let claim = Enc::new(false).uvarint(u32::MAX).raw(&[0; 40]).done();
    rows.push(thrown(writing(
        "snappy that claims 4 GiB",
        &batch(|b| b.body = Some(claim.clone())).compressed(SNAPPY),
        MALFORMED,
    )));
    let framed = [&codec::XERIAL_MAGIC[..], &(claim.len() as u32).to_be_bytes(), &claim].concat();
    rows.push(thrown(writing(
        "framed snappy that claims 4 GiB",
        &batch(|b| b.body = Some(framed)).compressed(SNAPPY),
        MALFORMED,
    )));
    let block = [&codec::XERIAL_MAGIC[..], &[0x7f, 0xff, 0xff, 0xff], &claim].concat();
    rows.push(thrown(writing(
        "framed snappy with a block of 2 GiB",
        &batch(|b| b.body = Some(block)).compressed(SNAPPY),
        MALFORMED,
    )));
    // A zstd frame header with a window of 2^41 bytes: magic, descriptor, the largest window exponent.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
    rows.push(thrown(writing(
        "zstd with a window of 2 TiB",
        &batch(|b| b.body = Some(window)).compressed(ZSTD),
        MALFORMED,
    )));
    rows
}

/// One record whose value is `mib` MiB of zeros.
fn zeros(codec: i16, mib: usize) -> Row {
    let size = mib << 20;
    let head = Enc::new(false).i8(0).varint(0).varint(0).varint(-1).varint(size as i64).done();
    let start = Enc::new(false).varint((head.len() + size + 1) as i64).raw(&head).done();
    let packed = codec::compress_parts(codec, &[(&start, 1), (&vec![0; 1 << 20], mib), (&[0], 1)]);
    let batch = Batch { body: Some(packed), ..Batch::one(b"v") }.compressed(codec);
    writing(format!("{} of {mib} MiB of zeros", codec::name(codec)), &batch, BOMB).kafka(code(NONE), STRICTER)
}

/// Ten million equal records, which a header may well promise.
fn many_small(codec: i16) -> Row {
    const RECORDS: usize = 10_000_000;
    const AT_ONCE: usize = 100_000;
    let records: Vec<u8> = Record::new(0, b"").encode().repeat(AT_ONCE);
    let mut batch = Batch::one(b"v").compressed(codec);
    batch.body = Some(codec::compress_parts(codec, &[(&records, RECORDS / AT_ONCE)]));
    (batch.records_count, batch.last_offset_delta) = (Some(RECORDS as i32), Some(RECORDS as i32 - 1));
    writing(format!("{} of {RECORDS} equal records", codec::name(codec)), &batch, BOMB)
        .not_on_kafka("an error kept for each record fills a heap of 512 MiB")
}
