//! One broker on its own data directory: how each kind is launched, when it is ready, how it ends.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process::{Scratch, Tied, ToolError, rss_bytes, run_tool, within};
use crate::subject::Broker;
use crate::tools::Tools;

/// A broker that has not acknowledged a produce, or not ended, by then counts as failed.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Why a broker is not there.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{broker}: {path}: {source}")]
    File { broker: Broker, path: PathBuf, source: std::io::Error },
    #[error("{broker}: {source}")]
    Tool { broker: Broker, source: ToolError },
    #[error("{broker} was not ready within {START_LIMIT:?}; its log is {log}")]
    NotReady { broker: Broker, log: PathBuf },
}

/// A data directory and the ports that belong to it. It may be launched again and again; the directory goes with it.
pub struct Seat {
    broker: Broker,
    data: Scratch,
    /// Where clients connect.
    address: SocketAddr,
    /// Chronik's HTTP port, or Apache Kafka's controller port.
    second: SocketAddr,
    log: PathBuf,
}

impl Seat {
    /// Makes an empty data directory for `broker`. Apache Kafka's is also formatted, which no figure includes.
    ///
    /// # Errors
    /// The disk or the format tool failed.
    pub fn new(tools: &Tools, broker: Broker, name: &str) -> Result<Self, LaunchError> {
        let path = tools.root().join("data").join(format!("{broker}-{name}"));
        let logs = tools.root().join("logs");
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| LaunchError::File { broker, path, source }
        };
        std::fs::create_dir_all(&logs).map_err(file_error(&logs))?;
        let data = Scratch::fresh(path.clone()).map_err(file_error(&path))?;
        let (address, second) = free_ports().map_err(file_error(&path))?;
        let seat = Self { broker, data, address, second, log: logs.join(format!("{broker}-{name}.log")) };
        if broker == Broker::Kafka {
            let settings = seat.kafka_settings_file();
            std::fs::write(&settings, seat.kafka_settings()).map_err(file_error(&settings))?;
            seat.format_kafka(tools)?;
        }
        Ok(seat)
    }

    pub fn broker(&self) -> Broker {
        self.broker
    }

    /// The bootstrap address, launched or not.
    pub fn boot(&self) -> String {
        self.address.to_string()
    }

    /// Starts the process and returns without waiting for anything.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn launch(&self, tools: &Tools) -> Result<Running, LaunchError> {
        let file_error = |source| LaunchError::File { broker: self.broker, path: self.log.clone(), source };
        let output = File::create(&self.log).map_err(file_error)?;
        let errors = output.try_clone().map_err(file_error)?;
        let mut command = self.command(tools);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let launched = Instant::now();
        let child = command.spawn().map_err(file_error)?;
        let http = self.broker.is_ours().then_some(self.second);
        Ok(Running { broker: self.broker, process: Tied::new(child), address: self.address, http, launched })
    }

    /// Starts the process and waits for its first acknowledged produce, to a topic it creates by itself.
    ///
    /// # Errors
    /// It cannot be started, or acknowledges nothing in time.
    pub fn launch_ready(&self, tools: &Tools, client: &Client, topic: &str) -> Result<Running, LaunchError> {
        let running = self.launch(tools)?;
        let answer = client.probe(&["ready", &running.boot(), topic], START_LIMIT);
        match answer {
            Ok(answer) if answer.complete => Ok(running),
            _ => Err(self.not_ready()),
        }
    }

    pub fn not_ready(&self) -> LaunchError {
        LaunchError::NotReady { broker: self.broker, log: self.log.clone() }
    }

    /// `setpriv --pdeathsig` ends the broker even if this program is killed. It replaces itself by the broker, so the
    /// process id is the broker's own.
    fn command(&self, tools: &Tools) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        match self.broker {
            Broker::Tansu => {
                let url = format!("tcp://{}", self.address);
                command.arg(tools.tansu()).args(["broker", "--storage-engine", "memory://tansu/", "--listener-url"]);
                command.arg(&url).arg("--advertised-listener-url").arg(&url);
            }
            Broker::Kafka => {
                command.arg("java").args(KAFKA_JVM_FLAGS).args(["-cp", &tools.kafka_class_path(), "kafka.Kafka"]);
                command.arg(self.kafka_settings_file());
            }
            Broker::ChronikSync | Broker::ChronikAsync => {
                let (listen, http) = (self.address.to_string(), self.second.to_string());
                command.arg(tools.chronik()).arg("start").arg("--data-dir").arg(self.data.path());
                command.args(["--listen", &listen, "--http", &http]);
                if self.broker == Broker::ChronikAsync {
                    command.args(["--set", "flush.mode=async"]);
                }
            }
        }
        command
    }

    fn kafka_settings_file(&self) -> PathBuf {
        self.data.path().join("server.properties")
    }

    /// Only what Apache Kafka cannot start without on one node; everything else is its own default.
    fn kafka_settings(&self) -> String {
        let (address, controller, logs) = (self.address, self.second, self.data.path().join("logs"));
        format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
             controller.quorum.bootstrap.servers={controller}\noffsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
             log.dirs={}\n",
            logs.display()
        )
    }

    fn format_kafka(&self, tools: &Tools) -> Result<(), LaunchError> {
        let mut format = Command::new("java");
        format.args(["-cp", &tools.kafka_class_path(), "kafka.tools.StorageTool", "format", "--standalone"]);
        format.args(["--cluster-id", "Q2hyb25pa0JlbmNoUnVuMQ", "--config"]).arg(self.kafka_settings_file());
        let run = run_tool(&mut format, START_LIMIT, &self.log).and_then(crate::process::ToolRun::succeeded);
        run.map(drop).map_err(|source| LaunchError::Tool { broker: self.broker, source })
    }
}

