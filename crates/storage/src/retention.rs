//! Deleting whole segments from the front: by age, by size, and below the log start offset.

use std::io;
use std::sync::Arc;

use chronik_env::fs::{Dir, is_shortage};

use crate::damage;
use crate::error::ChangeError;
use crate::log::Log;
use crate::names;
use crate::segment::Segment;
use crate::summary;
use crate::sync::remove_if_there;

/// What retention did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// The log start offset now.
    pub log_start_offset: i64,
    /// Bytes of the removed log files.
    pub removed_bytes: u64,
    pub removed_segments: usize,
}

impl Log {
    /// Removes the oldest segments as far as Kafka's rules allow: all below the log start offset; and, where
    /// `cleanup.policy` has `delete`, those whose largest timestamp is older than `retention_ms`, or without which
    /// `retention_bytes` still remain. Never one with offsets at or above `high_watermark`. If the last segment goes
    /// too, an empty one is begun first, so that offsets go on.
    ///
    /// Each removal is durable before the next one. After an error of the disk the log has failed, see
    /// [`Log::is_failed`]; not after a lack of room or of open files, which it meets before anything is removed.
    pub fn apply_retention(&mut self, now_ms: i64, high_watermark: i64) -> Result<Retained, ChangeError> {
        if self.failed {
            return Err(ChangeError::Failed);
        }
        let count = self.expired(now_ms, high_watermark)?;
        if count == 0 {
            return Ok(Retained { log_start_offset: self.shared.log_start(), removed_bytes: 0, removed_segments: 0 });
        }
        // All that may be short, before the first file goes.
        self.shared.with_summaries(|_| ())?;
        let dir = self.shared.files.disk().open_dir(&self.shared.dir)?;
        let removed = self.remove_first(count, now_ms, &*dir).inspect_err(|_| self.failed = true);
        let (removed_segments, removed_bytes) = removed?;
        Ok(Retained { log_start_offset: self.shared.log_start(), removed_bytes, removed_segments })
    }

    /// Whether [`Log::roll_if_due`] or [`Log::apply_retention`] would change a file now.
    pub fn is_retention_due(&mut self, now_ms: i64, high_watermark: i64) -> Result<bool, ChangeError> {
        if self.failed {
            return Err(ChangeError::Failed);
        }
        Ok(self.is_roll_due(now_ms)? || self.expired(now_ms, high_watermark)? > 0)
    }

    /// When the oldest segment outlives `retention_ms`, in wall-clock milliseconds. `None` when that is known only while
    /// the log is open, because a segment has no timestamps; `i64::MAX` for never.
    pub fn oldest_expires_ms(&self) -> Result<Option<i64>, ChangeError> {
        let segments = self.shared.segments.load();
        let options = &self.options;
        let Some(oldest) = segments.first().filter(|_| options.delete && options.retention_ms >= 0) else {
            return Ok(Some(i64::MAX));
        };
        let largest = oldest.max_timestamp(&self.shared)?;
        Ok(match segments.len() {
            1 if oldest.size() == 0 => Some(i64::MAX),
            _ if largest < 0 => None,
            _ => Some(largest.saturating_add(options.retention_ms)),
        })
    }

