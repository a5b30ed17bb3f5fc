//! What a partition's directory holds.

use std::io;
use std::path::Path;

use crate::damage::{self, DamagedRange};
use crate::error::OpenError;
use crate::names;
use crate::shared::Shared;
use crate::sync::remove_if_there;

/// One segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub base_offset: i64,
    /// Bytes.
    pub len: u64,
}

/// The files that matter, by offset, ascending.
#[derive(Default)]
pub(crate) struct Listing {
    pub segments: Vec<Found>,
    pub snapshots: Vec<i64>,
    /// Base offsets with an offset index and with a time index.
    pub offset_indexes: Vec<i64>,
    pub time_indexes: Vec<i64>,
    /// Whether there is a list of damaged ranges.
    pub has_damage: bool,
}

impl Listing {
    /// No log gets here: larger numbers are nonsense, and sums of smaller ones do not overflow.
    pub const MAX_OFFSET: i64 = 1 << 60;
    /// The largest producer snapshot read, in bytes.
    pub const MAX_SNAPSHOT: u64 = 1 << 30;

    /// Lists the directory, clearing away what an interrupted deletion or replacement left; `None` when there is no
    /// directory.
    pub fn read(shared: &Shared) -> Result<Option<Listing>, OpenError> {
        let entries = match shared.files.disk().list(&shared.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io { path: shared.dir.clone(), error }),
        };
        let mut listing = Listing::default();
        let mut leftovers = Vec::new();
        for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
            let offset = |suffix| names::offset_of(&entry.name, suffix).filter(|&offset| offset <= Self::MAX_OFFSET);
            if let Some(base_offset) = offset(".log") {
                listing.segments.push(Found { base_offset, len: entry.len });
            } else if let Some(at) = offset(".snapshot") {
                listing.snapshots.push(at);
            } else if let Some(base_offset) = offset(".index") {
                listing.offset_indexes.push(base_offset);
            } else if let Some(base_offset) = offset(".timeindex") {
                listing.time_indexes.push(base_offset);
            } else if entry.name == damage::FILE_NAME {
                listing.has_damage = true;
            } else if entry.name.ends_with(names::DELETED) || entry.name.ends_with(".tmp") {
                leftovers.push(entry.name);
            }
        }
        listing.segments.sort_unstable_by_key(|found| found.base_offset);
        listing.snapshots.sort_unstable();
        let orphans = |bases: &mut Vec<i64>, name: fn(i64) -> String, leftovers: &mut Vec<String>| {
            bases.retain(|&base| {
                let owned = listing.segments.iter().any(|found| found.base_offset == base);
                if !owned {
                    leftovers.push(name(base));
                }
                owned
            });
        };
        orphans(&mut listing.offset_indexes, names::offset_index, &mut leftovers);
        orphans(&mut listing.time_indexes, names::time_index, &mut leftovers);
        for name in leftovers {
            let path = shared.dir.join(name);
            remove_if_there(shared.files.disk(), &path).map_err(OpenError::io(Path::new(&path)))?;
        }
        Ok(Some(listing))
    }

    /// Position of the last segment that starts at or before `offset`; of the first when there is none.
    pub fn floor(&self, offset: i64) -> usize {
        self.segments.partition_point(|found| found.base_offset <= offset).saturating_sub(1)
    }

    /// Whether the bytes a damaged range speaks of are still here.
    pub fn holds(&self, range: &DamagedRange) -> bool {
        self.segments.iter().any(|found| found.base_offset == range.segment && range.to_position <= found.len)
    }
}
