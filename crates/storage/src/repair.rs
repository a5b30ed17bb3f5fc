//! The last step of recovery: what is going to be exposed is made durable, and the files that describe it are put
//! right.

use chronik_env::fs::replace_file;

use crate::cut::each_chunk;
use crate::epochs::{self, EpochCache};
use crate::error::OpenError;
use crate::names;
use crate::options::Start;
use crate::recovery::Recoverer;
use crate::summary::{self, Summary};
use crate::sync::remove_if_there;
use crate::walk::Walk;

/// Syncs everything above the recovery point and rewrites what does not agree with the log. `scanned` says whether more
/// than the tail was looked at, `on_disk` what the epoch checkpoint says.
pub(crate) fn make_durable(
    recoverer: &mut Recoverer<'_>,
    walk: &Walk,
    scanned: bool,
    on_disk: Option<&EpochCache>,
) -> Result<(), OpenError> {
    if scanned {
        sync_segments(recoverer, walk)?;
    }
    let (disk, dir) = (recoverer.shared.files.disk(), &recoverer.shared.dir);
    let io = OpenError::io;
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
///
/// The bytes above the recovery point are written once more before they are synced: after a failed sync the page cache
/// holds bytes that it takes for written and no later sync would write (Rebello et al., "Can Applications Recover from
/// fsync Failures?", USENIX ATC 2020).
fn sync_segments(recoverer: &Recoverer<'_>, walk: &Walk) -> Result<(), OpenError> {
    let (disk, dir) = (recoverer.shared.files.disk(), &recoverer.shared.dir);
    if recoverer.start == Start::Clean {
        return Ok(());
    }
    let dirty = recoverer.listing.floor(recoverer.known.recovery_point);
    for (at, found) in recoverer.listing.segments.iter().enumerate().skip(dirty) {
        let (file, path) = recoverer.open(*found)?;
        let indexes = at.checked_sub(walk.first).and_then(|walked| walk.indexes.get(walked));
        let from = indexes
            .and_then(|indexes| indexes.floor(recoverer.known.recovery_point))
            .map_or(0, |(position, _)| position);
        let again = |chunk: &[u8], position| file.write_all_at(&[chunk], position).map(|()| true);
        each_chunk(&*file, from.min(found.len), found.len, again).map_err(OpenError::io(&path))?;
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
        let there =
            listing.offset_indexes.contains(&found.base_offset) && listing.time_indexes.contains(&found.base_offset);
        if known == Some(summary) && there {
            continue;
        }
        for (name, contents) in
            [(names::offset_index(found.base_offset), offsets), (names::time_index(found.base_offset), times)]
        {
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
