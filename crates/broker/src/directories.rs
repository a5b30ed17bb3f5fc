//! The directories of partitions: their names, which of them belong to nothing any more, and how they go.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::Env;
use chronik_env::fs::Disk;
use chronik_env::task::Tasks;
use chronik_protocol::types::{PartitionId, TopicId, TopicName};
use chronik_storage::partition_metadata::{self, decode_id, encode_id};
use parking_lot::Mutex;
use tracing::error;

use crate::data_dir::DataDir;

/// A directory on its way out ends so. No partition's directory does: those end in a number.
const DELETED: &str = "-delete";

#[derive(Clone)]
pub(crate) struct Directories {
    env: Env,
    dir: Arc<DataDir>,
    /// Directories on their way out. The first is being removed.
    removals: Arc<Mutex<VecDeque<PathBuf>>>,
}

impl Directories {
    pub(crate) fn new(env: Env, dir: Arc<DataDir>) -> Self {
        Directories { env, dir, removals: Arc::default() }
    }

    pub(crate) fn path_of(&self, topic: &str, index: PartitionId) -> PathBuf {
        self.dir.path().join(format!("{topic}-{index}"))
    }

    /// The partitions that have a directory, by its name.
    pub(crate) fn names(&self) -> io::Result<Vec<(TopicName, PartitionId)>> {
        let names = self.dir.disk().names(self.dir.path())?;
        Ok(names
            .iter()
            .filter_map(|name| split_name(name))
            .filter(|(topic, _)| topic.as_str() != crate::topics::META)
            .collect())
    }

    /// The topic id that a partition's directory is stamped with.
    pub(crate) fn stamp(&self, topic: &str, index: PartitionId) -> Option<TopicId> {
        partition_metadata::read(&**self.dir.disk(), &self.path_of(topic, index)).ok().flatten()
    }

    /// Bytes of a partition's log files; 0 where it has no directory (any more).
    pub(crate) fn log_bytes(&self, topic: &str, index: PartitionId) -> io::Result<u64> {
        match self.dir.disk().list(&self.path_of(topic, index)) {
            Ok(entries) => Ok(entries.iter().filter(|entry| entry.name.ends_with(".log")).map(|entry| entry.len).sum()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// Moves the directory of a deleted topic's partition out of the way and removes it soon. The caller has made sure that it is
    /// that topic's, and that no checkpoint speaks of it.
    pub(crate) fn remove(&self, topic: &str, index: PartitionId, topic_id: TopicId) {
        let from = self.path_of(topic, index);
        let to = self.dir.path().join(format!("{}-{index}{DELETED}", encode_id(topic_id)));
        match self.dir.disk().rename(&from, &to) {
            Ok(()) => self.remove_later(to),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => error!(dir = %from.display(), "cannot remove the directory of a deleted topic: {e}"),
        }
    }

    /// Goes on with removals that a stop cut short.
    pub(crate) fn finish_removals(&self) -> io::Result<()> {
        for name in self.dir.disk().names(self.dir.path())? {
            if is_deleted(&name) {
                self.remove_later(self.dir.path().join(name));
            }
        }
        Ok(())
    }

    fn remove_later(&self, path: PathBuf) {
        let mut removals = self.removals.lock();
        removals.push_back(path);
        // One at a time, each behind what has come meanwhile: a large topic holds nobody up.
        if removals.len() == 1 {
            remove_first(self.env.tasks.clone(), self.dir.disk().clone(), self.removals.clone());
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes the first of the directories, and then goes on with the next.
fn remove_first(tasks: Arc<dyn Tasks>, disk: Arc<dyn Disk>, removals: Arc<Mutex<VecDeque<PathBuf>>>) {
    tasks.clone().run_blocking(Box::new(move || {
        let Some(path) = removals.lock().front().cloned() else { return };
        if let Err(e) = disk.remove_dir_all(&path)
            && e.kind() != io::ErrorKind::NotFound
        {
            error!(dir = %path.display(), "cannot remove: {e}");
        }
        let is_over = {
            let mut removals = removals.lock();
            removals.pop_front();
            removals.is_empty()
        };
        if !is_over {
            remove_first(tasks, disk, removals);
        }
    }));
}

/// `<topic>-<partition>`; `None` for any other name.
fn split_name(name: &str) -> Option<(TopicName, PartitionId)> {
    let (topic, index) = name.rsplit_once('-')?;
    let plain =
        !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) && (index == "0" || !index.starts_with('0'));
    Some((TopicName::new(topic).ok()?, index.parse().ok().filter(|_| plain)?))
}

/// `<topic id>-<partition>-delete`.
fn is_deleted(name: &str) -> bool {
    let parts = name.strip_suffix(DELETED).and_then(|rest| rest.rsplit_once('-'));
    parts.is_some_and(|(id, index)| decode_id(id).is_some() && index.parse::<PartitionId>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_names_are_split_at_the_last_dash() {
        let split = |name| split_name(name).map(|(t, i)| (t.as_str().to_owned(), i));
        assert_eq!(split("a-b-3"), Some(("a-b".into(), 3)));
        assert_eq!(split("t-0"), Some(("t".into(), 0)));
        assert_eq!(split("x-delete-0"), Some(("x-delete".into(), 0)));
        for other in [
            "t",
            "t-",
            "-1",
            "t-01",
            "t-x",
            "t--",
            "meta.properties",
            "AAAAAAAAAAAAAAAAAAAAAQ-0-delete",
            "t-99999999999",
        ] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn only_our_own_leftovers_are_removed() {
        assert!(is_deleted("AAAAAAAAAAAAAAAAAAAAAQ-0-delete"));
        for other in ["deleted-0", "x-delete", "x-0-delete", "my-files-delete", "AAAAAAAAAAAAAAAAAAAAAQ-delete", "t-0"]
        {
            assert!(!is_deleted(other), "{other}");
        }
    }
}
