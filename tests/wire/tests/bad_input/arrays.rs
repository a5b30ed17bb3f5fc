//! Array and string lengths that promise more than the frame holds, in every request we advertise.

use chronik_wire_tests::conn::{frame, header};
use chronik_wire_tests::enc::Enc;
use chronik_wire_tests::requests::*;

use crate::row::{Row, Want, call};

/// The count of a compact array of 2^32 - 2 elements.
const HUGE_COMPACT: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
/// The count of a compact array of 2^31 - 1 elements.
const LARGE_COMPACT: [u8; 5] = [0x80, 0x80, 0x80, 0x80, 0x08];
/// A varint of six bytes: too long for 32 bits, whatever it says.
const OVERLONG: [u8; 6] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x00];

/// A place in a request where a count stands: API, version, what counts, and the bytes before it.
struct Place {
    api: i16,
    version: i16,
    what: &'static str,
    before: Vec<u8>,
}

fn place(api: i16, version: i16, what: &'static str, before: impl Fn(Enc) -> Enc) -> Place {
    Place { api, version, what, before: before(body(api, version)).done() }
}

fn places() -> Vec<Place> {
    let fetch_head = |e: Enc| e.i32(-1).i32(0).i32(1).i32(1 << 20).i8(0);
    vec![
        place(METADATA, 1, "topics", |e| e),
        place(METADATA, 12, "topics", |e| e),
        place(PRODUCE, 7, "topics", |e| e.opt_str(None).i16(-1).i32(1000)),
        place(PRODUCE, 7, "partitions", |e| e.opt_str(None).i16(-1).i32(1000).arr(1).str("t")),
        place(PRODUCE, 9, "topics", |e| e.opt_str(None).i16(-1).i32(1000)),
        place(PRODUCE, 9, "partitions", |e| e.opt_str(None).i16(-1).i32(1000).arr(1).str("t")),
        place(PRODUCE, 7, "bytes of records", |e| e.opt_str(None).i16(-1).i32(1000).arr(1).str("t").arr(1).i32(0)),
        place(PRODUCE, 9, "bytes of records", |e| e.opt_str(None).i16(-1).i32(1000).arr(1).str("t").arr(1).i32(0)),
        place(FETCH, 4, "topics", fetch_head),
        place(FETCH, 4, "partitions", move |e| fetch_head(e).arr(1).str("t")),
        place(FETCH, 11, "forgotten topics", move |e| fetch_head(e).i32(0).i32(-1).arr(0)),
        place(FETCH, 12, "topics", move |e| fetch_head(e).i32(0).i32(-1)),
        place(FETCH, 12, "forgotten topics", move |e| fetch_head(e).i32(0).i32(-1).arr(0)),
        place(LIST_OFFSETS, 1, "topics", |e| e.i32(-1)),
        place(LIST_OFFSETS, 7, "topics", |e| e.i32(-1).i8(0)),
        place(LIST_OFFSETS, 7, "partitions", |e| e.i32(-1).i8(0).arr(1).str("t")),
        place(CREATE_TOPICS, 2, "topics", |e| e),
        place(CREATE_TOPICS, 7, "topics", |e| e),
        place(CREATE_TOPICS, 7, "assignments", |e| e.arr(1).str("t").i32(1).i16(1)),
        place(CREATE_TOPICS, 7, "configs", |e| e.arr(1).str("t").i32(1).i16(1).arr(0)),
        place(DELETE_TOPICS, 1, "topics", |e| e),
        place(DELETE_TOPICS, 6, "topics", |e| e),
        place(CREATE_PARTITIONS, 0, "topics", |e| e),
        place(CREATE_PARTITIONS, 3, "topics", |e| e),
        place(DESCRIBE_CONFIGS, 1, "resources", |e| e),
        place(DESCRIBE_CONFIGS, 4, "resources", |e| e),
        place(DESCRIBE_CONFIGS, 4, "keys", |e| e.arr(1).i8(2).str("t")),
        place(INCREMENTAL_ALTER_CONFIGS, 0, "resources", |e| e),
        place(INCREMENTAL_ALTER_CONFIGS, 1, "keys", |e| e.arr(1).i8(2).str("t")),
        place(UPDATE_FEATURES, 0, "features", |e| e.i32(1000)),
        place(UPDATE_FEATURES, 2, "features", |e| e.i32(1000)),
        place(DESCRIBE_CLUSTER, 0, "tags", |e| e.bool(false)),
        place(DESCRIBE_TOPIC_PARTITIONS, 0, "topics", |e| e),
        place(INIT_PRODUCER_ID, 4, "bytes of the transactional id", |e| e),
        place(OFFSET_FOR_LEADER_EPOCH, 3, "topics", |e| e.i32(-1)),
        place(OFFSET_FOR_LEADER_EPOCH, 4, "topics", |e| e.i32(-1)),
        place(DELETE_RECORDS, 0, "topics", |e| e),
        place(DELETE_RECORDS, 2, "topics", |e| e),
        place(DELETE_RECORDS, 2, "partitions", |e| e.arr(1).str("t")),
    ]
}

fn row(place: &Place, count: &[u8], shown: &str) -> Row {
    let as_null = is_nullable(place, shown);
    let name = format!("key {} version {}: {shown} {}", place.api, place.version, place.what);
    // A little more follows, so that the count is read before the end of the frame is.
    let body = [&place.before, count, [0; 8].as_slice()].concat();
    let row = call(name, place.api, place.version, &body, Want::Closed);
    if as_null { row.kafka(Want::Answer, "a length below -1 is taken for -1, and null is allowed here") } else { row }
}

/// Where Kafka lets a null stand, and so any negative count.
fn is_nullable(place: &Place, shown: &str) -> bool {
    let negative = matches!(shown, "-2" | "2^32 - 2");
    let tags = place.what == "tags" && shown != "overlong count of";
    tags || negative
        && matches!(
            (place.api, place.what),
            (METADATA, "topics") | (PRODUCE, "bytes of records") | (DESCRIBE_CONFIGS, "keys")
        )
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for place in places() {
        let flexible = place.version >= flexible_from(place.api);
        let counts: &[(&str, &[u8])] = if flexible {
            &[("2^32 - 2", &HUGE_COMPACT), ("2^31 - 1", &LARGE_COMPACT), ("overlong count of", &OVERLONG)]
        } else {
            &[("2^31 - 1", &[0x7f, 0xff, 0xff, 0xff]), ("-2", &[0xff, 0xff, 0xff, 0xfe])]
        };
        rows.extend(counts.iter().map(|(shown, count)| row(&place, count, shown)));
    }
    rows.push(short_string());
    rows.push(many_topics());
    rows
}

fn short_string() -> Row {
    let body = Enc::new(false).i16(i16::MAX).raw(b"short").i32(1000).done();
    call("InitProducerId 1 with a transactional id longer than the frame", INIT_PRODUCER_ID, 1, &body, Want::Closed)
}

/// Small on the wire, large once decoded: no array holds more than a million elements.
fn many_topics() -> Row {
    const TOPICS: usize = 1_500_000;
    let body = Enc::new(false).arr(TOPICS).raw(&vec![0; TOPICS * 2]).done();
    let bytes = frame(&header(METADATA, 1, 77).raw(&body).done());
    crate::row::closed("Metadata 1 for 1,500,000 topics of no name", bytes)
        .kafka(Want::Answer, "4.3 has no limit; 4.4 refuses more than 1,000,000 elements")
}
