//! The data directory: its stamp, its lock, its health, and the marker of a clean stop.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chronik_env::Env;
use chronik_env::fs::{self, DirLock, Disk};
use chronik_env::task::Job;
use chronik_protocol::Uuid;
use chronik_storage::Start;
use chronik_storage::partition_metadata::{decode_id, encode_id};
use tracing::{error, info, warn};

use crate::partition::ProduceError;
use crate::unclean::Unclean;

const META_PROPERTIES: &str = "meta.properties";
const LOCK: &str = ".lock";
/// What a freshly made ext4 file system holds.
const LOST_AND_FOUND: &str = "lost+found";
/// Kafka's own name for the marker: written last at a clean stop, removed first at a start.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// The version of this directory's layout that this program writes. A higher one is refused.
const FORMAT: u32 = 1;
const MAX_META_BYTES: u64 = 64 * 1024;

/// Why a data directory cannot be used. Each text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("data directory {dir} is in use by another process (it holds {dir}/{LOCK})")]
    Locked { dir: String },
    #[error(
        "data directory {dir} was written by a newer program: chronik.format={found}, this one knows up to {FORMAT}"
    )]
    Newer { dir: String, found: u32 },
    #[error("{file}: {problem}")]
    Damaged { file: String, problem: String },
    #[error(
        "{dir} is not a data directory of this program: it has no {META_PROPERTIES} but holds {name}; name an empty or new directory"
    )]
    NotEmpty { dir: String, name: String },
    #[error("{dir} belongs to cluster {found}, not to cluster {wanted}")]
    OtherCluster { dir: String, found: String, wanted: String },
    #[error(
        "'{0}' is not a cluster id: 22 characters of URL-safe base64, such as Kafka's kafka-storage random-uuid makes"
    )]
    NotAClusterId(String),
    #[error("data directory {dir} belongs to node.id={found}, but node.id={wanted} is configured")]
    OtherNode { dir: String, found: i32, wanted: i32 },
    #[error("data directory {dir}: {source}")]
    Io { dir: String, source: io::Error },
}

/// What `meta.properties` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    pub node_id: i32,
    /// Tells this directory from any other one with the same node id (KIP-858).
    pub directory_id: Uuid,
}

/// One data directory in use.
pub(crate) struct DataDir {
    env: Env,
    path: PathBuf,
    identity: Identity,
    /// The last process stopped cleanly.
    was_clean: bool,
    unclean: Unclean,
    failed: AtomicBool,
    low_space: AtomicBool,
    /// Free bytes below which produce is refused.
    min_free_bytes: u64,
    _lock: Box<dyn DirLock>,
}

