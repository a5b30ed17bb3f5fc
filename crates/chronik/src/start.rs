//! `chronik start`: a standalone broker until SIGTERM or SIGINT.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chronik_broker::{Broker, StartError};
use chronik_env::real;
use tracing::{info, warn};

use crate::args::Start;
use crate::exit::Failure;
use crate::{banner, logging, port_owner, settings};

pub fn run(args: &Start) -> Result<(), Failure> {
    let began = Instant::now();
    let ephemeral = args.ephemeral.then(Ephemeral::create).transpose()?;
    let resolved = settings::resolve(args, ephemeral.as_ref().map(|e| e.0.as_path()))?;
    let log = Arc::new(logging::start());
    for warning in &resolved.warnings {
        warn!("{warning}");
    }
    let open_files = real::raise_open_file_limit();
    info!(version = env!("CARGO_PKG_VERSION"), open_files, "starting");
    let (env, tasks) =
        real::env(&real::Options::default()).map_err(|e| Failure::Fatal(format!("cannot start threads: {e}")))?;
    let settings::Resolved { settings, config, .. } = resolved;
    let served = tasks.run(async move {
        let broker: Arc<Broker> = Broker::start(env, log, settings, config.clone()).await.map_err(failure)?;
        // Nobody may be reading it.
        let _ = banner::print(&broker, &config, began.elapsed().as_millis() as u64);
        let signal = real::stop_signal().await.map_err(|e| Failure::Fatal(format!("cannot wait for signals: {e}")))?;
        info!("stopping on {signal:?}");
        broker.shutdown().await;
        if broker.has_failed() {
            Err(Failure::Storage("the data directory failed; see the log".into()))
        } else {
            Ok(())
        }
    });
    tasks.shutdown();
    drop(ephemeral);
    served.unwrap_or_else(|| Err(Failure::Fatal("the control plane ended unexpectedly; see the log".into())))
}

fn failure(e: StartError) -> Failure {
    match e {
        StartError::Bind { key, address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            let flag = if key == "listeners" { "--listen" } else { "--http" };
            let port = address.rsplit(':').next().and_then(|p| p.parse().ok());
            let owner = port
                .and_then(port_owner::owner_of)
                .map(|(pid, name)| format!(" by {name} (pid {pid})"))
                .unwrap_or_default();
            Failure::Fatal(format!("{address} is taken{owner}; choose another with {flag} HOST:PORT"))
        }
        StartError::InitialTopic { .. } => Failure::Config(e.to_string()),
        StartError::Bind { .. } | StartError::Register(_) => Failure::Fatal(e.to_string()),
        StartError::DataDir(_) | StartError::Metadata(_) | StartError::Checkpoint(_) | StartError::Recovery(_) => {
            Failure::Storage(e.to_string())
        }
    }
}

/// A directory that goes with the process.
struct Ephemeral(PathBuf);

impl Ephemeral {
    fn create() -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        let path = (0..100)
            .map(|n| base.join(format!("chronik-{}-{n}", std::process::id())))
            .find(|path| create_private(path));
        path.map(Ephemeral)
            .ok_or_else(|| Failure::Storage(format!("cannot create a temporary directory in {}", base.display())))
    }
}

/// Creates a directory that only this user may enter; false when it exists or cannot be made.
fn create_private(path: &Path) -> bool {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path).is_ok()
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.0) {
            eprintln!("chronik: cannot remove {}: {e}", self.0.display());
        }
    }
}
