//! Calls the binary.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chronik_wire_tests::broker::{Broker, find_binary};
use serde_json::Value;

/// No call takes longer.
const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(2);

/// A broker, the binary, and a place for files.
pub struct Cli {
    pub broker: Option<Broker>,
    pub bootstrap: String,
    pub scratch: PathBuf,
    /// What the names of this test begin with: a broker not started here may know others.
    pub prefix: String,
    binary: PathBuf,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The lines of the output, runs of blanks as one.
    pub fn lines(&self) -> Vec<String> {
        self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

impl Cli {
    /// Against a broker of its own, or the one that `CHRONIK_CLI_BOOTSTRAP` names: Apache Kafka is to give the same answers.
    pub fn start() -> Cli {
        if let Ok(bootstrap) = std::env::var("CHRONIK_CLI_BOOTSTRAP") {
            return Cli::to(bootstrap);
        }
        let broker = Broker::start().expect("a broker");
        let bootstrap = broker.address.to_string();
        let mut cli = Cli::to(bootstrap);
        cli.broker = Some(broker);
        cli
    }

    /// Without a broker.
    pub fn to(bootstrap: String) -> Cli {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let scratch = std::env::temp_dir().join(format!("chronik-{prefix}"));
        std::fs::create_dir_all(&scratch).expect("a directory");
        Cli { broker: None, bootstrap, scratch, prefix, binary: find_binary().expect("a binary") }
    }

    /// A port where nobody listens.
    pub fn to_nobody() -> Cli {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
        Cli::to(free.to_string())
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub fn file(&self, name: &str, contents: &str) -> String {
        let path = self.scratch.join(name);
        std::fs::write(&path, contents).expect("a file");
        path.display().to_string()
    }

    /// A link to the binary under another name.
    pub fn link(&self, name: &str) -> PathBuf {
        let link = self.scratch.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(std::fs::canonicalize(&self.binary).expect("a binary"), &link).expect("a link");
        }
        link
    }

    /// `chronik ARGS --bootstrap …`; must end with `code`.
    pub fn run(&self, code: i32, args: &[&str]) -> Ended {
        self.run_given(code, args, "")
    }

    pub fn run_given(&self, code: i32, args: &[&str], given: &str) -> Ended {
        let with_bootstrap = [args, &["--bootstrap", &self.bootstrap]].concat();
        self.call(code, &self.binary, &with_bootstrap, given)
    }

    /// As [`Cli::run`], with `--output json`; the document it prints.
    pub fn json(&self, code: i32, args: &[&str]) -> Value {
        self.run(code, &[args, &["--output", "json"]].concat()).json()
    }

    /// `chronik ARGS` and nothing else.
    pub fn run_plain(&self, code: i32, args: &[&str]) -> Ended {
        self.call(code, &self.binary, args, "")
    }

    /// The same, with these environment variables.
    pub fn run_in(&self, code: i32, variables: &[(&str, &str)], args: &[&str]) -> Ended {
        let mut command = self.command(&self.binary);
        command.envs(variables.iter().copied());
        self.end(code, command, args, "")
    }

    /// Kafka's tool of that name.
    pub fn tool(&self, code: i32, tool: &str, args: &[&str], given: &str) -> Ended {
        let args = [&["--bootstrap-server", &self.bootstrap], args].concat();
        self.call(code, &self.link(tool), &args, given)
    }

    /// `chronik ARGS --bootstrap …` that goes on until it is told to stop.
    pub fn spawn(&self, args: &[&str]) -> Running {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let out = self.scratch.join(format!("running-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = self.command(&self.binary);
        command.args(args).args(["--bootstrap", &self.bootstrap]).stdin(Stdio::null());
        let child = command.stdout(File::create(&out).expect("a file")).spawn().expect("the binary");
        Running { child, out }
    }

    /// Ends the pipe after the first line it prints, and takes how it ends.
    pub fn first_line_only(&self, args: &[&str]) -> (String, i32) {
        let mut command = self.command(&self.binary);
        command.args(args).args(["--bootstrap", &self.bootstrap]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let code = ended(&mut child, args);
        (line, code)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The settings of whoever runs the tests are none of theirs.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CHRONIK_") || name.as_encoded_bytes().starts_with(b"KAFKA_") {
                command.env_remove(name);
            }
        }
        command
    }

    fn call(&self, code: i32, program: &Path, args: &[&str], given: &str) -> Ended {
        self.end(code, self.command(program), args, given)
    }

    fn end(&self, code: i32, mut command: Command, args: &[&str], given: &str) -> Ended {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.scratch.join(format!("out-{call}")), self.scratch.join(format!("err-{call}")));
        let mut child = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(File::create(&out).expect("a file"))
            .stderr(File::create(&err).expect("a file"))
            .spawn()
            .expect("the binary");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A program that does not read its input may have ended.
        let _ = stdin.write_all(given.as_bytes());
        drop(stdin);
        let status = ended(&mut child, args);
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned();
        let ended = Ended { code: status, out: read(&out), err: read(&err) };
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        ended
    }
}

/// Waits for the end; -1 = by a signal.
fn ended(child: &mut Child, args: &[&str]) -> i32 {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > deadline {
            child.kill().expect("a child");
            panic!("{args:?} did not end within {LIMIT:?}");
        }
        std::thread::sleep(STEP);
    }
}

/// A process under way. It ends with the test.
pub struct Running {
    child: Child,
    out: PathBuf,
}

impl Running {
    /// What it has printed.
    pub fn out(&self) -> String {
        std::fs::read_to_string(&self.out).expect("a file")
    }

    /// Sends a signal and waits for the exit code.
    pub fn stop(mut self, signal: &str) -> i32 {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        ended(&mut self.child, &[signal])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended where the test got so far.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(STEP);
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        // What is left is in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}
