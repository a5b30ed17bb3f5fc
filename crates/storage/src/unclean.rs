//! Which partitions of a data directory have been written to since their logs were last closed.
//!
//! Only they need recovery after a crash. The file `unclean-partitions` starts with a line `0`, the version; each line
//! after it is `<topic id> <partition> <CRC-32C of what precedes, in hex>`. A line is durable before the first byte is
//! written to the partition's log, and lines are only ever taken away by replacing the whole file. Where the file leaves
//! any doubt, every partition counts as unclean.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_env::fs::{Disk, File, OpenMode, is_shortage, read_file, replace_file};
use chronik_protocol::types::{PartitionId, TopicId};

use crate::checkpoint::number;
use crate::partition_metadata::{decode_id, encode_id};

pub const FILE_NAME: &str = "unclean-partitions";

const VERSION: &str = "0\n";
/// The largest file believed, in bytes: a million lines and more.
const LIMIT: u64 = 64 << 20;

/// Partitions by topic id and index.
pub type Partitions = BTreeSet<(TopicId, PartitionId)>;

/// The file in use.
pub struct UncleanPartitions {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// `None` after it was replaced and could not be opened again, for want of open files.
    file: Option<Arc<dyn File>>,
    len: u64,
    marked: Partitions,
}

impl UncleanPartitions {
    /// What the file in `dir` says. `None` where it is missing, damaged or of an unknown version: any partition may be
    /// unclean.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Partitions>> {
        match read_file(disk, &dir.join(FILE_NAME), LIMIT) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| decode(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins a file in `dir` that names `marked`; durable when this returns.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, marked: Partitions) -> io::Result<Self> {
        let path = dir.join(FILE_NAME);
        let contents = encode(&marked);
        replace_file(&*disk, &path, contents.as_bytes())?;
        let file = disk.open(&path, OpenMode::ReadWrite)?;
        Ok(UncleanPartitions { disk, path, file: Some(file), len: contents.len() as u64, marked })
    }

    /// Marks a partition; durable when this returns. Costs one sync, and nothing where it is marked already.
    ///
    /// # Errors
    /// After a lack of room or of open files nothing has changed; any other error leaves the file in doubt.
    pub fn mark(&mut self, topic: TopicId, partition: PartitionId) -> io::Result<()> {
        if self.marked.contains(&(topic, partition)) {
            return Ok(());
        }
        let file = self.file()?;
        let mut text = String::new();
        line(&mut text, topic, partition);
        match file.write_all_at(&[text.as_bytes()], self.len) {
            Err(error) if is_shortage(&error) => {
                file.set_len(self.len)?;
                return Err(error);
            }
            other => other?,
        }
        // A sync that finds no room for what it was handed is as final as any other that fails.
        file.sync_data().map_err(|error| io::Error::other(error.to_string()))?;
        self.len += text.len() as u64;
        self.marked.insert((topic, partition));
        Ok(())
    }

    /// Unmarks all but those that `keep` names; durable when this returns. Where nothing goes, nothing is written.
    ///
    /// # Errors
    /// After a lack of room or of open files the file may still name what was unmarked, which does no harm; any other
    /// error leaves it in doubt.
    pub fn retain(&mut self, mut keep: impl FnMut(TopicId, PartitionId) -> bool) -> io::Result<()> {
        let before = self.marked.len();
        self.marked.retain(|&(topic, partition)| keep(topic, partition));
        if self.marked.len() == before {
            return Ok(());
        }
        let replaced = replace_file(&*self.disk, &self.path, encode(&self.marked).as_bytes());
        // Whichever file bears the name now, it is the one that must get the next marks.
        self.file = None;
        let opened = self.file().map(drop);
        replaced.and(opened)
    }

    fn file(&mut self) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = self.disk.open(&self.path, OpenMode::ReadWrite)?;
        self.len = file.len()?;
        Ok(self.file.insert(file).clone())
    }
}

