//! `kill -9`, power cuts and a full disk under the load of real clients: runs `tests/kill/`, after
//! its checker has proven that it finds what is planted.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients;
use crate::run::{Failed, root, target_dir};

/// How long all scenarios together may take; two shared cores need about five minutes.
const LIMIT: Duration = Duration::from_secs(1200);
/// How long the program may take to end its broker and unmount its disks when it is told to end.
const END_LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Kills `broker`'s process and cuts its power, again and again. What the machine does not allow
/// is said and left out.
///
/// # Errors
/// When the clients cannot be installed, the checker misses something planted, a check fails, or
/// the time limit is over. The program's output, which goes to ours, has the details.
pub fn run(broker: &Path) -> Result<(), Failed> {
    let python = clients::python().map_err(|e| Failed(e.to_string()))?;
    let main = root().join("tests").join("kill").join("main.py");
    let work = target_dir().join("kill");
    let program = || {
        let mut command = Command::new(&python);
        command.arg(&main).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
        command
    };
    to_the_end(program().arg("--self-test"), "the checker's own test")?;
    let args = [OsStr::new("--broker"), broker.as_os_str(), OsStr::new("--work"), work.as_os_str()];
    to_the_end(program().args(args), "the kill tests")
}

fn to_the_end(command: &mut Command, what: &str) -> Result<(), Failed> {
    let failed = |e: std::io::Error| Failed(format!("{what} could not be run: {e}"));
    let mut child = command.spawn().map_err(failed)?;
    match wait(&mut child, LIMIT).map_err(failed)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failed(format!("{what} ended with {status}"))),
        None => {
            end(&mut child);
            Err(Failed(format!("{what} were not done within {} s", LIMIT.as_secs())))
        }
    }
}

/// Waits at most `limit`; `None` when the process still runs then.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
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

/// Asks the program to end, so that it ends what it started and unmounts what it mounted.
fn end(child: &mut Child) {
    let script = format!("kill -s TERM {}", child.id());
    // A failure means that the process is gone, which is what is wanted.
    let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    if !matches!(wait(child, END_LIMIT), Ok(Some(_))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_bad_status_is_a_failure_that_names_it() {
        assert!(to_the_end(&mut shell("exit 0"), "it").is_ok());
        let Failed(text) = to_the_end(&mut shell("exit 3"), "it").unwrap_err();
        assert!(text.contains("it ended with") && text.contains('3'), "{text}");
    }

    #[test]
    fn a_program_that_is_ended_may_clear_up() {
        let file = std::env::temp_dir().join(format!("xtask-kill-{}", std::process::id()));
        let ready = file.with_extension("ready");
        let script = format!(
            "trap 'echo cleared > {}; exit 0' TERM; touch {}; while :; do sleep 0.05; done",
            file.display(),
            ready.display()
        );
        let mut child = shell(&script).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !ready.exists() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        assert!(wait(&mut child, Duration::ZERO).unwrap().is_none(), "it ended by itself");
        end(&mut child);
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), "cleared");
        for path in [file, ready] {
            std::fs::remove_file(path).unwrap();
        }
    }
}
