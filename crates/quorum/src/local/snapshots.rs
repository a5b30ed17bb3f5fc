//! Snapshot files: `%020d-%010d.checkpoint`, one past the last offset they hold and its controller epoch, as Kafka
//! names them (KIP-630). Written under another name, synced, renamed, the directory synced: a file under its own name
//! is whole.

use std::sync::Arc;

use chronik_env::fs::{File, OpenMode, read_file};
use chronik_metadata::{Image, snapshot};
use chronik_protocol::types::{LeaderEpoch, Offset};

use super::{OpenError, Place};

const SUFFIX: &str = ".checkpoint";
const UNFINISHED: &str = ".checkpoint.tmp";
/// The largest snapshot that is loaded, in bytes.
const MAX_BYTES: u64 = 16 << 30;

/// Where a snapshot ends: one past its last offset, and the epoch of that last record. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SnapshotId {
    pub end_offset: Offset,
    pub epoch: LeaderEpoch,
}

impl SnapshotId {
    fn of(image: &Image) -> Self {
        SnapshotId { end_offset: image.offset() + 1, epoch: image.epoch() }
    }

    pub fn file_name(&self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset, self.epoch)
    }

    fn parse(name: &str) -> Option<Self> {
        let (end_offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let id = SnapshotId { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? };
        (id.file_name() == name).then_some(id)
    }
}

/// The snapshots in a directory, oldest first; none when there is no directory.
fn list(place: &Place) -> Result<Vec<SnapshotId>, OpenError> {
    if !place.disk.exists(&place.dir).map_err(OpenError::io(&place.dir))? {
        return Ok(Vec::new());
    }
    let names = place.disk.names(&place.dir).map_err(OpenError::io(&place.dir))?;
    let mut ids: Vec<_> = names.iter().filter_map(|name| SnapshotId::parse(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Loads the newest snapshot. One that cannot be loaded is an error and not passed over: the log before it may be gone.
pub(super) fn load_newest(place: &Place) -> Result<Option<Image>, OpenError> {
    let Some(id) = list(place)?.pop() else { return Ok(None) };
    let file = place.dir.join(id.file_name());
    let bytes = read_file(&*place.disk, &file, MAX_BYTES).map_err(OpenError::io(&file))?.unwrap_or_default();
    let image = snapshot::decode(&bytes).map_err(|error| OpenError::Snapshot { file: file.clone(), error })?;
    let found = SnapshotId::of(&image);
    if found != id {
        return Err(OpenError::SnapshotName {
            file,
            named: id.end_offset,
            named_epoch: id.epoch,
            found: found.end_offset,
            found_epoch: found.epoch,
        });
    }
    Ok(Some(image))
}

/// Writes an image durably. Blocks on the disk.
pub(super) fn write(place: &Place, image: &Image) -> std::io::Result<SnapshotId> {
    let id = SnapshotId::of(image);
    let finished = place.dir.join(id.file_name());
    let unfinished = place.dir.join(format!("{}{}", id.file_name().trim_end_matches(SUFFIX), UNFINISHED));
    let dir = place.disk.open_dir(&place.dir)?;
    let file = place.disk.open(&unfinished, OpenMode::Create)?;
    file.set_len(0)?;
    let mut position = 0;
    snapshot::encode_to(image, |piece| write_piece(&file, piece, &mut position))?;
    file.sync_data()?;
    place.disk.rename(&unfinished, &finished)?;
    dir.sync()?;
    Ok(id)
}

fn write_piece(file: &Arc<dyn File>, piece: &[u8], position: &mut u64) -> std::io::Result<()> {
    file.write_all_at(&[piece], *position)?;
    *position += piece.len() as u64;
    Ok(())
}

/// Removes the snapshots older than `kept`, and unfinished ones. Blocks on the disk.
pub(super) fn remove_older(place: &Place, kept: SnapshotId) -> std::io::Result<()> {
    for name in place.disk.names(&place.dir)? {
        let older = SnapshotId::parse(&name).is_some_and(|id| id < kept);
        if older || name.ends_with(UNFINISHED) {
            place.disk.remove_file(&place.dir.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas_and_sort_by_age() {
        let id = SnapshotId { end_offset: 1234, epoch: 5 };
        assert_eq!(id.file_name(), "00000000000000001234-0000000005.checkpoint");
        assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
        for other in
            ["", "1234-5.checkpoint", "00000000000000001234.log", "00000000000000001234-0000000005.checkpoint.tmp"]
        {
            assert_eq!(SnapshotId::parse(other), None, "{other}");
        }
        assert!(id < SnapshotId { end_offset: 1235, epoch: 5 });
    }
}
