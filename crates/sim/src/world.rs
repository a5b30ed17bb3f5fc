//! The simulated world behind `env`: turmoil's clock and network, the simulated disk, everything on one thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::Env;
use chronik_env::clock::Clock;
use chronik_env::net::{BoxFuture, Incoming, ListenOptions, Listener, Net, Stream};
use chronik_env::random::Random;
use chronik_env::sim_disk::SimDisk;
use chronik_env::task::{Job, Tasks};
use turmoil::net::{TcpListener, TcpStream};

/// When every simulation begins: 2026-01-01, in milliseconds since the Unix epoch.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// The world as one broker sees it.
pub fn env(disk: &SimDisk, seed: u64) -> Env {
    let random = Random::from_seed(seed);
    Env {
        clock: Arc::new(SimClock),
        random: random.clone(),
        disk: Arc::new(disk.clone()),
        net: Arc::new(SimNet),
        tasks: Arc::new(SimTasks { random }),
    }
}

/// Simulated milliseconds since the simulation began.
pub fn elapsed_ms() -> u64 {
    turmoil::sim_elapsed().unwrap_or_default().as_millis() as u64
}

/// Today's simulated wall clock.
pub fn wall_ms() -> i64 {
    EPOCH_MS + elapsed_ms() as i64
}

struct SimClock;

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        wall_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        elapsed_ms()
    }
}

/// One worker; blocking jobs run inline a little later, one after the other.
struct SimTasks {
    random: Random,
}

impl Tasks for SimTasks {
    fn workers(&self) -> usize {
        1
    }

    fn spawn_on(&self, _worker: usize, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn spawn_control(&self, future: BoxFuture<'static, ()>) {
        tokio::spawn(future);
    }

    fn run_blocking(&self, job: Job) {
        // A disk that takes up to 4 ms, now and then 50.
        let micros = match self.random.next_u64() % 64 {
            0 => 50_000,
            n => n * 64,
        };
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(micros)).await;
            job();
        });
    }
}

pub struct SimNet;

impl Net for SimNet {
    fn bind(&self, addr: SocketAddr, _options: ListenOptions) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(addr).await?;
            Ok(Box::new(SimListener(listener)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

struct SimListener(TcpListener);

impl Listener for SimListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn Incoming>>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            let local = stream.local_addr()?;
            Ok(Box::new(SimIncoming { stream, peer, local }) as Box<dyn Incoming>)
        })
    }
}

struct SimIncoming {
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
}

impl Incoming for SimIncoming {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.stream))
    }
}
