//! Which partitions may not be as closing leaves a log: those the last process was writing to when it ended, and those
//! this one writes to.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use chronik_env::fs::Disk;
use chronik_storage::Start;
use chronik_storage::unclean::{Partitions, UncleanPartitions};
use parking_lot::Mutex;

use crate::partition::PartitionKey;

pub(crate) struct Unclean {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// What the last process left behind; `None` for any partition.
    found: Option<Partitions>,
    /// Set once what was left behind is recovered.
    settled: OnceLock<Settled>,
}

struct Settled {
    /// What could not be recovered and has to be when it is opened.
    unrecovered: Partitions,
    marks: Mutex<UncleanPartitions>,
}

impl Unclean {
    /// Reads what the last process left in a data directory.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: PathBuf, was_clean: bool) -> io::Result<Self> {
        let found = if was_clean { Some(Partitions::new()) } else { UncleanPartitions::read(&*disk, &dir)? };
        Ok(Unclean { disk, dir, found, settled: OnceLock::new() })
    }

    /// How the log of a partition was left.
    pub(crate) fn start_of(&self, key: PartitionKey) -> Start {
        let name = (key.topic_id, key.index);
        let unclean = match (self.settled.get(), &self.found) {
            (Some(settled), _) => settled.unrecovered.contains(&name),
            (None, Some(found)) => found.contains(&name),
            (None, None) => true,
        };
        if unclean { Start::Unclean } else { Start::Clean }
    }

    /// All that was left behind is recovered and durable, but for `unrecovered`. To be called once.
    pub(crate) fn settle(&self, unrecovered: Partitions) -> io::Result<()> {
        let marks = UncleanPartitions::create(self.disk.clone(), &self.dir, unrecovered.clone())?;
        self.settled
            .set(Settled { unrecovered, marks: Mutex::new(marks) })
            .map_err(|_| io::Error::other("the unclean partitions were settled before"))
    }

    fn settled(&self) -> io::Result<&Settled> {
        self.settled.get().ok_or_else(|| io::Error::other("recovery is not over"))
    }

    /// Marks a partition before its log is first written to. Blocks for a sync, but only the first time. Errors are
    /// those of [`UncleanPartitions::mark`].
    pub(crate) fn mark(&self, key: PartitionKey) -> io::Result<()> {
        self.settled()?.marks.lock().mark(key.topic_id, key.index)
    }

    /// Unmarks all but those that `keep` names, which is asked while nothing can be marked. Errors are those of
    /// [`UncleanPartitions::retain`].
    pub(crate) fn retain(&self, keep: impl Fn(PartitionKey) -> bool) -> io::Result<()> {
        let settled = self.settled()?;
        let keep = |topic_id, index| {
            keep(PartitionKey { topic_id, index }) || settled.unrecovered.contains(&(topic_id, index))
        };
        settled.marks.lock().retain(keep)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use chronik_env::sim_disk::{Cut, SimDisk};
    use chronik_protocol::types::TopicId;

    use super::*;

    const DIR: &str = "/data";

    fn key(index: i32) -> PartitionKey {
        PartitionKey { topic_id: TopicId::from_u128(7), index }
    }

    fn name(index: i32) -> (TopicId, i32) {
        (key(index).topic_id, index)
    }

    fn disk() -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).and_then(|()| disk.sync_dir(Path::new("/"))).expect("a healthy disk");
        disk
    }

    fn open(disk: &SimDisk, was_clean: bool) -> Unclean {
        Unclean::open(Arc::new(disk.clone()), DIR.into(), was_clean).expect("a healthy disk")
    }

    fn starts(unclean: &Unclean) -> [Start; 3] {
        [0, 1, 2].map(|index| unclean.start_of(key(index)))
    }

    #[test]
    fn a_crash_leaves_what_was_marked_and_not_yet_closed() {
        let disk = disk();
        let first = open(&disk, false);
        assert_eq!(starts(&first), [Start::Unclean; 3], "nothing is known");
        assert!(first.mark(key(0)).is_err(), "recovery is not over");
        first.settle(BTreeSet::new()).expect("a healthy disk");
        [0, 1].into_iter().for_each(|index| first.mark(key(index)).expect("a healthy disk"));
        assert_eq!(
            starts(&first),
            [Start::Clean; 3],
            "what this process writes to is closed by it before it opens again"
        );
        first.retain(|known| known == key(1)).expect("a healthy disk");

        let crashed = disk.image(Cut::Nothing, 1);
        assert_eq!(starts(&open(&crashed, false)), [Start::Clean, Start::Unclean, Start::Clean]);
        assert_eq!(starts(&open(&crashed, true)), [Start::Clean; 3], "the marker of a clean stop outweighs it");
    }

    #[test]
    fn what_cannot_be_recovered_stays_unclean() {
        let disk = disk();
        let first = open(&disk, false);
        first.settle(BTreeSet::from([name(2)])).expect("a healthy disk");
        first.mark(key(0)).and_then(|()| first.retain(|_| false)).expect("a healthy disk");
        assert_eq!(starts(&first), [Start::Clean, Start::Clean, Start::Unclean]);
        assert_eq!(starts(&open(&disk.image(Cut::Nothing, 1), false)), [Start::Clean, Start::Clean, Start::Unclean]);
    }
}