impl DataDir {
    /// Takes the directory, creating and stamping it when it is new.
    /// `cluster_id` is the one to stamp a new directory with, and which another must have.
    pub(crate) fn open(
        env: Env,
        path: &Path,
        node_id: i32,
        cluster_id: Option<&str>,
        min_free_bytes: u64,
    ) -> Result<Self, DataDirError> {
        let dir = path.display().to_string();
        let io = |source| DataDirError::Io { dir: dir.clone(), source };
        env.disk.create_dir_all(path).map_err(io)?;
        let lock =
            env.disk.lock(&path.join(LOCK)).map_err(io)?.ok_or_else(|| DataDirError::Locked { dir: dir.clone() })?;
        let identity = match read_identity(&*env.disk, path)? {
            Some(identity) if identity.node_id != node_id => {
                return Err(DataDirError::OtherNode { dir, found: identity.node_id, wanted: node_id });
            }
            Some(identity) => match cluster_id.filter(|wanted| *wanted != identity.cluster_id) {
                Some(wanted) => {
                    let (found, wanted) = (identity.cluster_id, wanted.to_owned());
                    return Err(DataDirError::OtherCluster { dir, found, wanted });
                }
                None => identity,
            },
            None => stamp(&env, path, node_id, cluster_id)?,
        };
        let was_clean = take_clean_marker(&*env.disk, path).map_err(io)?;
        let unclean = Unclean::open(env.disk.clone(), path.to_owned(), was_clean).map_err(io)?;
        let data_dir = DataDir {
            env,
            path: path.to_owned(),
            identity,
            was_clean,
            unclean,
            failed: AtomicBool::new(false),
            low_space: AtomicBool::new(false),
            min_free_bytes,
            _lock: lock,
        };
        data_dir.check_space();
        Ok(data_dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.env.disk
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The partitions that may not be as closing leaves them.
    pub(crate) fn unclean(&self) -> &Unclean {
        &self.unclean
    }

    /// How the last process that had this directory stopped.
    pub(crate) fn last_stop(&self) -> Start {
        if self.was_clean { Start::Clean } else { Start::Unclean }
    }

    /// Runs a sync on the threads kept for them.
    pub(crate) fn run_sync(&self, job: Job) {
        self.env.tasks.run_sync(job);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn is_low_on_space(&self) -> bool {
        self.low_space.load(Ordering::Acquire)
    }

    /// A write or a sync failed: from now on nothing is acknowledged from this directory. Only a restart, with recovery, ends it.
    pub(crate) fn fail(&self, reason: &str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            error!(dir = %self.path.display(), "data directory failed and takes no more writes; restart after mending the disk: {reason}");
        }
    }

    /// Refuses produce while the directory has failed or is short of space.
    pub(crate) fn check_writable(&self) -> Result<(), ProduceError> {
        if self.has_failed() {
            Err(ProduceError::DirectoryFailed)
        } else if self.is_low_on_space() {
            Err(ProduceError::LowSpace)
        } else {
            Ok(())
        }
    }

    /// Looks at the free space; produce is refused below the mark and taken again above it.
    pub(crate) fn check_space(&self) {
        let min_free = self.min_free_bytes;
        match self.env.disk.space(&self.path) {
            Ok(space) => {
                let low = space.free_bytes < min_free;
                if low != self.low_space.swap(low, Ordering::AcqRel) {
                    if low {
                        warn!(
                            free_bytes = space.free_bytes,
                            min_free_bytes = min_free,
                            "free disk space is low: produce is refused until there is more"
                        );
                    } else {
                        info!(free_bytes = space.free_bytes, "free disk space is sufficient: produce is accepted");
                    }
                }
            }
            Err(e) => warn!(dir = %self.path.display(), "cannot tell the free space: {e}"),
        }
    }

    /// Leaves the marker that lets the next start trust the ends of all logs. Call last.
    pub(crate) fn mark_clean(&self) -> io::Result<()> {
        fs::replace_file(&*self.env.disk, &self.path.join(CLEAN_SHUTDOWN), b"{\"version\":0,\"brokerEpoch\":-1}")
    }
}

fn take_clean_marker(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let marker = path.join(CLEAN_SHUTDOWN);
    let was_clean = disk.exists(&marker)?;
    if was_clean {
        disk.remove_file(&marker)?;
        disk.sync_dir(path)?;
    }
    Ok(was_clean)
}

fn stamp(env: &Env, path: &Path, node_id: i32, cluster_id: Option<&str>) -> Result<Identity, DataDirError> {
    let dir = path.display().to_string();
    let io = |source| DataDirError::Io { dir: dir.clone(), source };
    // What is not ours is not touched: a mistyped directory, or another program's data.
    let mut foreign = env
        .disk
        .names(path)
        .map_err(io)?
        .into_iter()
        .filter(|name| ![LOCK, LOST_AND_FOUND].contains(&name.as_str()) && !name.ends_with(".tmp"));
    if let Some(name) = foreign.next() {
        return Err(DataDirError::NotEmpty { dir, name });
    }
    let cluster_id = match cluster_id {
        Some(id) if decode_id(id).is_none() => return Err(DataDirError::NotAClusterId(id.to_owned())),
        Some(id) => id.to_owned(),
        None => encode_id(env.random.uuid()),
    };
    let identity = Identity { cluster_id, node_id, directory_id: env.random.uuid() };
    let text = format!(
        "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\nchronik.format={FORMAT}\n",
        identity.cluster_id,
        node_id,
        encode_id(identity.directory_id)
    );
    fs::replace_file(&*env.disk, &path.join(META_PROPERTIES), text.as_bytes()).map_err(io)?;
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        env.disk.sync_dir(parent).map_err(io)?;
    }
    Ok(identity)
}

fn read_identity(disk: &dyn Disk, path: &Path) -> Result<Option<Identity>, DataDirError> {
    let file = path.join(META_PROPERTIES);
    let damaged =
        |problem: &str| DataDirError::Damaged { file: file.display().to_string(), problem: problem.to_owned() };
    let bytes = match fs::read_file(disk, &file, MAX_META_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(source) => return Err(DataDirError::Io { dir: path.display().to_string(), source }),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("not UTF-8"))?;
    let value = |key: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once('=')).find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim())
    };
    let format =
        value("chronik.format").ok_or_else(|| damaged("has no chronik.format: it was written by another program"))?;
    let found = format.parse().map_err(|_| damaged("chronik.format is not a number"))?;
    if found > FORMAT {
        return Err(DataDirError::Newer { dir: path.display().to_string(), found });
    }
    match value("version") {
        Some("1") => {}
        Some(other) => return Err(damaged(&format!("version={other} is not known"))),
        None => return Err(damaged("has no version")),
    }
    Ok(Some(Identity {
        cluster_id: value("cluster.id").ok_or_else(|| damaged("has no cluster.id"))?.to_owned(),
        node_id: value("node.id").and_then(|v| v.parse().ok()).ok_or_else(|| damaged("has no valid node.id"))?,
        directory_id: value("directory.id").and_then(decode_id).ok_or_else(|| damaged("has no valid directory.id"))?,
    }))
}
