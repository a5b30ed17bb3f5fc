//! One standalone broker under faults: crashes and power cuts, a network that comes and goes, a disk that fails.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chronik_broker::{Broker, NoLoggers};
use chronik_config::{BrokerConfig, Entry, Layer, Origin, Place, Settings};
use chronik_env::random::Random;
use chronik_env::sim_disk::{Call, Cut, Failure, Rule, SimDisk};
use parking_lot::Mutex;

use crate::clients::{self, Run};
use crate::history::History;
use crate::world;

/// How long faults go on, in simulated milliseconds.
const FAULTS_MS: u64 = 12_000;
/// The latest end, in simulated seconds: what is not audited by then is stuck.
const LIMIT: Duration = Duration::from_secs(90);

/// What became of one seed.
pub struct Outcome {
    pub seed: u64,
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    pub acked_batches: u64,
    pub failed_calls: u64,
    pub starts: u64,
}

impl Outcome {
    /// A fingerprint of the whole trace (FNV-1a).
    pub fn trace_hash(&self) -> u64 {
        let bytes = self.trace.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} batches acknowledged, {} calls failed, {} starts, trace {:016x}",
            self.seed,
            self.acked_batches,
            self.failed_calls,
            self.starts,
            self.trace_hash()
        )
    }
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
enum Fault {
    /// The machine stops and comes back after a while.
    Crash { cut: Cut, down_ms: u64 },
    /// A client and the broker do not hear each other for a while.
    Partition { client: &'static str, for_ms: u64 },
    /// The next call of this kind on a data log fails; the broker is restarted a while later.
    Disk { call: Call, failure: Failure },
}

const CLIENTS: [&str; 6] = ["producer-1", "producer-2", "producer-3", "reader-0", "reader-1", "admin"];

fn plan(random: &Random) -> Vec<(u64, Fault)> {
    let mut faults = Vec::new();
    let mut at = 500;
    // Some seeds are calm and deep, others violent.
    let pace = 300 + random.next_u64() % 4_000;
    loop {
        at += random.next_u64() % pace + 100;
        if at >= FAULTS_MS {
            return faults;
        }
        faults.push((at, fault(random)));
    }
}

fn fault(random: &Random) -> Fault {
    let pick = |n: u64| random.next_u64() % n;
    match pick(10) {
        0..=4 => {
            let cuts = [Cut::Process, Cut::Mixed].into_iter().chain(Cut::POWER).collect::<Vec<_>>();
            Fault::Crash { cut: cuts[pick(cuts.len() as u64) as usize], down_ms: pick(1_500) }
        }
        5..=7 => Fault::Partition { client: CLIENTS[pick(CLIENTS.len() as u64) as usize], for_ms: 100 + pick(3_000) },
        8 => Fault::Disk { call: Call::SyncData, failure: Failure::Eio },
        _ => Fault::Disk { call: Call::Write, failure: if pick(2) == 0 { Failure::Eio } else { Failure::NoSpace } },
    }
}

/// The usual settings, and those given in addition or instead.
pub(crate) fn settings(others: &[(&str, &str)]) -> (Settings, BrokerConfig) {
    let usual = [
        ("listeners", "PLAINTEXT://0.0.0.0:9092"),
        ("allow.insecure.listeners", "true"),
        ("http.listener", ""),
        ("log.dirs", "/data"),
        ("log.segment.bytes", "1048576"),
        ("auto.create.topics.enable", "false"),
    ];
    let usual = usual.iter().filter(|(key, _)| others.iter().all(|(other, _)| other != key));
    let entries = usual.chain(others).map(|(k, v)| Entry::new(*k, *v, Place::Unknown)).collect();
    let (settings, _) = Settings::parse(&[Layer::new(Origin::Flag, entries)]).expect("these settings are valid");
    let config = BrokerConfig::resolve(&settings).expect("these settings are valid");
    (settings, config)
}

/// Simulates one seed.
pub fn run(seed: u64) -> Outcome {
    let random = Random::from_seed(seed);
    let disk = SimDisk::new(random.next_u64());
    let history = Arc::new(Mutex::new(History::default()));
    let shared = Run { history: history.clone(), random: random.clone(), until_ms: FAULTS_MS };
    let mut sim = turmoil::Builder::new()
        .rng_seed(random.next_u64())
        .simulation_duration(LIMIT + Duration::from_secs(30))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(1 + random.next_u64() % 20))
        .tcp_capacity(4_096)
        .build();
    add_broker(&mut sim, &disk, &history, &random);
    add_clients(&mut sim, &shared);
    let mut driver = Driver {
        disk,
        history: history.clone(),
        random,
        faults: plan(&shared.random),
        back_at: None,
        heal: Vec::new(),
        healed: false,
    };
    loop {
        let now = sim.elapsed().as_millis() as u64;
        driver.act(&mut sim, now);
        match sim.step() {
            Ok(true) => break,
            Ok(false) if sim.elapsed() > LIMIT => {
                history.lock().violate("L1: the clients are stuck".into());
                break;
            }
            Ok(false) => {}
            Err(e) => {
                history.lock().violate(format!("L1: {e}"));
                break;
            }
        }
    }
    drop(sim);
    drop(driver);
    drop(shared);
    let mut history = history.lock();
    let history = std::mem::take(&mut *history);
    let (acked_batches, failed_calls, starts) = (history.acked_batches, history.failed_calls, history.starts);
    let (trace, violations) = history.into_parts();
    Outcome { seed, trace, violations, acked_batches, failed_calls, starts }
}

