//! Cutting off a torn tail, and saving it first when it may still be worth something.

use std::io;
use std::path::{Path, PathBuf};

use chronik_env::fs::{Disk, File, OpenMode, read_exact_at};

use crate::error::OpenError;
use crate::listing::Found;
use crate::names;
use crate::recovery::Recoverer;
use crate::scan::{Scan, Step};
use crate::sync::remove_if_there;
use crate::walk::Torn;

const CHUNK: usize = 256 << 10;
/// How many cuts at one offset are kept.
const MAX_SAME_OFFSET: u32 = 100;

/// Makes the log end at `end`: the listing then ends with the torn segment, shortened. Durable when this returns.
///
/// The order makes an interrupted cut repeatable: the tail is saved, later segments go, the last first, then the tail
/// goes.
pub(crate) fn cut_off(recoverer: &mut Recoverer<'_>, torn: Torn, end: i64) -> Result<(), OpenError> {
    let later: Vec<Found> = recoverer.listing.segments.split_off(torn.segment + 1);
    let found = recoverer.listing.segments[torn.segment];
    let (file, path) = recoverer.open(found)?;
    let (disk, dir) = (recoverer.shared.files.disk(), &recoverer.shared.dir);
    let followed = torn.followed || any_valid(recoverer, &later)?;
    let mut cut_files = Vec::new();
    if followed && torn.position < found.len {
        let name = format!("{}.cut-{end}", names::log(found.base_offset));
        cut_files.extend(save(disk, dir, &name, &*file, torn.position, found.len).map_err(OpenError::io(&path))?);
    }
    for gone in later.iter().rev() {
        let path = dir.join(names::log(gone.base_offset));
        let saved = discard(disk, dir, *gone, followed && gone.len > 0).map_err(OpenError::io(&path))?;
        cut_files.extend(saved);
    }
    file.set_len(torn.position).and_then(|()| file.sync_data()).map_err(OpenError::io(&path))?;
    let forget = |summaries: &mut crate::summary::Summaries| drop(summaries.split_off(&found.base_offset));
    recoverer.shared.with_summaries(forget).map_err(OpenError::io(dir))?;
    let report = &mut recoverer.report;
    report.truncated_at = Some(end);
    report.truncated_bytes = found.len - torn.position + later.iter().map(|gone| gone.len).sum::<u64>();
    report.cut_files = cut_files;
    recoverer.listing.segments[torn.segment].len = torn.position;
    Ok(())
}

fn any_valid(recoverer: &Recoverer<'_>, segments: &[Found]) -> Result<bool, OpenError> {
    for found in segments {
        let (file, path) = recoverer.open(*found)?;
        let mut scan = Scan::new(file, found.len, found.base_offset, i64::MAX, 0, &[]);
        let valid = match scan.next().map_err(OpenError::io(&path))? {
            Step::Batch { .. } => true,
            Step::Bad { .. } => scan.resync().map_err(OpenError::io(&path))?.is_some(),
            Step::End => false,
        };
        if valid {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes a whole segment out of the log, keeping its file under another name if asked to.
fn discard(disk: &dyn Disk, dir: &Path, gone: Found, keep: bool) -> io::Result<Option<PathBuf>> {
    let path = dir.join(names::log(gone.base_offset));
    for index in [names::offset_index(gone.base_offset), names::time_index(gone.base_offset)] {
        remove_if_there(disk, &dir.join(index))?;
    }
    let kept = if keep {
        disk.open(&path, OpenMode::ReadWrite)?.sync_data()?;
        let to = free_name(disk, dir, &format!("{}.cut-{}", names::log(gone.base_offset), gone.base_offset))?;
        disk.rename(&path, &to)?;
        Some(to)
    } else {
        disk.remove_file(&path)?;
        None
    };
    disk.sync_dir(dir)?;
    Ok(kept)
}

/// Copies a part of a file to a new file, unless an interrupted recovery has saved the same bytes already; then `None`.
fn save(disk: &dyn Disk, dir: &Path, name: &str, file: &dyn File, from: u64, to: u64) -> io::Result<Option<PathBuf>> {
    for attempt in 0..MAX_SAME_OFFSET {
        let path = dir.join(numbered(name, attempt));
        if disk.exists(&path)? {
            if same(disk, &path, file, from, to)? {
                return Ok(Some(path));
            }
            continue;
        }
        let tmp = dir.join(format!("{name}.tmp"));
        let copy = disk.open(&tmp, OpenMode::Create)?;
        copy.set_len(0)?;
        each_chunk(file, from, to, |chunk, at| copy.write_all_at(&[chunk], at - from).map(|()| true))?;
        copy.sync_data()?;
        disk.rename(&tmp, &path)?;
        disk.sync_dir(dir)?;
        return Ok(Some(path));
    }
    Ok(None)
}

fn numbered(name: &str, attempt: u32) -> String {
    if attempt == 0 { name.to_owned() } else { format!("{name}.{attempt}") }
}

fn free_name(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<PathBuf> {
    for attempt in 0..MAX_SAME_OFFSET {
        let path = dir.join(numbered(name, attempt));
        if !disk.exists(&path)? {
            return Ok(path);
        }
    }
    Ok(dir.join(name))
}

/// Whether the file at `path` holds exactly the bytes of `file` between `from` and `to`.
fn same(disk: &dyn Disk, path: &Path, file: &dyn File, from: u64, to: u64) -> io::Result<bool> {
    let copy = disk.open(path, OpenMode::Read)?;
    if copy.len()? != to - from {
        return Ok(false);
    }
    let mut other = Vec::new();
    each_chunk(file, from, to, |chunk, at| {
        other.resize(chunk.len(), 0);
        read_exact_at(&*copy, &mut other, at - from)?;
        Ok(other == chunk)
    })
}

/// Hands a part of a file to `each`, with positions, until that answers false; whether it never did.
pub(crate) fn each_chunk(
    file: &dyn File,
    from: u64,
    to: u64,
    mut each: impl FnMut(&[u8], u64) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut buf = vec![0; CHUNK.min((to - from) as usize)];
    let mut at = from;
    while at < to {
        let len = buf.len().min((to - at) as usize);
        read_exact_at(file, &mut buf[..len], at)?;
        if !each(&buf[..len], at)? {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}
