//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a step failed, in one line.
#[derive(Debug)]
pub struct Failed(pub String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The directory cargo builds into.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Runs a command to its end; an exit code other than 0 is a failure that names it.
pub fn run(command: &mut Command) -> Result<(), Failed> {
    let name = format!("{command:?}").replace('"', "");
    let status = command.status().map_err(|e| Failed(format!("cannot run {name}: {e}")))?;
    if status.success() { Ok(()) } else { Err(Failed(format!("{name}: {status}"))) }
}
