//! Child processes: started, measured through `/proc`, ended by their own id and never left behind.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// How often a wait looks again. It bounds the error of the start figures.
const LOOK: Duration = Duration::from_millis(1);
/// Bytes of a tool's output that are read: tools print a few lines.
const MOST_OUTPUT: u64 = 1 << 20;

/// Why a tool gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{program} cannot be run: {source}")]
    Spawn { program: String, source: std::io::Error },
    #[error("{program} did not end within {limit:?}")]
    Deadline { program: String, limit: Duration },
    #[error("{program} failed: {output}")]
    Failed { program: String, output: String },
    #[error("{program} gave no {field}: {output}")]
    Missing { program: String, field: String, output: String },
}

/// What a tool did: standard output and error in one text, exit status 0 or not, processor time in microseconds
/// (ticks of 10 ms).
#[derive(Debug)]
pub struct ToolRun {
    pub program: String,
    pub output: String,
    pub success: bool,
    pub cpu_us: f64,
}

impl ToolRun {
    /// Turns an exit status other than 0 into an error.
    pub fn succeeded(self) -> Result<Self, ToolError> {
        if self.success {
            return Ok(self);
        }
        Err(ToolError::Failed { output: last_line(&self.output), program: self.program })
    }
}

/// The last line that says something, for one-line messages.
pub fn last_line(text: &str) -> String {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no output").to_owned()
}

/// Runs `command` to its end or to `limit`, after which it is killed. Its output goes through `scratch`, a file this
/// call overwrites, so that no pipe can fill up.
///
/// # Errors
/// The program cannot be started, or is not done in time. A bad exit status is no error here.
pub fn run_tool(command: &mut Command, limit: Duration, scratch: &Path) -> Result<ToolRun, ToolError> {
    let program = name_of(command.get_program());
    let spawn_error = |source| ToolError::Spawn { program: program.clone(), source };
    let output = File::create(scratch).map_err(spawn_error)?;
    let errors = output.try_clone().map_err(spawn_error)?;
    let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().map_err(spawn_error)?;
    let mut child = Tied::new(child);
    if !child.exits_within(limit) {
        return Err(ToolError::Deadline { program, limit });
    }
    let cpu_us = ticks_us(child.id()).unwrap_or(0.0);
    let success = child.reap();
    Ok(ToolRun { output: read_bounded(scratch), program, success, cpu_us })
}

fn name_of(program: &OsStr) -> String {
    let path = Path::new(program);
    path.file_name().unwrap_or(program).to_string_lossy().into_owned()
}

fn read_bounded(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(MOST_OUTPUT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A child that dies with this value.
pub struct Tied {
    child: Child,
}

impl Tied {
    pub fn new(child: Child) -> Self {
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end without reaping, so that its `/proc` entry can still be read.
    fn exits_within(&self, limit: Duration) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let Some(pid) = pid(self.id()) else { return false };
        within(limit, || !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    fn reap(&mut self) -> bool {
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// Asks the process to end (SIGTERM) and waits up to `limit`; false when it had to be killed.
    pub fn stop(mut self, limit: Duration) -> bool {
        if self.alive() {
            if let Some(pid) = pid(self.id()) {
                let _ = kill_process(pid, Signal::TERM);
            }
            return within(limit, || !self.alive());
        }
        true
    }

    /// Ends the process at once (SIGKILL): the unclean stop.
    pub fn kill(self) {}
}

impl Drop for Tied {
    fn drop(&mut self) {
        if self.alive() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

/// Looks again and again until `done` holds; false if it does not within `limit`.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// User and system time of a process, running or ended but not reaped, in microseconds (ticks of 10 ms).
fn ticks_us(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let ticks = stat_ticks(&stat)?;
    Some(ticks as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64)
}

/// `utime + stime` of a `/proc/PID/stat` line. The command name, in parentheses, may itself hold spaces.
fn stat_ticks(stat: &str) -> Option<u64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of a process in bytes.
pub fn rss_bytes(id: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// A directory that is removed, with all it holds, when this value goes.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes `path` an empty directory.
    pub fn fresh(path: PathBuf) -> std::io::Result<Self> {
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.path) {
            eprintln!("bench: {} is left behind: {why}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("chronik-bench-{}-{name}", std::process::id()))
    }

    #[test]
    fn ticks_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 1";
        assert_eq!(stat_ticks(stat), Some(100));
        assert_eq!(stat_ticks("42 (cut off"), None);
    }

    #[test]
    fn a_tool_past_its_deadline_is_killed() {
        let path = scratch("deadline");
        let mut command = Command::new("sleep");
        command.arg("600");
        let outcome = run_tool(&mut command, Duration::from_millis(20), &path);
        assert!(matches!(outcome, Err(ToolError::Deadline { .. })), "{outcome:?}");
        std::fs::remove_file(path).expect("the tool's output file exists");
    }

    #[test]
    fn output_and_status_are_handed_over() {
        let path = scratch("status");
        let mut command = Command::new("sh");
        command.args(["-c", "echo said; echo warned >&2; exit 3"]);
        let run = run_tool(&mut command, Duration::from_secs(20), &path).expect("sh runs");
        assert_eq!(run.output, "said\nwarned\n");
        let error = run.succeeded().expect_err("status 3 is a failure");
        assert_eq!(error.to_string(), "sh failed: warned");
        std::fs::remove_file(path).expect("the tool's output file exists");
    }

    #[test]
    fn stopping_ends_the_process_and_dropping_removes_the_directory() {
        let child = Command::new("sleep").arg("600").spawn().expect("sleep runs");
        let tied = Tied::new(child);
        let id = tied.id();
        assert!(rss_bytes(id).is_some());
        assert!(tied.stop(Duration::from_secs(20)));
        assert!(!Path::new(&format!("/proc/{id}")).exists());

        let path = scratch("directory");
        let kept = Scratch::fresh(path.clone()).expect("the temporary directory is writable");
        std::fs::write(kept.path().join("file"), b"x").expect("the directory exists");
        drop(kept);
        assert!(!path.exists());
    }
}
