//! Request headers: keys, versions, client ids, tag sections, and bodies that end early or late.

use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::{frame, header, request};
use chronik_wire_tests::enc::Enc;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::{errors, responses};

use crate::row::{Mismatch, Row, Want, call, closed, code, framed, open, same, script};

const CORRELATION: i32 = 77;
const NEGATIVE: &str = "a length below -1 is taken for -1";

/// A version 2 request header for Metadata 9 up to, and without, its tag section, with the given client id bytes.
fn head(client_id: &[u8]) -> Enc {
    Enc::new(false).i16(METADATA).i16(9).i32(CORRELATION).raw(client_id)
}

fn metadata_with(header: Enc) -> Vec<u8> {
    frame(&header.raw(&metadata(9, Some(&[]), false)).done())
}

pub fn rows() -> Vec<Row> {
    let mut rows = keys_and_versions();
    rows.extend(api_versions_rows());
    rows.extend(client_ids());
    rows.extend(tag_sections());
    rows.extend(bodies());
    rows
}

fn keys_and_versions() -> Vec<Row> {
    let mut rows: Vec<Row> = [-1, 4, 7, 999, i16::MAX, i16::MIN]
        .map(|key| closed(format!("api key {key}"), request(key, 0, CORRELATION, &[0; 32])))
        .into();
    let beyond = [
        (PRODUCE, 14),
        (PRODUCE, 2),
        (PRODUCE, 0),
        (PRODUCE, -1),
        (FETCH, 3),
        (FETCH, 99),
        (LIST_OFFSETS, 0),
        (METADATA, 14),
        (METADATA, i16::MIN),
        (CREATE_TOPICS, 1),
        (DELETE_TOPICS, 0),
        (DESCRIBE_CONFIGS, 5),
        (DESCRIBE_TOPIC_PARTITIONS, 1),
        (INIT_PRODUCER_ID, 7),
        (OFFSET_FOR_LEADER_EPOCH, 1),
        (DELETE_RECORDS, 3),
        (CREATE_PARTITIONS, 4),
    ];
    rows.extend(beyond.map(|(key, version)| {
        closed(format!("key {key} at unknown version {version}"), request(key, version, CORRELATION, &[0; 64]))
    }));
    rows
}

fn api_versions_rows() -> Vec<Row> {
    let named = |name: &str, software: &str, version: &str, want| {
        call(name, API_VERSIONS, 3, &api_versions(3, software, version), want)
    };
    let mut rows: Vec<Row> = [6, 99, i16::MAX]
        .map(|version| script(format!("ApiVersions {version} falls back"), move |broker| falls_back(broker, version)))
        .into();
    rows.extend([
        named("client software name with a space", "bad name", "1.0", code(errors::INVALID_REQUEST)),
        named("client software name empty", "", "1.0", code(errors::INVALID_REQUEST)),
        named("client software name ending in a dash", "name-", "1.0", code(errors::INVALID_REQUEST)),
        named("client software version with a newline", "name", "1\n0", code(errors::INVALID_REQUEST)),
        named("client software version empty", "name", "", code(errors::INVALID_REQUEST)),
        named("client software name of 3,000 bytes", &"n".repeat(3000), "1", code(errors::NONE)),
        call(
            "client software name cut short",
            API_VERSIONS,
            3,
            &Enc::new(true).uvarint(200).raw(b"name").done(),
            Want::Closed,
        ),
    ]);
    rows
}

/// KIP-511: the answer to a version we do not have is a version 0 body with error 35 and our range for ApiVersions itself.
fn falls_back(broker: &Broker, version: i16) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    conn.send(&frame(
        &Enc::new(false).i16(API_VERSIONS).i16(version).i32(CORRELATION).str("c").raw(&[0, 0x7f, 0x01, 0x02]).done(),
    ))?;
    let answer = responses::api_versions(0, &conn.answer(API_VERSIONS, 0, CORRELATION)?)?;
    same("error", answer.error, errors::UNSUPPORTED_VERSION)?;
    let range = answer.keys.iter().find(|k| k.0 == API_VERSIONS);
    same("a range for ApiVersions from 0", range.is_some_and(|k| k.1 == 0 && k.2 >= 3), true)?;
    // The same connection goes on with a version both know.
    let body = conn.call(API_VERSIONS, 0, &[])?;
    same("error of the next request", responses::api_versions(0, &body)?.error, 0)
}

