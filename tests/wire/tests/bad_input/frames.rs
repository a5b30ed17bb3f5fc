//! Frame lengths, half frames, and bytes of other protocols.

use std::time::Duration;

use chronik_wire_tests::conn::{frame, request};
use chronik_wire_tests::enc::Enc;
use chronik_wire_tests::requests::{API_VERSIONS, METADATA, api_versions, metadata};
use chronik_wire_tests::responses;

use crate::row::{Mismatch, Row, closed, hang_up, open, same, script};

/// The default of `socket.request.max.bytes`.
const LARGEST_FRAME: i32 = 100 << 20;

fn length(n: i32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        closed("frame length 2 GiB - 1", length(i32::MAX)),
        closed("frame length -1", length(-1)),
        closed("frame length -2 GiB", length(i32::MIN)),
        closed("frame length one above socket.request.max.bytes", length(LARGEST_FRAME + 1)),
        closed(
            "frame length above the limit with a request behind it",
            [length(i32::MAX), request(API_VERSIONS, 0, 77, &[])].concat(),
        ),
        closed("frame length 0", length(0)),
        closed("TLS client hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on".to_vec()),
        closed("HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        closed("frame of 0xff", frame(&[0xff; 64])),
        closed("frame of zeros shorter than its header says", frame(&[0; 9])),
        hang_up("two bytes of a length, then gone", vec![0, 0]),
        hang_up("a length and nothing else, then gone", length(LARGEST_FRAME)),
        hang_up("half a request, then gone", request(METADATA, 1, 77, &metadata(1, None, false))[..9].to_vec()),
        hang_up("a connection that says nothing", Vec::new()),
        script("a request one byte at a time", dribble),
        script("a good request, then a bad length", good_then_bad),
        script("two requests in three packets", split_across),
    ];
    // A request header is at least api key, version, correlation id and the length of a client id.
    rows.extend((1..8).map(|n| closed(format!("frame of {n} bytes"), frame(&vec![0; n]))));
    rows
}

fn dribble(broker: &chronik_wire_tests::broker::Broker) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    for byte in request(API_VERSIONS, 3, 77, &api_versions(3, "wire", "1")) {
        conn.send(&[byte])?;
        // A pace, not a wait: each byte must be a packet of its own.
        std::thread::sleep(Duration::from_millis(5));
    }
    let body = conn.answer(API_VERSIONS, 3, 77)?;
    same("error", responses::api_versions(3, &body)?.error, 0)
}

fn good_then_bad(broker: &chronik_wire_tests::broker::Broker) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    conn.send(&Enc::new(false).raw(&request(API_VERSIONS, 0, 1, &[])).i32(-5).done())?;
    conn.answer(API_VERSIONS, 0, 1)?;
    match conn.recv() {
        Err(chronik_wire_tests::conn::WireError::Closed) => Ok(()),
        other => Err(Mismatch::Saw { wanted: "a closed connection".into(), got: format!("{other:?}") }),
    }
}

fn split_across(broker: &chronik_wire_tests::broker::Broker) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    let both = [request(API_VERSIONS, 0, 1, &[]), request(API_VERSIONS, 0, 2, &[])].concat();
    for part in [&both[..7], &both[7..both.len() - 3], &both[both.len() - 3..]] {
        conn.send(part)?;
        std::thread::sleep(Duration::from_millis(20));
    }
    conn.answer(API_VERSIONS, 0, 1)?;
    conn.answer(API_VERSIONS, 0, 2)?;
    Ok(())
}
