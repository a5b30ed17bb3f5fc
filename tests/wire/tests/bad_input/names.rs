//! Topic names that are paths, too long, or no names at all.

use chronik_wire_tests::batch::Batch;
use chronik_wire_tests::conn::request;
use chronik_wire_tests::enc::Enc;
use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;

use crate::World;
use crate::row::{Row, Want, call, code, framed};

/// What no topic may be called (legal are ASCII letters, digits, `.`, `_`, `-`; at most 249; neither `.` nor `..`).
fn bad_names() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        (".", ".".into()),
        ("..", "..".into()),
        ("/", "/".into()),
        ("../../etc/passwd", "../../etc/passwd".into()),
        ("a/b", "a/b".into()),
        ("a\\b", "a\\b".into()),
        ("a b", "a b".into()),
        ("with NUL", "a\0b".into()),
        ("with newline", "a\nb".into()),
        ("not ASCII", "größe".into()),
        ("of 250 bytes", "x".repeat(250)),
        ("of 300 bytes", "x".repeat(300)),
        ("of 32,767 bytes", "x".repeat(32_767)),
    ]
}

pub fn rows(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for (shown, name) in bad_names() {
        let topic = Topic::named(&name);
        let create = create_topics(7, &[NewTopic::new(&name, 1)], false);
        let mut created =
            call(format!("create a topic named {shown}"), CREATE_TOPICS, 7, &create, code(INVALID_TOPIC_EXCEPTION));
        if name.len() == 32_767 {
            created = created
                .kafka(code(UNKNOWN_SERVER_ERROR), "the message that names the topic is longer than a string may be");
        }
        rows.push(created);
        let describe = metadata(9, Some(&[topic]), true);
        rows.push(call(
            format!("metadata of a topic named {shown}"),
            METADATA,
            9,
            &describe,
            code(INVALID_TOPIC_EXCEPTION),
        ));
        let write = produce_one(9, topic, 0, &Batch::one(b"v").encode());
        rows.push(call(
            format!("produce to a topic named {shown}"),
            PRODUCE,
            9,
            &write,
            code(UNKNOWN_TOPIC_OR_PARTITION),
        ));
    }
    rows.extend(collisions(world));
    rows.extend(not_utf8());
    rows.extend(ids());
    rows
}

fn collisions(world: &World) -> Vec<Row> {
    let create = |name: &str| create_topics(7, &[NewTopic::new(name, 1)], false);
    let colliding = world.plain.replace('.', "_");
    let pair = create_topics(7, &[NewTopic::new("wire.pair", 1), NewTopic::new("wire_pair", 1)], true);
    vec![
        call(
            "create a topic that collides by . and _",
            CREATE_TOPICS,
            7,
            &create(&colliding),
            code(INVALID_TOPIC_EXCEPTION),
        ),
        call("check two topics that collide by . and _", CREATE_TOPICS, 7, &pair, Want::Answer),
    ]
}

/// A name of two bytes that are no UTF-8.
fn not_utf8() -> Vec<Row> {
    const BAD: [u8; 2] = [0xc3, 0x28];
    let compact = |e: Enc| e.uvarint(3).raw(&BAD);
    let asked = compact(body(METADATA, 9).arr(1)).end().bool(false).bool(false).bool(false).end().done();
    let created =
        compact(body(CREATE_TOPICS, 7).arr(1)).i32(1).i16(1).arr(0).arr(0).end().i32(1000).bool(false).end().done();
    let row = |name: &str, api, version, body: &[u8]| {
        framed(name, api, version, request(api, version, 77, body), Want::Closed)
            .kafka(code(INVALID_TOPIC_EXCEPTION), "bytes that are no UTF-8 become replacement characters")
    };
    vec![
        row("metadata of a topic not UTF-8", METADATA, 9, &asked),
        row("create a topic not UTF-8", CREATE_TOPICS, 7, &created),
    ]
}

fn ids() -> Vec<Row> {
    let ask = |topics: &[Topic<'_>]| metadata(12, Some(topics), false);
    let null_name = body(METADATA, 12).arr(1).uuid(NO_UUID).opt_str(None).end().bool(false).bool(false).end().done();
    vec![
        call(
            "metadata of an unknown topic",
            METADATA,
            12,
            &ask(&[Topic::named("wire.none")]),
            code(UNKNOWN_TOPIC_OR_PARTITION),
        ),
        call(
            "metadata of an unknown topic id",
            METADATA,
            12,
            &ask(&[Topic::with_id([0xee; 16])]),
            code(UNKNOWN_TOPIC_ID),
        ),
        call("metadata of neither name nor id", METADATA, 12, &null_name, Want::Answer),
        call(
            "metadata of one topic 2,000 times",
            METADATA,
            9,
            &metadata(9, Some(&[Topic::named("wire.none"); 2000]), false),
            Want::Answer,
        ),
    ]
}