fn client_ids() -> Vec<Row> {
    let tail = |id: &[u8]| metadata_with(head(id).uvarint(0));
    let rare = |name: &str, id: &[u8], want| framed(name, METADATA, 9, tail(id), want);
    vec![
        closed("client id longer than the frame", tail(&[0x7f, 0xff, b'x'])),
        rare("client id null", &[0xff, 0xff], Want::Codes(vec![])),
        rare("client id of length -2", &[0xff, 0xfe], Want::Closed).kafka(Want::Codes(vec![]), NEGATIVE),
        rare("client id of length -32768", &[0x80, 0x00], Want::Closed).kafka(Want::Codes(vec![]), NEGATIVE),
        rare("client id not UTF-8", &[0, 2, 0xc3, 0x28], Want::Closed)
            .kafka(Want::Codes(vec![]), "bytes that are no UTF-8 become replacement characters"),
        rare("client id with a NUL and a newline", &[0, 3, 0, b'\n', 0x1b], Want::Codes(vec![])),
        rare("client id of 32,767 bytes", &[&[0x7f, 0xff], [b'c'; 32_767].as_slice()].concat(), Want::Codes(vec![])),
    ]
}

fn tag_sections() -> Vec<Row> {
    let start = || head(&[0xff, 0xff]);
    let tag = |e: Enc, n: u32, size: usize| e.uvarint(n).uvarint(size as u32).raw(&vec![0x41; size]);
    let many = (0..60_000).fold(start().uvarint(60_000), |e, n| e.uvarint(n + 10).uvarint(0));
    let few = (0..20).fold(start().uvarint(20), |e, n| tag(e, n + 10, 3));
    vec![
        closed("header with 2^32 - 1 tags", frame(&start().raw(&[0xff, 0xff, 0xff, 0xff, 0x0f]).done())),
        closed("header with a tag of 2 GiB", frame(&start().uvarint(1).uvarint(10).uvarint(i32::MAX as u32).done())),
        closed(
            "header with a tag count of six bytes",
            frame(&start().raw(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).done()),
        ),
        closed("header that ends within a tag number", frame(&start().raw(&[1, 0x80]).done())),
        framed("header with 60,000 empty tags", METADATA, 9, metadata_with(many), Want::Closed)
            .kafka(Want::Codes(vec![]), "4.3 has no limit; 4.4 refuses more than 10,000 tags"),
        framed("header with 20 unknown tags", METADATA, 9, metadata_with(few), Want::Codes(vec![])),
        framed(
            "header with a tag of 1 MiB",
            METADATA,
            9,
            metadata_with(tag(start().uvarint(1), 10, 1 << 20)),
            Want::Codes(vec![]),
        ),
        framed(
            "header with one tag twice",
            METADATA,
            9,
            metadata_with(tag(tag(start().uvarint(2), 10, 1), 10, 1)),
            Want::Codes(vec![]),
        ),
        framed(
            "header with tags out of order",
            METADATA,
            9,
            metadata_with(tag(tag(start().uvarint(2), 11, 1), 10, 1)),
            Want::Codes(vec![]),
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let garbage = |e: Vec<u8>| [e, vec![0xde, 0xad, 0xbe, 0xef]].concat();
    let short = |api, version, body: Vec<u8>| {
        closed(
            format!("key {api} version {version} cut by one byte"),
            frame(&header(api, version, CORRELATION).raw(&body[..body.len() - 1]).done()),
        )
    };
    let plain = Topic::named("wire.plain");
    vec![
        call(
            "Metadata 1 with garbage behind it",
            METADATA,
            1,
            &garbage(metadata(1, Some(&[]), false)),
            Want::Codes(vec![]),
        ),
        call(
            "Metadata 12 with garbage behind it",
            METADATA,
            12,
            &garbage(metadata(12, Some(&[]), false)),
            Want::Codes(vec![]),
        ),
        call(
            "ListOffsets 5 with garbage behind it",
            LIST_OFFSETS,
            5,
            &garbage(list_offsets(5, 0, "wire.plain", &[(0, -1, -1)])),
            code(errors::NONE),
        ),
        short(METADATA, 12, metadata(12, Some(&[plain]), false)),
        short(FETCH, 12, fetch(12, Fetch::default(), &[(plain, vec![FetchPartition::at(0, 0)])])),
        short(LIST_OFFSETS, 5, list_offsets(5, 0, "wire.plain", &[(0, -1, -1)])),
        short(PRODUCE, 9, produce(9, -1, &[(plain, &[(0, None)])])),
        short(CREATE_TOPICS, 7, create_topics(7, &[NewTopic::new("x", 1)], false)),
        closed("Metadata 12 with an empty body", frame(&header(METADATA, 12, CORRELATION).done())),
        closed("Produce 9 with an empty body", frame(&header(PRODUCE, 9, CORRELATION).done())),
    ]
}
