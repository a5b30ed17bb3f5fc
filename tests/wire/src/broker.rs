//! A broker to test: the binary started for one test, or one that already runs somewhere.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::conn::{Conn, WireError};
use crate::requests::{self, NewTopic, Topic};
use crate::responses;

/// Names the broker binary to start.
pub const BINARY_VARIABLE: &str = "CHRONIK_BIN";
/// Names a running broker, HOST:PORT, to test instead of starting one. Such a broker is taken for Apache Kafka, the oracle.
pub const BOOTSTRAP_VARIABLE: &str = "CHRONIK_WIRE_BOOTSTRAP";
const READY_WITHIN: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

/// Why there is no broker to test.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no broker binary at {0:?}: build it, or name one in CHRONIK_BIN")]
    NoBinary(Vec<PathBuf>),
    #[error("{BOOTSTRAP_VARIABLE} is not an address: {0}")]
    Bootstrap(String),
    #[error("the broker ended before it was ready; its log:\n{0}")]
    Ended(String),
    #[error("the broker was not ready within {READY_WITHIN:?}; its log:\n{0}")]
    NotReady(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A broker under test. Dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Broker {
    pub address: SocketAddr,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    scratch: PathBuf,
}

impl Process {
    fn log(&self) -> PathBuf {
        self.scratch.join("log")
    }
}

impl Broker {
    /// The broker of [`BOOTSTRAP_VARIABLE`] if set, else a fresh process with an empty data directory and default settings.
    pub fn start() -> Result<Broker, StartError> {
        Broker::start_with(&[])
    }

    /// As [`Broker::start`], a process of its own with `settings` (key=value) in place of their defaults.
    pub fn start_with(settings: &[&str]) -> Result<Broker, StartError> {
        match std::env::var(BOOTSTRAP_VARIABLE) {
            Ok(given) => {
                let address = given.parse().map_err(|_| StartError::Bootstrap(given))?;
                Ok(Broker { address, process: None })
            }
            Err(_) => Broker::spawn(settings, &[]),
        }
    }

    /// A fresh process that finds these environment variables.
    pub fn start_in(variables: &[(&str, &str)]) -> Result<Broker, StartError> {
        Broker::spawn(&[], variables)
    }

    fn spawn(settings: &[&str], variables: &[(&str, &str)]) -> Result<Broker, StartError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let binary = find_binary()?;
        let unique = format!("chronik-wire-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let scratch = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&scratch)?;
        let (address, http) = (free_address()?, free_address()?);
        let log = File::create(scratch.join("log"))?;
        let mut command = Command::new(binary);
        // The broker reads settings from these; a test's own variables are none.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CHRONIK_") || name.as_encoded_bytes().starts_with(b"KAFKA_") {
                command.env_remove(name);
            }
        }
        let child = command
            .envs(variables.iter().copied())
            .arg("start")
            .arg("--data-dir")
            .arg(scratch.join("data"))
            .args(["--listen", &address.to_string(), "--http", &http.to_string()])
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut broker = Broker { address, process: Some(Process { child, scratch }) };
        broker.wait_ready(http)?;
        Ok(broker)
    }

    fn wait_ready(&mut self, http: SocketAddr) -> Result<(), StartError> {
        let deadline = Instant::now() + READY_WITHIN;
        while !is_ready(http) {
            if let Some(process) = &mut self.process
                && process.child.try_wait()?.is_some()
            {
                return Err(StartError::Ended(self.log()));
            }
            if Instant::now() > deadline {
                return Err(StartError::NotReady(self.log()));
            }
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    /// Whether this is the oracle, whose answers differ where a row says so.
    pub fn is_oracle(&self) -> bool {
        self.process.is_none()
    }

    /// Where its files are; `None` for a broker not started here.
    pub fn data_dir(&self) -> Option<PathBuf> {
        Some(self.process.as_ref()?.scratch.join("data"))
    }

    pub fn connect(&self) -> Result<Conn, WireError> {
        Conn::open(self.address)
    }

    /// All the broker printed so far; empty for a broker that was not started here.
    pub fn log(&self) -> String {
        let bytes = self.process.as_ref().and_then(|p| std::fs::read(p.log()).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether a line of the log from byte `from` on contains `word` before the deadline. True for a broker not started here.
    pub fn logs_within(&self, from: usize, word: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.is_oracle() {
            if self.log().get(from..).is_some_and(|log| log.contains(word)) {
                break;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(STEP);
        }
        true
    }

    /// Resident memory in KiB: (now, the highest so far). `None` for a broker not started here.
    pub fn resident_kib(&self) -> Option<(u64, u64)> {
        let pid = self.process.as_ref()?.child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            status.lines().find_map(|l| l.strip_prefix(name)?.trim().strip_suffix(" kB")?.trim().parse().ok())
        };
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Starts the highest resident memory anew from the present one, where the kernel allows it (`clear_refs`, Linux 4.0).
    pub fn forget_highest_resident(&self) {
        if let Some(process) = &self.process {
            // Without it a peak is blamed on later rows too; the limit itself still holds.
            let _ = std::fs::write(format!("/proc/{}/clear_refs", process.child.id()), "5");
        }
    }

    /// Whether the process still runs; true for a broker not started here.
    pub fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_none_or(|p| matches!(p.child.try_wait(), Ok(None)))
    }

    /// Creates a topic with one partition and returns its id. A topic of that name that exists already is deleted first.
    pub fn fresh_topic(&self, name: &str) -> Result<[u8; 16], WireError> {
        self.fresh_topic_with(NewTopic::new(name, 1))
    }

    /// As [`Broker::fresh_topic`], with the partitions and configs of `topic`.
    pub fn fresh_topic_with(&self, topic: NewTopic<'_>) -> Result<[u8; 16], WireError> {
        let mut conn = self.connect()?;
        let deadline = Instant::now() + conn.patience;
        conn.call(requests::DELETE_TOPICS, 6, &requests::delete_topics(6, &[Topic::named(topic.name)]))?;
        let create = requests::create_topics(7, std::slice::from_ref(&topic), false);
        loop {
            let body = conn.call(requests::CREATE_TOPICS, 7, &create)?;
            if let Some((0, id)) = responses::create_topics(7, &body)?.first() {
                self.await_leaders(&mut conn, &topic, deadline)?;
                return Ok(*id);
            }
            give_up_after(deadline, conn.patience)?;
        }
    }

    /// Waits until every partition answers for itself, which comes after the metadata knows its leader.
    fn await_leaders(&self, conn: &mut Conn, topic: &NewTopic<'_>, deadline: Instant) -> Result<(), WireError> {
        let latest: Vec<(i32, i32, i64)> = (0..topic.partitions).map(|p| (p, -1, -1)).collect();
        let ask = requests::list_offsets(7, 0, topic.name, &latest);
        loop {
            let body = conn.call(requests::LIST_OFFSETS, 7, &ask)?;
            if responses::list_offsets(7, &body)?.iter().all(|p| p.error == 0) {
                return Ok(());
            }
            give_up_after(deadline, conn.patience)?;
        }
    }
}

fn give_up_after(deadline: Instant, patience: Duration) -> Result<(), WireError> {
    if Instant::now() > deadline {
        return Err(WireError::TimedOut(patience));
    }
    std::thread::sleep(STEP);
    Ok(())
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Failures mean that the process has ended or the directory is gone, which is what was wanted.
            let _ = process.child.kill();
            let _ = process.child.wait();
            let _ = std::fs::remove_dir_all(&process.scratch);
        }
    }
}

/// The binary of [`BINARY_VARIABLE`], else the one that was built beside these tests.
pub fn find_binary() -> Result<PathBuf, StartError> {
    if let Some(given) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(given.into());
    }
    let test = std::env::current_exe()?;
    let target = test.ancestors().nth(3).unwrap_or(Path::new("target"));
    let candidates: Vec<PathBuf> =
        ["release", "debug"].iter().map(|profile| target.join(profile).join("chronik")).collect();
    candidates.iter().find(|path| path.is_file()).cloned().ok_or(StartError::NoBinary(candidates))
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn is_ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&http, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer[9..] == b"200")
    };
    ask().unwrap_or(false)
}