    /// How many of the oldest segments may go.
    fn expired(&self, now_ms: i64, high_watermark: i64) -> io::Result<usize> {
        let segments = self.shared.segments.load();
        let mut left: u64 = segments.iter().map(|segment| segment.size()).sum();
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(|next| next.base_offset);
            let upper = next.unwrap_or(self.shared.end());
            if upper > high_watermark || (next.is_none() && segment.size() == 0) {
                return Ok(at);
            }
            let below_start = next.is_some_and(|next| next <= self.shared.log_start());
            left -= segment.size();
            if !below_start && !self.outlived(segment, left, now_ms)? {
                return Ok(at);
            }
        }
        Ok(segments.len())
    }

    /// Whether a segment may go by `cleanup.policy=delete`; `left` bytes would remain.
    fn outlived(&self, segment: &Arc<Segment>, left: u64, now_ms: i64) -> io::Result<bool> {
        let options = &self.options;
        if !options.delete {
            return Ok(false);
        }
        if u64::try_from(options.retention_bytes).is_ok_and(|keep| left >= keep) {
            return Ok(true);
        }
        if options.retention_ms < 0 {
            return Ok(false);
        }
        let largest = segment.max_timestamp(&self.shared)?;
        let since = if largest >= 0 { largest } else { segment.created_ms };
        Ok(now_ms.saturating_sub(since) > options.retention_ms)
    }

    /// How many segments went, and the bytes of their log files.
    fn remove_first(&mut self, mut count: usize, now_ms: i64, dir: &dyn Dir) -> io::Result<(usize, u64)> {
        if count == self.shared.segments.load().len() {
            match self.begin_anew(now_ms) {
                // On a full disk the last segment stays, so that the others can go.
                Err(error) if is_shortage(&error) && !self.failed => count -= 1,
                begun => begun?,
            }
        }
        if count == 0 {
            return Ok((0, 0));
        }
        // A crash must not find the old segments gone and the new ones not there yet.
        match self.sync_dirs() {
            Err(error) if is_shortage(&error) => return Ok((0, 0)),
            synced => synced?,
        }
        let segments = self.shared.segments.load_full();
        let (removed, kept) = segments.split_at(count);
        let first_kept = kept.first().map_or(self.shared.end(), |segment| segment.base_offset);
        self.advance_log_start(first_kept);
        self.shared.segments.store(Arc::new(kept.to_vec()));
        self.shared
            .damage
            .rcu(|known| known.iter().filter(|range| range.segment >= first_kept).copied().collect::<Vec<_>>());
        for segment in removed {
            self.remove_files(segment, dir)?;
        }
        self.forget_before(first_kept)?;
        Ok((count, removed.iter().map(|segment| segment.size()).sum()))
    }

    /// Goes on in an empty segment.
    fn begin_anew(&mut self, now_ms: i64) -> io::Result<()> {
        if self.appendable {
            self.seal()?;
        }
        self.create_segment(now_ms)?;
        self.sync_now()
    }

    /// Removes a segment's files. The log file goes first and durably: later ones never vanish before earlier ones.
    fn remove_files(&mut self, segment: &Arc<Segment>, opened: &dyn Dir) -> io::Result<()> {
        let (disk, dir) = (self.shared.files.disk(), &self.shared.dir);
        let path = segment.path(&self.shared);
        let deleted = dir.join(format!("{}{}", names::log(segment.base_offset), names::DELETED));
        if let Some(file) = self.unsynced.file(segment.base_offset) {
            file.sync_data()?;
        }
        disk.rename(&path, &deleted)?;
        opened.sync()?;
        remove_if_there(disk, &deleted)?;
        self.unsynced.forget_file(segment.base_offset);
        for name in [names::offset_index(segment.base_offset), names::time_index(segment.base_offset)] {
            remove_if_there(disk, &dir.join(&name))?;
            // Instead of a write that waits for the next ticket.
            self.unsynced.then_remove(dir.join(name));
        }
        remove_if_there(disk, &dir.join(format!("{:020}.txnindex", segment.base_offset)))
    }

    /// Brings the files that speak of removed segments up to date.
    fn forget_before(&mut self, first_kept: i64) -> io::Result<()> {
        let dir = self.shared.dir.clone();
        let summaries = self.shared.with_summaries(|all| {
            let before = all.len();
            *all = all.split_off(&first_kept);
            (all.len() != before).then(|| summary::encode(all))
        })?;
        if let Some(contents) = summaries {
            self.unsynced.then_write(dir.join(summary::FILE_NAME), contents);
        }
        let disk = self.shared.files.disk();
        let damaged = dir.join(damage::FILE_NAME);
        if disk.exists(&damaged)? {
            match damage::write(disk, &dir, &self.shared.damage.load()) {
                // Recovery passes over ranges of segments that are gone.
                Err(error) if is_shortage(&error) => {}
                other => other?,
            }
        }
        Ok(())
    }
}
