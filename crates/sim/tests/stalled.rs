//! Connections that stop in the middle of a frame, or do not read their answers.

#[path = "regressions/client.rs"]
#[allow(dead_code)]
mod client;

use std::time::Duration;

use bytes::Bytes;
use chronik_env::net::Stream;
use chronik_protocol::messages::ApiVersionsRequest;
use chronik_protocol::request;
use chronik_sim::lone::simulate;
use client::{Client, disk, numbered, produce_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

/// Half a frame takes all the memory there is for requests.
const LITTLE_MEMORY: (&str, &str) = ("queued.max.request.bytes", "100000");
const IDLE_AFTER_30_S: (&str, &str) = ("connections.max.idle.ms", "30000");
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(100);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn large_frame() -> Bytes {
    produce_frame("t", &"x".repeat(200_000))
}

async fn write(stream: &mut dyn Stream, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("a connection");
    stream.flush().await.expect("a connection");
}

/// Whether an answer comes; else the connection ends.
async fn is_answered(stream: &mut dyn Stream) -> bool {
    let answer = async {
        let length = stream.read_i32().await?;
        stream.read_exact(&mut vec![0; length as usize]).await
    };
    timeout(PATIENCE, answer).await.expect("an answer or an end").is_ok()
}

#[test]
fn a_frame_that_stops_in_its_middle_ends_where_others_wait_for_memory() {
    simulate(&disk(), &[LITTLE_MEMORY], async |lone| {
        let (mut stalled, mut other) = (lone.dial().await, Client::of(&lone).await);
        other.create("t", &[]).await;
        write(&mut *stalled, &large_frame()[..150_000]).await;
        sleep(seconds(1)).await;
        let began = Instant::now();
        assert_eq!(other.produce("t", -1, "value").await, (0, 0));
        let waited = began.elapsed();
        assert!((seconds(8)..seconds(12)).contains(&waited), "{waited:?}");
        assert!(!is_answered(&mut *stalled).await);
    });
}

#[test]
fn a_frame_that_comes_slowly_comes_whole_though_others_wait_for_memory() {
    simulate(&disk(), &[LITTLE_MEMORY], async |lone| {
        let (mut slow, mut other) = (lone.dial().await, Client::of(&lone).await);
        other.create("t", &[]).await;
        let frame = large_frame();
        let sent = async {
            write(&mut *slow, &frame[..150_000]).await;
            for part in frame[150_000..].chunks(frame.len() / 10) {
                sleep(seconds(8)).await;
                write(&mut *slow, part).await;
            }
            is_answered(&mut *slow).await
        };
        let produced = async {
            sleep(seconds(1)).await;
            let began = Instant::now();
            (other.produce("t", -1, "value").await, began.elapsed())
        };
        let (answered, (produced, waited)) = tokio::join!(sent, produced);
        assert!(answered);
        assert_eq!(produced, (0, 1), "it comes after the one that was there first");
        assert!(waited > seconds(20), "{waited:?}");
    });
}

#[test]
fn a_frame_that_stops_where_there_is_memory_has_the_time_of_an_idle_connection() {
    simulate(&disk(), &[IDLE_AFTER_30_S], async |lone| {
        let (mut late, mut stalled) = (lone.dial().await, lone.dial().await);
        Client::of(&lone).await.create("t", &[]).await;
        let frame = large_frame();
        for stream in [&mut late, &mut stalled] {
            write(&mut **stream, &frame[..150_000]).await;
        }
        let began = Instant::now();
        sleep(seconds(25)).await;
        write(&mut *late, &frame[150_000..]).await;
        assert!(is_answered(&mut *late).await);
        assert!(!is_answered(&mut *stalled).await);
        let ended = began.elapsed();
        assert!((seconds(29)..seconds(35)).contains(&ended), "{ended:?}");
    });
}

#[test]
fn answers_that_nobody_reads_end_a_connection_and_slow_readers_get_all_of_theirs() {
    /// More than the network and the broker hold.
    const ASKED: usize = 8_000;
    simulate(&disk(), &[IDLE_AFTER_30_S], async |lone| {
        let (mut deaf, mut slow) = (lone.dial().await, lone.dial().await);
        let question = request::encode(&ApiVersionsRequest::default(), 0, 1, "raw").expect("a request");
        for stream in [&mut deaf, &mut slow] {
            for _ in 0..ASKED {
                write(&mut **stream, &question).await;
            }
        }
        for _ in 0..5 {
            sleep(seconds(20)).await;
            assert!(is_answered(&mut *slow).await);
        }
        let mut rest = 0;
        while rest < ASKED - 5 && is_answered(&mut *slow).await {
            rest += 1;
        }
        assert_eq!(rest, ASKED - 5);
        let mut heard = 0;
        while is_answered(&mut *deaf).await {
            heard += 1;
        }
        assert!(heard < ASKED, "{heard}");
        let mut other = Client::of(&lone).await;
        other.create("t", &[]).await;
        other.produce_all("t", &numbered("value", 0..1)).await;
    });
}
