//! The tests that clients have of their own, run against a broker: librdkafka's, and those of the crates `rdkafka` and
//! `rskafka`. Each test is a process with a time limit. The results, by name, become `docs/compatibility.md`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::clients::process::{Broker, ProcessError, Program, output_of, run_logged};
use crate::run::{Failed, cargo, root, run, target_dir};

/// How long one test may take.
const TEST_LIMIT: Duration = Duration::from_secs(240);
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
/// The suites, and the settings of the broker each was written for: the partitions of a topic made by a produce, and for two
/// consumers that share a group from the start Kafka's default delay.
const SUITES: [(&str, &[&str]); 3] = [
    ("librdkafka", &["--set", "num.partitions=4", "--set", "group.initial.rebalance.delay.ms=3000"]),
    ("rdkafka", &["--set", "num.partitions=3"]),
    ("rskafka", &["--set", "num.partitions=3"]),
];
/// What the tests are told of the broker's version.
const KAFKA_VERSION: &str = "4.0.0";
const PAGE: &str = "docs/compatibility.md";
const OWN: &str = "chronik";

/// `[--bootstrap HOST:PORT --name NAME] [--only SUITE]`.
#[derive(Default)]
struct Options {
    /// A broker that is there, and the name of its column.
    other: Option<(String, String)>,
    only: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failed> {
        let (mut bootstrap, mut name, mut only) = (None, None, None);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let place = match arg.as_str() {
                "--bootstrap" => &mut bootstrap,
                "--name" => &mut name,
                "--only" => &mut only,
                _ => return Err(Failed(format!("{arg}: usage: [--bootstrap HOST:PORT --name NAME] [--only SUITE]"))),
            };
            *place = Some(args.next().ok_or_else(|| Failed(format!("{arg} needs a value")))?.clone());
        }
        match (bootstrap, name) {
            (None, None) => Ok(Options { other: None, only }),
            (Some(bootstrap), Some(name)) => Ok(Options { other: Some((bootstrap, name)), only }),
            _ => Err(Failed("--bootstrap and --name go together".into())),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// By the test itself, which says that it does not apply.
    Skipped,
    TimedOut,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Passed, Outcome::Failed, Outcome::Skipped, Outcome::TimedOut];

    fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
            Outcome::TimedOut => "timed out",
        }
    }
}

/// One test of a suite.
struct Test {
    name: String,
    program: Program,
    /// Reads the outcome off the output of a test that ended well.
    skipped: fn(&str) -> bool,
}

/// Builds the suites, runs them against one broker, keeps the results and writes the page from all that are kept.
pub fn measure(args: &[String]) -> Result<(), Failed> {
    let options = Options::parse(args)?;
    let dir = target_dir().join("compat");
    fs::create_dir_all(dir.join("logs")).map_err(|e| failed(&dir, &e))?;
    let sources = fetch(&dir)?;
    for (suite, settings) in SUITES {
        if options.only.as_deref().is_some_and(|only| only != suite) {
            continue;
        }
        // It ends with this turn of the loop.
        let own = if options.other.is_none() { Some(start_own(&dir, suite, settings)?) } else { None };
        let (bootstrap, column) = match (&own, &options.other) {
            (Some(broker), _) => (broker.bootstrap(), OWN),
            (None, Some((bootstrap, name))) => (bootstrap.as_str(), name.as_str()),
            (None, None) => return Err(Failed("there is no broker".into())),
        };
        let tests = match suite {
            "librdkafka" => librdkafka(&dir, &sources, bootstrap)?,
            name => crate_tests(&dir, &sources, name, bootstrap)?,
        };
        let mut lines = String::new();
        for test in &tests {
            let log = dir.join("logs").join(format!("{column}-{suite}-{}.log", test.name.replace("::", ".")));
            let began = Instant::now();
            let outcome = run_test(test, &log);
            println!("{suite} {}: {} ({:.1} s)", test.name, outcome.name(), began.elapsed().as_secs_f64());
            lines += &format!("{}\t{}\n", test.name, outcome.name());
        }
        let kept = results_file(&dir, suite, column);
        fs::write(&kept, lines).map_err(|e| failed(&kept, &e))?;
    }
    write_page(&dir)
}

fn start_own(dir: &Path, suite: &str, settings: &[&str]) -> Result<Broker, Failed> {
    run(&mut cargo(&["build", "--quiet", "--release", "-p", "chronik"]))?;
    let binary = target_dir().join("release").join("chronik");
    Broker::start_with(&binary, &dir.join("logs").join(format!("broker-{suite}.log")), settings)
        .map_err(|e| Failed(e.to_string()))
}

fn failed(path: &Path, error: &io::Error) -> Failed {
    Failed(format!("{}: {error}", path.display()))
}

