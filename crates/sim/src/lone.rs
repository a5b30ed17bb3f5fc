//! One broker and one script of client calls, for tests of a single fact. Faults are the script's own doing.
//!
//! A run ends as a process does that is killed, unless the script stops the broker. What it leaves is on the disk it was given: the
//! caller cuts the power with [`SimDisk::crash`] or looks at several ends with [`SimDisk::image`], and runs again.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chronik_broker::{Broker, NoLoggers};
use chronik_client::Connection;
use chronik_env::net::{Net, Stream};
use chronik_env::real::{self, RealNet};
use chronik_env::sim_disk::SimDisk;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::scenario;
use crate::world::{self, SimNet};

const PORT: u16 = 9092;
/// A script that is not over by then, in simulated time, waits for what does not come.
const LIMIT: Duration = Duration::from_secs(600);
/// How long a script waits for the broker to listen or to stop, in simulated time.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY_AFTER: Duration = Duration::from_millis(10);
/// Connections take turns on them: one that is held up keeps none of the next few.
const WORKERS: usize = 4;

/// The broker as a script sees it.
#[derive(Clone)]
pub struct Lone {
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Lone {
    /// A new connection, as soon as the broker listens.
    ///
    /// # Panics
    /// The broker does not listen within half a simulated minute.
    pub async fn connect(&self) -> Connection {
        listening(|address| Connection::connect(&SimNet, address, "lone")).await
    }

    /// As [`Lone::connect`], for a script that sends what no client would.
    ///
    /// # Panics
    /// The broker does not listen within half a simulated minute.
    pub async fn dial(&self) -> Box<dyn Stream> {
        listening(|address| SimNet.connect(address)).await
    }

    /// Stops the broker cleanly and waits until it has stopped.
    ///
    /// # Panics
    /// It does not stop within half a simulated minute.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut stopped = self.stopped.clone();
        let stopped = tokio::time::timeout(PATIENCE, stopped.wait_for(|stopped| *stopped)).await;
        stopped.expect("the broker stops").expect("the broker's side outlives the script");
    }
}

/// Connects as soon as the broker listens.
async fn listening<T, F: Future<Output = io::Result<T>>>(connect: impl Fn(SocketAddr) -> F) -> T {
    let tries = async {
        loop {
            if let Ok(connected) = connect(SocketAddr::new(turmoil::lookup("broker"), PORT)).await {
                return connected;
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.expect("the broker listens")
}

/// Starts a broker on `disk` in a simulated world, with settings beside the usual ones, and runs a script against it. The same disk,
/// settings and script run the same way.
///
/// # Panics
/// The script does, or it is not over after ten simulated minutes.
pub fn simulate<T, F>(disk: &SimDisk, entries: &[(&str, &str)], script: impl FnOnce(Lone) -> F) -> T
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let mut sim = builder().build();
    let (stop, asked) = watch::channel(false);
    let (stopping, stopped) = watch::channel(false);
    let stopping = Arc::new(stopping);
    let (host_disk, entries) = (disk.clone(), owned(entries));
    sim.host("broker", move || {
        let (disk, entries, mut asked, stopping) =
            (host_disk.clone(), entries.clone(), asked.clone(), stopping.clone());
        async move {
            let (settings, config) = scenario::settings(&borrowed(&entries));
            let broker = Broker::start(world::env(&disk, 1), Arc::new(NoLoggers), settings, config).await?;
            if asked.wait_for(|asked| *asked).await.is_ok() {
                broker.shutdown().await;
                stopping.send_replace(true);
            }
            std::future::pending().await
        }
    });
    outcome(sim, script(Lone { stop, stopped }))
}

/// Why a broker does not start on `disk`; `None` when it does.
pub fn refusal(disk: &SimDisk) -> Option<String> {
    let disk = disk.clone();
    outcome(builder().build(), async move {
        let (settings, config) = scenario::settings(&[]);
        Broker::start(world::env(&disk, 1), Arc::new(NoLoggers), settings, config).await.err().map(|e| e.to_string())
    })
}

fn builder() -> turmoil::Builder {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(1)
        .simulation_duration(LIMIT)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(2))
        .tcp_capacity(4_096);
    builder
}

fn outcome<T: 'static>(mut sim: turmoil::Sim<'_>, script: impl Future<Output = T> + 'static) -> T {
    let result = Rc::new(Mutex::new(None));
    let slot = result.clone();
    sim.client("script", async move {
        let value = script.await;
        *slot.lock() = Some(value);
        Ok(())
    });
    if let Err(e) = sim.run() {
        panic!("the script was cut short: {e}");
    }
    drop(sim);
    result.lock().take().expect("a script that is over has left its result")
}

fn owned(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn borrowed(entries: &[(String, String)]) -> Vec<(&str, &str)> {
    entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// A broker on a simulated disk among real threads and loopback sockets, where the order of things is not chosen.
pub struct Threaded {
    pub broker: Arc<Broker>,
}

impl Threaded {
    pub async fn connect(&self) -> io::Result<Connection> {
        let port = self.broker.addresses()[0].port();
        let net: &dyn Net = &RealNet;
        Connection::connect(net, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), "threaded").await
    }
}

/// Runs a script against a broker on real threads, with settings beside the usual ones. The script has a thread of its own: it
/// goes on while the broker's are held up.
///
/// # Panics
/// The broker does not start, or the script panics.
pub fn on_threads<T, F>(disk: &SimDisk, entries: &[(&str, &str)], script: impl FnOnce(Threaded) -> F) -> T
where
    F: Future<Output = T>,
{
    let options = real::Options { workers: WORKERS, ..real::Options::default() };
    let (mut env, tasks) = real::env(&options).expect("threads to run on");
    env.disk = Arc::new(disk.clone());
    let listener = [("listeners", "PLAINTEXT://127.0.0.1:0")];
    let (settings, config) = scenario::settings(&[&listener, entries].concat());
    let started = tasks.run(async move { Broker::start(env, Arc::new(NoLoggers), settings, config).await });
    let broker = started.expect("the threads run").expect("the broker starts");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a thread to run on");
    let result = runtime.block_on(script(Threaded { broker }));
    tasks.shutdown();
    result
}
