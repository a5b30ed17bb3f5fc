//! Where and when a run took place.

use std::path::Path;
use std::process::Command;

/// What a reader needs to judge the figures.
pub struct Machine {
    pub date: String,
    pub commit: String,
    pub hardware: String,
    pub load: String,
    pub command: String,
}

impl Machine {
    /// Looks at the machine before anything is measured. `directory` is where data will be written.
    pub fn look(directory: &Path) -> Self {
        let command: Vec<String> = std::env::args().skip(1).collect();
        Self {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            commit: commit(),
            hardware: hardware(directory),
            load: first_words(&read("/proc/loadavg"), 3),
            command: format!("cargo xtask bench {}", command.join(" ")),
        }
    }
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { commit } else { format!("{commit} with uncommitted changes") }
}

fn hardware(directory: &Path) -> String {
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = read("/proc/meminfo");
    let kib: f64 = memory.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let directory = directory.to_string_lossy();
    let file_system = said("stat", &["-f", "-c", "%T", &directory]);
    format!(
        "{}, {cores} cores, {:.0} GiB, Linux {}, {file_system}",
        model.trim_start_matches([' ', '\t', ':']),
        kib / 1024.0 / 1024.0,
        said("uname", &["-r"])
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn first_words(text: &str, count: usize) -> String {
    text.split_ascii_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

/// A program's output on one line, or nothing if it cannot be had.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
