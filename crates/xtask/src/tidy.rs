//! The house rules that a machine can check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::docs;
use crate::run::{Failed, root};

/// What each crate may depend on: the arrows of ARCHITECTURE.md. Development crates are not drawn there.
const EDGES: &[(&str, &[&str])] = &[
    ("env", &[]),
    ("protocol", &[]),
    ("config", &[]),
    ("replication", &[]),
    ("coordinator", &["protocol"]),
    ("metadata", &["protocol"]),
    ("storage", &["env", "protocol"]),
    ("client", &["env", "protocol"]),
    ("quorum", &["env", "protocol", "metadata", "storage"]),
    ("broker", &["config", "coordinator", "env", "protocol", "metadata", "replication", "storage", "quorum"]),
    ("cli", &["client", "config", "env", "metadata", "protocol", "storage"]),
    ("chronik", &["cli", "config", "env", "broker"]),
];
/// Crates that do not ship.
const DEVELOPMENT: &[&str] = &["bench", "sim", "xtask"];
/// Crates without I/O, clock, chance or tasks, and what they may therefore not depend on.
const PURE: &[&str] = &["protocol", "config", "metadata", "coordinator", "replication"];
const IMPURE: &[&str] = &["tokio", "rand", "getrandom", "rustix", "socket2", "axum", "tracing-subscriber"];
/// Calls that only `env` may make, in crates that ship.
const BANNED: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "thread::spawn",
    "thread::sleep",
    "spawn_blocking",
    "std::fs::",
    "tokio::fs",
    "File::open",
    "File::create",
    "TcpListener::bind",
    "TcpStream::connect",
    "thread_rng",
    "rand::random",
    "Uuid::new_v4",
    "RandomState::new",
    "std::env::var",
];
/// The composition root reads files and the environment before there is an `env`.
const COMPOSITION_ROOT: &str = "chronik";
const MAX_LINES: usize = 800;
/// Files of `config` whose public fields are settings, each there for whoever acts on it.
const RESOLVED: &[&str] = &["broker_config.rs", "topic_config.rs", "groups_config.rs"];

pub fn run() -> Result<(), Failed> {
    let mut problems = Vec::new();
    edges(&mut problems)?;
    let files = sources(&root().join("crates"))?;
    for file in &files {
        check_file(file, &mut problems)?;
    }
    unread_settings(&files, &mut problems)?;
    problems.extend(docs::stale().into_iter().map(|page| format!("{page} is stale: run `cargo xtask docs`")));
    if problems.is_empty() {
        println!("tidy");
        return Ok(());
    }
    Err(Failed(format!("{} problems\n  {}", problems.len(), problems.join("\n  "))))
}

fn read(path: &Path) -> Result<String, Failed> {
    fs::read_to_string(path).map_err(|e| Failed(format!("cannot read {}: {e}", path.display())))
}

fn edges(problems: &mut Vec<String>) -> Result<(), Failed> {
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let crates = fs::read_dir(root().join("crates")).map_err(|e| Failed(format!("cannot list the crates: {e}")))?;
    for entry in crates.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if DEVELOPMENT.contains(&name.as_str()) {
            continue;
        }
        let Some(allowed) = allowed.get(name.as_str()) else {
            problems.push(format!("crate {name} is not drawn in the table of edges"));
            continue;
        };
        let manifest = read(&entry.path().join("Cargo.toml"))?;
        for dependency in dependencies(&manifest) {
            match dependency.strip_prefix("chronik-") {
                Some(ours) if !allowed.contains(&ours) => {
                    problems.push(format!("crate {name} must not depend on {ours}"))
                }
                None if PURE.contains(&name.as_str()) && IMPURE.contains(&dependency.as_str()) => {
                    problems.push(format!("pure crate {name} must not depend on {dependency}"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Names in the `[dependencies]` table; development dependencies are free.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A setting that nobody reads is said to be honoured, and is not.
fn unread_settings(files: &[PathBuf], problems: &mut Vec<String>) -> Result<(), Failed> {
    let shipped = |path: &&PathBuf| path.components().any(|part| part.as_os_str() == "src");
    let texts = files.iter().filter(shipped).map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    for file in RESOLVED {
        let text = read(&root().join("crates/config/src").join(file))?;
        for field in text.lines().filter_map(field) {
            let access = format!(".{field}");
            let is_read = |text: &String| text.split(&access).skip(1).any(|rest| !rest.starts_with(in_name));
            if !texts.iter().any(is_read) {
                problems.push(format!("nobody reads the setting {field} of config/src/{file}"));
            }
        }
    }
    Ok(())
}

/// The name of the public field that a line declares.
fn field(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("    pub ")?.split_once(':')?;
    name.chars().all(in_name).then_some(name)
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn check_file(path: &Path, problems: &mut Vec<String>) -> Result<(), Failed> {
    let relative = path.strip_prefix(root()).unwrap_or(path);
    let name = relative.components().nth(1).map(|c| c.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    let text = read(path)?;
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{} has {lines} lines, more than {MAX_LINES}", relative.display()));
    }
    let ships = !DEVELOPMENT.contains(&name.as_str()) && name != "env" && name != COMPOSITION_ROOT;
    if !ships || !relative.components().any(|c| c.as_os_str() == "src") {
        return Ok(());
    }
    // Tests come last in a file.
    let shipped = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    for (number, line) in shipped.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for call in BANNED.iter().filter(|call| code.contains(**call) && !is_tokio_time(call, &text)) {
            problems.push(format!("{}:{} uses {call}, which only crate env may", relative.display(), number + 1));
        }
    }
    Ok(())
}

/// `Instant` is tokio's where the file says so: a simulator drives that one.
fn is_tokio_time(call: &str, text: &str) -> bool {
    let imported = |line: &str| line.starts_with("use tokio::time::") && line.contains("Instant");
    call == "Instant::now" && text.lines().any(imported)
}

fn sources(dir: &Path) -> Result<Vec<PathBuf>, Failed> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).map_err(|e| Failed(format!("cannot list {}: {e}", dir.display())))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_their_table_only() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nbytes.workspace = true\nchronik-env = { path = \"..\" }\n\n[dev-dependencies]\nrand = \"1\"\n";
        assert_eq!(dependencies(manifest), ["bytes", "chronik-env"]);
    }

    #[test]
    fn only_tokios_instant_is_let_through() {
        assert!(is_tokio_time("Instant::now", "use tokio::time::{Duration, Instant};\n"));
        assert!(!is_tokio_time("Instant::now", "use std::time::Instant;\n"));
        assert!(!is_tokio_time("SystemTime::now", "use tokio::time::Instant;\n"));
    }
}