/// The heap and collector flags of Apache Kafka's own start script.
const KAFKA_JVM_FLAGS: [&str; 9] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];

/// A broker process. It dies with this value.
pub struct Running {
    broker: Broker,
    process: Tied,
    address: SocketAddr,
    http: Option<SocketAddr>,
    launched: Instant,
}

impl Running {
    pub fn broker(&self) -> Broker {
        self.broker
    }

    /// The bootstrap address, as clients want it.
    pub fn boot(&self) -> String {
        self.address.to_string()
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// When the process was started.
    pub fn launched(&self) -> Instant {
        self.launched
    }

    pub fn alive(&mut self) -> bool {
        self.process.alive()
    }

    /// Resident memory in bytes, 0 once the process is gone.
    pub fn rss_bytes(&self) -> f64 {
        rss_bytes(self.process.id()).unwrap_or(0.0)
    }

    /// Waits until `GET /readyz` answers 200; false if it does not in time. Only for Chronik.
    pub fn http_ready(&mut self) -> bool {
        let Some(http) = self.http else { return false };
        within(START_LIMIT, || !self.process.alive() || says_ready(http)) && self.process.alive()
    }

    /// A clean stop; false when the process had to be killed.
    pub fn stop(self) -> bool {
        self.process.stop(STOP_LIMIT)
    }

    /// An unclean stop (SIGKILL).
    pub fn kill(self) {
        self.process.kill();
    }
}

fn says_ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&http, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// Two loopback ports nobody listens on at this moment.
fn free_ports() -> std::io::Result<(SocketAddr, SocketAddr)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((first.local_addr()?, second.local_addr()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_once(status: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the test connects");
            let mut request = [0; 512];
            let _ = stream.read(&mut request).expect("the test asks");
            stream.write_all(status.as_bytes()).expect("the test still reads");
        });
        address
    }

    #[test]
    fn only_status_200_is_ready() {
        assert!(says_ready(answer_once("HTTP/1.1 200 OK\r\n\r\n")));
        assert!(!says_ready(answer_once("HTTP/1.1 503 Service Unavailable\r\n\r\n")));
        let (nobody, _) = free_ports().expect("loopback has free ports");
        assert!(!says_ready(nobody));
    }
}