/// The sources of the clients, at the versions of `tests/compat/Cargo.lock`.
fn fetch(dir: &Path) -> Result<PathBuf, Failed> {
    let sources = dir.join("sources");
    let manifest = root().join("tests").join("compat").join("Cargo.toml");
    let mut vendor = cargo(&["vendor", "--quiet", "--locked", "--manifest-path"]);
    run(vendor.arg(manifest).arg(&sources).stdout(std::process::Stdio::null()))?;
    Ok(sources)
}

/// A fresh copy of a source, which a build may write into.
fn copied(from: &Path, to: &Path) -> Result<(), Failed> {
    if to.exists() {
        return Ok(());
    }
    run(std::process::Command::new("cp").arg("-r").arg(from).arg(to))
}

fn logged(dir: &Path, name: &str, program: &Program) -> Result<(), Failed> {
    let log = dir.join("logs").join(format!("{name}.log"));
    run_logged(program, &log, BUILD_LIMIT).map_err(|e| Failed(format!("{e}; see {}", log.display())))
}

fn librdkafka(dir: &Path, sources: &Path, bootstrap: &str) -> Result<Vec<Test>, Failed> {
    let build = dir.join("librdkafka");
    copied(&sources.join("rdkafka-sys").join("librdkafka"), &build)?;
    let tests = build.join("tests");
    if !tests.join("test-runner").exists() {
        let options = ["--disable-gssapi", "--disable-sasl", "--disable-curl"];
        logged(dir, "configure", &Program::new("./configure").args(options).dir(&build))?;
        logged(dir, "make", &Program::new("make").args(["-j2", "libs"]).dir(&build))?;
        logged(dir, "make-tests", &Program::new("make").args(["-j2", "-C", "tests", "build"]).dir(&build))?;
    }
    let conf = tests.join("broker.conf");
    fs::write(&conf, format!("metadata.broker.list={bootstrap}\n")).map_err(|e| failed(&conf, &e))?;
    let mut files: Vec<String> = fs::read_dir(&tests)
        .map_err(|e| failed(&tests, &e))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".c") || name.ends_with(".cpp"))
        // From 8000 on they are for people to watch.
        .filter(|name| name.len() > 5 && name.as_bytes()[..4].iter().all(u8::is_ascii_digit) && !name.starts_with('8'))
        .collect();
    files.sort();
    let libraries = format!("{}:{}", build.join("src").display(), build.join("src-cpp").display());
    let test = |file: String| Test {
        program: Program::new("./test-runner")
            .args(["-p1"])
            .env("TESTS", &file[..4])
            .env("RDKAFKA_TEST_CONF", conf.as_os_str())
            .env("TEST_KAFKA_VERSION", KAFKA_VERSION)
            .env("LD_LIBRARY_PATH", libraries.as_str())
            .dir(&tests),
        name: file.split('.').next().unwrap_or(&file).to_owned(),
        skipped: |output| output.lines().any(|line| line.contains("| SKIPPED") || line.contains(" SKIPPED ")),
    };
    Ok(files.into_iter().map(test).collect())
}

/// The integration tests of a crate: what is below its `tests/`.
fn crate_tests(dir: &Path, sources: &Path, name: &str, bootstrap: &str) -> Result<Vec<Test>, Failed> {
    let source = dir.join(name);
    copied(&sources.join(name), &source)?;
    let manifest = source.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|e| failed(&manifest, &e))?;
    if !text.contains("[workspace]") {
        // It is not a member of the workspace whose build directory it lies in.
        fs::write(&manifest, format!("{text}\n[workspace]\n")).map_err(|e| failed(&manifest, &e))?;
    }
    // The toolchain here is given, and the crate's own lock may hold crates that it no longer compiles.
    for name in ["rust-toolchain.toml", "Cargo.lock"] {
        match fs::remove_file(source.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&source, &e)),
            _ => {}
        }
    }
    let build = Program::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--no-run", "--tests", "--manifest-path"])
        .args([manifest.as_os_str()])
        .env("CARGO_TARGET_DIR", dir.join("build").as_os_str())
        .dir(root());
    logged(dir, &format!("build-{name}"), &build)?;
    let log = dir.join("logs").join(format!("build-{name}.log"));
    let said = fs::read_to_string(&log).map_err(|e| failed(&log, &e))?;
    let mut tests = Vec::new();
    for (suite, executable) in executables(&said) {
        let executable = root().join(executable);
        let listed = output_of(&Program::new(&executable).args(["--list", "--format", "terse"])).unwrap_or_default();
        for test in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
            tests.push(Test {
                name: format!("{suite}::{test}"),
                program: Program::new(&executable)
                    .args(["--exact", test, "--nocapture", "--include-ignored"])
                    .env("KAFKA_HOST", bootstrap)
                    .env("KAFKA_VERSION", KAFKA_VERSION)
                    .env("KAFKA_CONNECT", bootstrap)
                    .env("TEST_INTEGRATION", "1")
                    .env("TEST_BROKER_IMPL", "kafka")
                    .dir(&source),
                skipped: |output| output.contains("skipping test"),
            });
        }
    }
    Ok(tests)
}

