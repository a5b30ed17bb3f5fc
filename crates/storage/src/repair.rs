//! The last step of recovery: what is going to be exposed is made durable, and the files that describe it are put right.

use chronik_env::fs::replace_file;

use crate::damage;
use crate::epochs::{self, EpochCache};
use crate::error::OpenError;
use crate::names;
use crate::options::Start;
use crate::recovery::{Recoverer, Walk};
use crate::summary::{self, Summary};
use crate::sync::remove_if_there;

/// Syncs everything above the recovery point and rewrites what does not agree with the log. `scanned` says whether more than the tail
/// was looked at, `relearned` whether the list of damaged ranges was unreadable, `on_disk` what the epoch checkpoint says.
pub(crate) fn make_durable(
    recoverer: &mut Recoverer<'_>,
    walk: &Walk,
    scanned: bool,
    relearned: bool,
    on_disk: Option<&EpochCache>,
) -> Result<(), OpenError> {
    if scanned {
        sync_segments(recoverer)?;
    }
    let (disk, dir) = (recoverer.shared.files.disk(), &recoverer.shared.dir);
    let io = OpenError::io;
    if recoverer.report.newly_damaged > 0 || relearned {
        damage::write(disk, dir, &recoverer.damage).map_err(io(dir))?;
    }
    let beyond = recoverer.listing.snapshots.partition_point(|&offset| offset <= walk.end);
    for offset in recoverer.listing.snapshots.drain(beyond..) {
        remove_if_there(disk, &dir.join(names::snapshot(offset))).map_err(io(dir))?;
    }
    if on_disk != Some(&walk.epochs) && (on_disk.is_some() || !walk.epochs.entries().is_empty()) {
        let path = dir.join(epochs::FILE_NAME);
        replace_file(disk, &path, &walk.epochs.encode()).map_err(io(&path))?;
    }
    write_indexes(recoverer, walk)
}

/// What a killed process wrote, cut off or removed is so in the page cache, but not yet on the disk.
fn sync_segments(recoverer: &Recoverer<'_>) -> Result<(), OpenError> {
    let (disk, dir) = (recoverer.shared.files.disk(), &recoverer.shared.dir);
    if recoverer.start == Start::Clean {
        return Ok(());
    }
    let dirty = recoverer.listing.floor(recoverer.known.recovery_point);
    for found in &recoverer.listing.segments[dirty..] {
        let (file, path) = recoverer.open(*found)?;
        file.sync_data().map_err(OpenError::io(&path))?;
    }
    disk.sync_dir(dir).map_err(OpenError::io(dir))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk.sync_dir(parent).map_err(OpenError::io(parent)),
        _ => Ok(()),
    }
}

/// Writes the index files of walked segments that are closed, where they are not there as they should be.
fn write_indexes(recoverer: &Recoverer<'_>, walk: &Walk) -> Result<(), OpenError> {
    let (shared, listing) = (recoverer.shared, &recoverer.listing);
    let (disk, dir) = (shared.files.disk(), &shared.dir);
    let io = OpenError::io;
    let closed = listing.segments.len() - usize::from(walk.appendable);
    let mut changed = recoverer.report.truncated_at.is_some();
    for (at, indexes) in (walk.first..closed).zip(&walk.indexes) {
        let found = listing.segments[at];
        let (offsets, times) = (indexes.encode_offsets(), indexes.encode_times());
        let summary = Summary::new(indexes, found.len, &offsets, &times);
        let known = shared.summary(found.base_offset, found.len).map_err(io(dir))?;
        let there = listing.offset_indexes.contains(&found.base_offset) && listing.time_indexes.contains(&found.base_offset);
        if known == Some(summary) && there {
            continue;
        }
        for (name, contents) in [(names::offset_index(found.base_offset), offsets), (names::time_index(found.base_offset), times)] {
            let path = dir.join(name);
            replace_file(disk, &path, &contents).map_err(io(&path))?;
        }
        shared.with_summaries(|all| all.insert(found.base_offset, summary)).map_err(io(dir))?;
        changed = true;
    }
    if changed {
        let path = dir.join(summary::FILE_NAME);
        let contents = shared.with_summaries(|all| summary::encode(all)).map_err(io(&path))?;
        replace_file(disk, &path, &contents).map_err(io(&path))?;
    }
    Ok(())
}
