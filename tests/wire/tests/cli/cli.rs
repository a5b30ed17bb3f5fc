//! Calls the binary.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    pub fn start() -> Cli {
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

    /// Kafka's tool of that name.
    pub fn tool(&self, code: i32, tool: &str, args: &[&str], given: &str) -> Ended {
        let args = [&["--bootstrap-server", &self.bootstrap], args].concat();
        self.call(code, &self.link(tool), &args, given)
    }

    fn call(&self, code: i32, program: &Path, args: &[&str], given: &str) -> Ended {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (self.scratch.join(format!("out-{call}")), self.scratch.join(format!("err-{call}")));
        let mut command = Command::new(program);
        // The settings of whoever runs the tests are none of theirs.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CHRONIK_") || name.as_encoded_bytes().starts_with(b"KAFKA_") {
                command.env_remove(name);
            }
        }
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
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().expect("a child");
                panic!("{args:?} did not end within {LIMIT:?}");
            }
            std::thread::sleep(STEP);
        };
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned();
        let ended = Ended { code: status.code().unwrap_or(-1), out: read(&out), err: read(&err) };
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        ended
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        // What is left is in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}