/// What `cargo test --no-run` says it built: the name of the test file, and its program.
fn executables(said: &str) -> Vec<(String, PathBuf)> {
    let line = |line: &str| {
        let (file, program) = line.trim().strip_prefix("Executable tests/")?.split_once(".rs (")?;
        Some((file.to_owned(), PathBuf::from(program.strip_suffix(')')?)))
    };
    said.lines().filter_map(line).collect()
}

fn run_test(test: &Test, log: &Path) -> Outcome {
    match run_logged(&test.program, log, TEST_LIMIT) {
        Ok(()) => {
            let output = fs::read(log).unwrap_or_default();
            if (test.skipped)(&String::from_utf8_lossy(&output)) { Outcome::Skipped } else { Outcome::Passed }
        }
        Err(ProcessError::Limit(..)) => Outcome::TimedOut,
        Err(_) => Outcome::Failed,
    }
}

fn results_file(dir: &Path, suite: &str, column: &str) -> PathBuf {
    dir.join(format!("{suite}-{column}.tsv"))
}

/// By test, the outcome in each column.
type Table = BTreeMap<String, BTreeMap<String, String>>;

fn write_page(dir: &Path) -> Result<(), Failed> {
    let page = root().join(PAGE);
    let mut text = fs::read_to_string(&page).map_err(|e| failed(&page, &e))?;
    let reasons = root().join("tests").join("compat").join("reasons.tsv");
    let reasons = fs::read_to_string(&reasons).map_err(|e| failed(&reasons, &e))?;
    let reasons: BTreeMap<&str, &str> = reasons.lines().filter_map(|line| line.split_once('\t')).collect();
    for (suite, _) in SUITES {
        let mut table = Table::new();
        for column in [OWN, "kafka"] {
            let kept = fs::read_to_string(results_file(dir, suite, column)).unwrap_or_default();
            for (test, outcome) in kept.lines().filter_map(|line| line.split_once('\t')) {
                table.entry(test.to_owned()).or_default().insert(column.to_owned(), outcome.to_owned());
            }
        }
        if !table.is_empty() {
            text = placed(&text, suite, &rendered(&table, &reasons));
        }
    }
    fs::write(&page, text).map_err(|e| failed(&page, &e))
}

/// Puts a table between the page's two lines for its suite.
fn placed(page: &str, suite: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {suite}: begin -->\n"), format!("<!-- {suite}: end -->"));
    match page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1))) {
        Some((before, after)) => format!("{before}{begin}\n{table}\n{end}{after}"),
        None => page.to_owned(),
    }
}

fn rendered(table: &Table, reasons: &BTreeMap<&str, &str>) -> String {
    let mut text = String::from("| |");
    for column in [OWN, "kafka"] {
        text += &format!(" {column} |");
    }
    text += "\n|---|---|---|\n";
    for outcome in Outcome::ALL.map(Outcome::name) {
        let count = |column| table.values().filter(|row| row.get(column).is_some_and(|o| o == outcome)).count();
        text += &format!("| {outcome} | {} | {} |\n", count(OWN), count("kafka"));
    }
    text += "\n| test | chronik | kafka | |\n|---|---|---|---|\n";
    for (test, row) in table {
        let cell = |column| match row.get(column).map(String::as_str) {
            Some(outcome @ ("failed" | "timed out")) => format!("**{outcome}**"),
            Some(outcome) => outcome.to_owned(),
            None => "not run".to_owned(),
        };
        let reason = reasons.get(test.as_str()).copied().unwrap_or_default();
        text += &format!("| `{test}` | {} | {} | {reason} |\n", cell(OWN), cell("kafka"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let said = "    Finished `test` profile\n  Executable unittests src/lib.rs (target/debug/deps/x-1)\n  \
                    Executable tests/client.rs (/t/deps/client-0a)\n";
        assert_eq!(executables(said), [("client".to_owned(), PathBuf::from("/t/deps/client-0a"))]);
    }

    #[test]
    fn a_table_replaces_only_what_is_between_its_lines() {
        let page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n";
        let text = placed(page, "x", "new");
        assert_eq!(text, "a\n<!-- x: begin -->\n\nnew\n<!-- x: end -->\nb\n");
        assert_eq!(placed(&text, "y", "other"), text);
    }

    #[test]
    fn a_red_cell_stands_out_and_has_its_reason() {
        let row = BTreeMap::from([(OWN.to_owned(), "failed".to_owned())]);
        let table = Table::from([("t".to_owned(), row)]);
        let text = rendered(&table, &BTreeMap::from([("t", "because")]));
        assert!(
            text.contains("| failed | 1 | 0 |") && text.contains("| `t` | **failed** | not run | because |"),
            "{text}"
        );
    }
}