fn add_broker(sim: &mut turmoil::Sim<'_>, disk: &SimDisk, history: &Arc<Mutex<History>>, random: &Random) {
    let (disk, history, random) = (disk.clone(), history.clone(), random.clone());
    sim.host("broker", move || {
        let (disk, history, random) = (disk.clone(), history.clone(), random.clone());
        async move {
            // So that logs are closed and opened again between faults.
            let (settings, config) = settings(&[("log.flush.offset.checkpoint.interval.ms", "700")]);
            let env = world::env(&disk, random.next_u64());
            match Broker::start(env, Arc::new(NoLoggers), settings, config).await {
                Ok(broker) => {
                    {
                        let mut history = history.lock();
                        history.starts += 1;
                        history.note(format!("{} broker ready", world::elapsed_ms()));
                    }
                    std::future::pending::<()>().await;
                    drop(broker);
                }
                // A failing disk may refuse it; the next crash or the end of the faults starts it anew.
                Err(e) => {
                    history.lock().note(format!("{} broker did not start: {e}", world::elapsed_ms()));
                    std::future::pending::<()>().await;
                }
            }
            Ok(())
        }
    });
}

fn add_clients(sim: &mut turmoil::Sim<'_>, run: &Run) {
    for (number, partition, idempotent) in [(1, 0, true), (2, 1, true), (3, 0, false)] {
        let run = run.clone();
        sim.client(CLIENTS[number as usize - 1], async move {
            clients::topic_exists(&run).await;
            clients::produce(run, number, partition, idempotent).await;
            Ok(())
        });
    }
    for partition in 0..clients::PARTITIONS {
        let run = run.clone();
        sim.client(CLIENTS[3 + partition as usize], async move {
            clients::topic_exists(&run).await;
            clients::follow(run, partition).await;
            Ok(())
        });
    }
    let admin = run.clone();
    sim.client("admin", async move {
        clients::administrate(admin).await;
        Ok(())
    });
    let auditor = run.clone();
    sim.client("auditor", async move {
        // Producers may still be repeating their last batch: what they learn later is compared as well, by the values' places.
        tokio::time::sleep(Duration::from_millis(FAULTS_MS + 15_000)).await;
        clients::audit(auditor).await;
        Ok(())
    });
}

/// Carries out the plan from outside.
struct Driver {
    disk: SimDisk,
    history: Arc<Mutex<History>>,
    random: Random,
    faults: Vec<(u64, Fault)>,
    /// When the crashed broker comes back.
    back_at: Option<u64>,
    heal: Vec<(u64, &'static str)>,
    healed: bool,
}

impl Driver {
    fn act(&mut self, sim: &mut turmoil::Sim<'_>, now: u64) {
        while let Some((at, _)) = self.faults.first()
            && *at <= now
        {
            let (_, fault) = self.faults.remove(0);
            self.history.lock().note(format!("{now} {fault:?}"));
            self.strike(sim, now, fault);
        }
        let due: Vec<_> = self.heal.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, client) in due {
            sim.repair(client, "broker");
        }
        if self.back_at.is_some_and(|at| at <= now) {
            self.back(sim);
        }
        if now >= FAULTS_MS && !self.healed {
            self.healed = true;
            self.history.lock().note(format!("{now} healed"));
            // A fenced directory, or a broker that did not start, needs a restart.
            self.crash(sim, Cut::Process);
            self.back(sim);
        }
    }

    /// Stops the broker's machine. Nobody is told: the links go first, as when the power does. (Which of the broker's tasks is dropped
    /// first, and with it whose connection is reset first, is the one thing here that would not replay.)
    fn crash(&mut self, sim: &mut turmoil::Sim<'_>, cut: Cut) {
        for client in CLIENTS {
            sim.partition(client, "broker");
        }
        sim.crash("broker");
        self.disk.heal();
        self.disk.crash(cut);
    }

    fn back(&mut self, sim: &mut turmoil::Sim<'_>) {
        for client in CLIENTS {
            sim.repair(client, "broker");
        }
        self.heal.clear();
        self.back_at = None;
        sim.bounce("broker");
    }

    fn strike(&mut self, sim: &mut turmoil::Sim<'_>, now: u64, fault: Fault) {
        match fault {
            Fault::Crash { cut, down_ms } => {
                self.crash(sim, cut);
                self.back_at = Some(now + down_ms);
            }
            // Already cut off from everybody.
            Fault::Partition { .. } if self.back_at.is_some() => {}
            Fault::Partition { client, for_ms } => {
                sim.partition(client, "broker");
                self.heal.push((now + for_ms, client));
            }
            Fault::Disk { call, failure } => {
                let after = self.random.next_u64() % 4;
                self.disk.fail(Rule { call, path_contains: ".log".into(), after, times: 1, failure });
            }
        }
    }
}