fn line(out: &mut String, topic: TopicId, partition: PartitionId) {
    let named = format!("{} {partition}", encode_id(topic));
    _ = writeln!(out, "{named} {:08x}", crc32c::crc32c(named.as_bytes()));
}

fn encode(partitions: &Partitions) -> String {
    let mut text = VERSION.to_owned();
    for &(topic, partition) in partitions {
        line(&mut text, topic, partition);
    }
    text
}

fn decode(bytes: &[u8]) -> Option<Partitions> {
    let lines = std::str::from_utf8(bytes).ok()?.strip_prefix(VERSION)?;
    lines.split_inclusive('\n').map(|line| entry(line.strip_suffix('\n')?)).collect()
}

fn entry(line: &str) -> Option<(TopicId, PartitionId)> {
    let (named, crc) = line.rsplit_once(' ')?;
    if crc != format!("{:08x}", crc32c::crc32c(named.as_bytes())) {
        return None;
    }
    let (topic, partition) = named.split_once(' ')?;
    Some((decode_id(topic)?, number(partition)?))
}

#[cfg(test)]
mod tests {
    use chronik_env::sim_disk::{Call, Cut, Failure, Rule, SimDisk};

    use super::*;

    const DIR: &str = "/data";

    fn disk() -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new(DIR)).and_then(|()| disk.sync_dir(Path::new("/"))).expect("a healthy disk");
        disk
    }

    fn create(disk: &SimDisk, marked: Partitions) -> UncleanPartitions {
        UncleanPartitions::create(Arc::new(disk.clone()), Path::new(DIR), marked).expect("a healthy disk")
    }

    fn read(disk: &SimDisk) -> Option<Partitions> {
        UncleanPartitions::read(disk, Path::new(DIR)).expect("a healthy disk")
    }

    fn id(n: u8) -> TopicId {
        TopicId::from_bytes([n; 16])
    }

    #[test]
    fn pinned() {
        let text = encode(&BTreeSet::from([(id(1), 0), (id(2), 99_999)]));
        assert_eq!(text, "0\nAQEBAQEBAQEBAQEBAQEBAQ 0 36368a26\nAgICAgICAgICAgICAgICAg 99999 01d5f95d\n");
    }

    #[test]
    fn a_mark_outlives_a_power_cut() {
        let disk = disk();
        let mut file = create(&disk, Partitions::new());
        file.mark(id(1), 7).and_then(|()| file.mark(id(1), 7)).and_then(|()| file.mark(id(2), 0)).expect("room");
        let after = disk.image(Cut::Nothing, 1);
        assert_eq!(read(&after), Some(BTreeSet::from([(id(1), 7), (id(2), 0)])));
    }

    #[test]
    fn what_is_unmarked_is_gone_and_marks_go_on() {
        let disk = disk();
        let mut file = create(&disk, BTreeSet::from([(id(1), 0), (id(1), 1)]));
        file.retain(|_, partition| partition == 1).and_then(|()| file.mark(id(3), 2)).expect("room");
        let after = disk.image(Cut::Nothing, 1);
        assert_eq!(read(&after), Some(BTreeSet::from([(id(1), 1), (id(3), 2)])));
        file.mark(id(1), 0).expect("room");
        assert_eq!(read(&disk), Some(BTreeSet::from([(id(1), 0), (id(1), 1), (id(3), 2)])));
    }

    #[test]
    fn a_full_disk_marks_nothing_and_is_no_end() {
        let disk = disk();
        let mut file = create(&disk, BTreeSet::from([(id(1), 0), (id(1), 1)]));
        disk.set_capacity(1);
        let full = |done: io::Result<()>| assert_eq!(done.expect_err("no room").kind(), io::ErrorKind::StorageFull);
        full(file.mark(id(2), 0));
        full(file.retain(|_, partition| partition == 0));
        disk.set_capacity(u64::MAX);
        file.mark(id(1), 1).and_then(|()| file.mark(id(2), 0)).expect("room");
        assert_eq!(read(&disk.image(Cut::Nothing, 1)), Some(BTreeSet::from([(id(1), 0), (id(1), 1), (id(2), 0)])));
    }

    #[test]
    fn marks_never_go_to_the_file_that_was_replaced() {
        let disk = disk();
        let mut file = create(&disk, BTreeSet::from([(id(1), 0), (id(1), 1)]));
        let no_second_open =
            Rule { call: Call::Open, path_contains: FILE_NAME.into(), after: 1, times: 2, failure: Failure::NoSpace };
        disk.fail(no_second_open);
        assert!(file.retain(|_, partition| partition == 0).is_err_and(|e| is_shortage(&e)));
        assert!(file.mark(id(2), 0).is_err_and(|e| is_shortage(&e)), "there is no file to mark it in");
        file.mark(id(2), 1).expect("there is one again");
        assert_eq!(read(&disk.image(Cut::Nothing, 1)), Some(BTreeSet::from([(id(1), 0), (id(2), 1)])));
    }

    #[test]
    fn a_name_that_may_not_be_durable_is_no_lack_of_room() {
        let disk = disk();
        let mut file = create(&disk, BTreeSet::from([(id(1), 0), (id(1), 1)]));
        let rule =
            Rule { call: Call::SyncDir, path_contains: String::new(), after: 0, times: 1, failure: Failure::NoSpace };
        disk.fail(rule);
        assert!(file.retain(|_, partition| partition == 0).is_err_and(|e| !is_shortage(&e)));
    }

    #[test]
    fn a_directory_that_cannot_be_opened_leaves_the_list_as_it_was() {
        let disk = disk();
        let mut file = create(&disk, BTreeSet::from([(id(1), 0), (id(1), 1)]));
        let rule =
            Rule { call: Call::OpenDir, path_contains: String::new(), after: 0, times: 1, failure: Failure::NoSpace };
        disk.fail(rule);
        assert!(file.retain(|_, partition| partition == 0).is_err_and(|e| is_shortage(&e)));
        file.mark(id(2), 0).expect("room");
        assert_eq!(read(&disk.image(Cut::Nothing, 1)), Some(BTreeSet::from([(id(1), 0), (id(1), 1), (id(2), 0)])));
    }

    #[test]
    fn a_failure_that_is_final_is_not_taken_for_a_lack_of_open_files() {
        let disk = disk();
        let mut file = create(&disk, BTreeSet::from([(id(1), 0), (id(1), 1)]));
        let rule = |call, after, failure| Rule { call, path_contains: FILE_NAME.into(), after, times: 1, failure };
        disk.fail(rule(Call::Entry, 0, Failure::Eio));
        disk.fail(rule(Call::Open, 1, Failure::NoSpace));
        let retained = file.retain(|_, partition| partition == 0);
        assert!(retained.is_err_and(|e| !is_shortage(&e)));
        assert_eq!(disk.unmet_rules(), 0);
    }

    #[test]
    fn any_doubt_is_every_partition() {
        let disk = disk();
        assert_eq!(read(&disk), None, "no file");
        let good = encode(&BTreeSet::from([(id(1), 0), (id(2), 1)]));
        let put = |contents: &[u8]| {
            replace_file(&disk, &Path::new(DIR).join(FILE_NAME), contents).expect("a healthy disk");
            read(&disk)
        };
        assert_eq!(put(b"0\n"), Some(Partitions::new()));
        assert!(put(good.as_bytes()).is_some_and(|all| all.len() == 2));
        for len in (0..good.len()).filter(|&len| !good[..len].ends_with('\n')) {
            assert_eq!(put(&good.as_bytes()[..len]), None, "cut at {len}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(put(&bytes), None, "a flipped bit at {at}");
        }
        assert_eq!(put(&[good.as_bytes(), &[0; 40]].concat()), None, "zeros at the end");
    }
}
