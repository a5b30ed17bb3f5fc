//! What the machine and the client can do without any broker, measured in the same minutes as the brokers.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::{Bench, MeasureError};
use crate::client::ProduceCall;
use crate::figures::{Metric, Row};
use crate::plan::{CEILING_1K, CEILING_100B, CEILING_IDEMPOTENT, PING_PONG, SYNC_RATE};
use crate::subject::Subject;

const SYNC_LENGTH: Duration = Duration::from_secs(1);
const PING_PONGS: usize = 20_000;

/// The disk, the loopback and the client.
pub fn round(bench: &mut Bench) {
    crate::section::load::settle();
    let sync = sync_rate(&bench.tools.root().join("sync.probe"));
    note(bench, SYNC_RATE, sync);
    let ping = ping_pong();
    note(bench, PING_PONG, ping);
    for (row, size, idempotent) in
        [(CEILING_100B, 100, false), (CEILING_IDEMPOTENT, 100, true), (CEILING_1K, 1024, false)]
    {
        let outcome = ceiling(bench, size, idempotent);
        bench.keep(row, Subject::Machine, outcome);
    }
}

fn note(bench: &mut Bench, row: Row, outcome: std::io::Result<Vec<(Metric, f64)>>) {
    match outcome {
        Ok(figures) => bench.keep(row, Subject::Machine, Ok(figures)),
        Err(why) => bench.figures.fault(format!("{row}: {why}")),
    }
}

/// Appends 4 KiB blocks to a new file, each synced before the next.
fn sync_rate(path: &Path) -> std::io::Result<Vec<(Metric, f64)>> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let block = [7_u8; 4096];
    let mut waits = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < SYNC_LENGTH {
        let sent = Instant::now();
        file.write_all_at(&block, waits.len() as u64 * block.len() as u64)?;
        file.sync_data()?;
        waits.push(sent.elapsed());
    }
    let rate = waits.len() as f64 / begun.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    let (p50, p99) = percentiles(waits);
    Ok(vec![(Metric::Rate, rate), (Metric::P50, p50), (Metric::P99, p99)])
}

/// One blocking thread echoes to another.
fn ping_pong() -> std::io::Result<Vec<(Metric, f64)>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut message = [0; 128];
        for _ in 0..PING_PONGS {
            stream.read_exact(&mut message)?;
            stream.write_all(&message)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let (mut message, mut waits) = ([0; 128], Vec::with_capacity(PING_PONGS));
    let begun = Instant::now();
    for _ in 0..PING_PONGS {
        let sent = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        waits.push(sent.elapsed());
    }
    let rate = PING_PONGS as f64 / begun.elapsed().as_secs_f64();
    drop(stream);
    let _ = echo.join();
    let (p50, p99) = percentiles(waits);
    Ok(vec![(Metric::Rate, rate), (Metric::P50, p50), (Metric::P99, p99)])
}

/// Median and 99th percentile in milliseconds; zero of no samples.
fn percentiles(mut waits: Vec<Duration>) -> (f64, f64) {
    waits.sort_unstable();
    let at = |percent: usize| {
        let rank = waits.len().saturating_sub(1) * percent / 100;
        waits.get(rank).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
    };
    (at(50), at(99))
}

fn ceiling(bench: &Bench, size: u32, idempotent: bool) -> Result<Vec<(Metric, f64)>, MeasureError> {
    let messages = bench.plan.messages(size);
    // An idempotent producer waits for all replicas, and the library refuses any other wish.
    let acks = if idempotent { -1 } else { 1 };
    let call = ProduceCall { topic: "ceiling", size, messages, partitions: 1, acks, idempotent, lz4: false };
    let produced = bench.client.produce_to_mock(&call)?;
    if produced.delivered < messages {
        return Err(MeasureError::Undelivered { sent: messages, failed: messages - produced.delivered });
    }
    let rate = messages as f64 * 1e6 / produced.elapsed_us;
    Ok(vec![
        (Metric::Rate, rate),
        (Metric::Megabytes, rate * f64::from(size) / 1e6),
        (Metric::ClientCpu, produced.cpu_us / messages as f64),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_milliseconds_of_the_sorted_waits() {
        let waits = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(percentiles(waits), (51.0, 100.0));
        assert_eq!(percentiles(Vec::new()), (0.0, 0.0));
    }
}
