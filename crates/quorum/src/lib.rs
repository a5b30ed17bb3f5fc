//! The metadata log and the loop that writes it: a trait for the log with its back ends, and the controller, which
//! turns requests into records, waits for them to commit, and publishes the image.
//!
//! Knows nothing of Kafka requests; what is decided is decided by `chronik_metadata`. Readers of the image take no lock
//! and never wait.

mod controller_loop;
pub mod local;
mod log;

pub use controller_loop::{ControllerHandle, ControllerOptions, SubmitError, run_controller};
pub use local::{LocalLog, LocalOptions, OpenError};
pub use log::{BarrierError, Committed, Leader, MetadataLog, Proposal, ProposeError, Voter, VotersError};

use std::path::PathBuf;

use chronik_env::Env;
use chronik_metadata::error::ActivateError;
use chronik_metadata::request::{Activate, Request, Response};

/// What a standalone node's metadata is opened with.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// The id that the data directory is stamped with: 22 characters of URL-safe base64.
    pub cluster_id: String,
    pub local: LocalOptions,
    pub controller: ControllerOptions,
}

/// Why the metadata of this node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Activate(#[from] ActivateError),
    #[error("the first metadata batch could not be written: {0}")]
    FirstBatch(#[from] SubmitError),
}

/// Opens `<data_dir>/__meta-0/`, replays it, and starts the controller on the control plane. When this returns the
/// cluster exists and this node is its controller under an epoch of its own, durably.
pub async fn start(env: &Env, data_dir: PathBuf, options: StartOptions) -> Result<ControllerHandle, StartError> {
    let node_id = options.local.node_id;
    let log = LocalLog::open(env, data_dir, options.local).await?;
    let handle = run_controller(env, log, options.controller);
    let activate = Request::Activate(Activate { node_id, cluster_id: options.cluster_id });
    let refused = match handle.submit(activate).await {
        Ok(Response::Activate(Ok(()))) => return Ok(handle),
        Ok(Response::Activate(Err(refused))) => StartError::Activate(refused),
        Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
        Err(failed) => StartError::FirstBatch(failed),
    };
    handle.shutdown().await;
    Err(refused)
}
