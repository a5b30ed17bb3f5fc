//! Programs with a time limit and a log file, and the broker under test. Processes are ended by
//! their id, programs with everything they started.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BROKER_START_LIMIT: Duration = Duration::from_secs(60);
const BROKER_STOP_LIMIT: Duration = Duration::from_secs(30);
/// Sessions of consumer groups as short as clients of the classic protocol ask for theirs: the broker alone says how long
/// they are.
const SHORT_SESSIONS: [&str; 4] = [
    "group.consumer.min.session.timeout.ms=6000",
    "group.consumer.session.timeout.ms=6000",
    "group.consumer.min.heartbeat.interval.ms=500",
    "group.consumer.heartbeat.interval.ms=500",
];
const POLL: Duration = Duration::from_millis(20);

/// A command line that can be run more than once.
#[derive(Debug, Clone, Default)]
pub struct Program {
    path: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
}

impl Program {
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Program and arguments, parted by spaces.
    pub fn words(&self) -> String {
        let words = std::iter::once(&self.path).chain(&self.args);
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    fn name(&self) -> String {
        let name = Path::new(&self.path).file_name().unwrap_or(&self.path);
        name.to_string_lossy().into_owned()
    }
}

/// Why a program did not do its work.
#[derive(Debug)]
pub enum ProcessError {
    /// The program or its log file could not be opened.
    Start(String, io::Error),
    /// It ended with another status than 0.
    Ended(String, ExitStatus),
    /// It ran for longer than it may and was ended.
    Limit(String, Duration),
    /// It said that it is not what is needed.
    Unsuitable(String),
}

impl std::fmt::Display for ProcessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(name, error) => write!(f, "{name} could not be run: {error}"),
            Self::Ended(name, status) => write!(f, "{name} ended with {status}"),
            Self::Limit(name, limit) => write!(f, "{name} was not done within {} s", limit.as_secs()),
            Self::Unsuitable(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ProcessError {}

/// Runs a program to its end with its output in `log`, which is written anew.
///
/// # Errors
/// When it cannot be started, ends with another status than 0, or takes longer than `limit`.
pub fn run_logged(program: &Program, log: &Path, limit: Duration) -> Result<(), ProcessError> {
    let mut child = spawn(program.command().process_group(0), &program.name(), log)?;
    let status = wait(&mut child, limit).map_err(|e| ProcessError::Start(program.name(), e))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(ProcessError::Ended(program.name(), status)),
        None => {
            end_group(&mut child);
            Err(ProcessError::Limit(program.name(), limit))
        }
    }
}

/// The standard output of a short program, `None` when it is missing or fails.
pub fn output_of(program: &Program) -> Option<String> {
    let output = program.command().stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn spawn(command: &mut Command, name: &str, log: &Path) -> Result<Child, ProcessError> {
    let failed = |e| ProcessError::Start(name.to_owned(), e);
    let out = File::create(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    command.stdout(out).stderr(err).spawn().map_err(failed)
}

/// Waits at most `limit`; `None` when the process still runs then.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Ends the head of a process group and everything it started.
fn end_group(child: &mut Child) {
    signal("KILL", &format!("-{}", child.id()));
    // Whatever became of the signal, the process itself is ended and reaped here.
    let _ = child.kill();
    let _ = child.wait();
}

/// Sends a signal by name to a process, or with a leading minus to a process group.
fn signal(name: &str, target: &str) {
    // The shell's own `kill`, because a small system has no other.
    let script = format!("kill -s {name} -- {target}");
    // A failure means that the target is gone, which is what is wanted.
    let _ = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// A running broker with a data directory of its own; both go when it is dropped.
pub struct Broker {
    child: Child,
    data: PathBuf,
    bootstrap: String,
    http: String,
}

impl Broker {
    /// Starts the binary on free loopback ports and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, ends, or is not ready in time.
    pub fn start(binary: &Path, log: &Path) -> Result<Self, ProcessError> {
        Self::start_with(binary, log, &[])
    }

    /// The same, with more arguments.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_with(binary: &Path, log: &Path, more: &[&str]) -> Result<Self, ProcessError> {
        let failed = |e| ProcessError::Start(binary.display().to_string(), e);
        let (listen, http) = free_addresses().map_err(failed)?;
        let data = log.with_extension("data");
        if data.exists() {
            fs::remove_dir_all(&data).map_err(failed)?;
        }
        let program = Program::new(binary)
            .args(["start", "--listen", listen.as_str(), "--http", http.as_str(), "--data-dir"])
            .args([data.as_os_str()])
            .args(SHORT_SESSIONS.iter().flat_map(|setting| ["--set", setting]))
            .args(more.iter().copied());
        // In the group of this program, so that an interrupt at the keyboard ends both.
        let child = spawn(&mut program.command(), &program.name(), log)?;
        let mut broker = Self { child, data, bootstrap: listen, http };
        broker.until_ready(&program.name())?;
        Ok(broker)
    }

    /// `HOST:PORT` of health and metrics.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// `HOST:PORT` for clients.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn until_ready(&mut self, name: &str) -> Result<(), ProcessError> {
        let end = Instant::now() + BROKER_START_LIMIT;
        while !is_ready(&self.http) {
            let ended = self.child.try_wait().map_err(|e| ProcessError::Start(name.to_owned(), e))?;
            if let Some(status) = ended {
                return Err(ProcessError::Ended(name.to_owned(), status));
            }
            if Instant::now() > end {
                return Err(ProcessError::Limit(name.to_owned(), BROKER_START_LIMIT));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Ends the broker as an operator would.
    ///
    /// # Errors
    /// When it had ended before, or ends late or with another status than 0.
    pub fn stop(mut self) -> Result<(), ProcessError> {
        let name = "the broker".to_owned();
        let failed = |e| ProcessError::Start("the broker".to_owned(), e);
        if let Some(status) = self.child.try_wait().map_err(failed)? {
            return Err(ProcessError::Ended(name, status));
        }
        signal("TERM", &self.child.id().to_string());
        match wait(&mut self.child, BROKER_STOP_LIMIT).map_err(failed)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(ProcessError::Ended(name, status)),
            None => Err(ProcessError::Limit(name, BROKER_STOP_LIMIT)),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The directory is below the build directory: what stays is cleaned with it.
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// Two loopback addresses with free ports, chosen while both are bound.
fn free_addresses() -> io::Result<(String, String)> {
    let first = TcpListener::bind("127.0.0.1:0")?;
    let second = TcpListener::bind("127.0.0.1:0")?;
    Ok((first.local_addr()?.to_string(), second.local_addr()?.to_string()))
}

fn is_ready(http: &str) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("xtask-{name}-{}.log", std::process::id()))
    }

    fn shell(script: &str) -> Program {
        Program::new("sh").args(["-c", script])
    }

    #[test]
    fn a_program_past_its_limit_is_ended_with_what_it_started() {
        let path = log("limit");
        let outcome = run_logged(&shell("sleep 600 & echo $!; wait"), &path, Duration::from_millis(500));
        assert!(matches!(outcome, Err(ProcessError::Limit(..))), "{outcome:?}");
        let child: u32 = fs::read_to_string(&path).unwrap().trim().parse().unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        let runs = || {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.contains("(sleep)") && !stat.contains(") Z ")
        };
        while runs() && Instant::now() < end {
            thread::sleep(POLL);
        }
        assert!(!runs(), "the child of the program still runs");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn output_is_kept_and_a_bad_status_is_an_error() {
        let path = log("status");
        let outcome = run_logged(&shell("echo out; echo err >&2; exit 3"), &path, Duration::from_secs(20));
        assert!(matches!(outcome, Err(ProcessError::Ended(..))), "{outcome:?}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("out") && text.contains("err"), "{text}");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_broker_that_ends_at_once_is_reported() {
        let path = log("broker");
        assert!(matches!(Broker::start(Path::new("false"), &path), Err(ProcessError::Ended(..))));
        fs::remove_file(path).unwrap();
    }
}
