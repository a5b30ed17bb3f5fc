//! What a log is told: its settings, and what the directory-wide checkpoints say about it.

/// The settings of one partition's log, from the topic's and the broker's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `segment.bytes`: no segment grows past this; a larger batch is refused. Capped at 2³¹−1, since positions are i32
    /// on disk.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is closed once its first batch is older than this, in milliseconds.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to so many milliseconds are taken off that, other ones for each segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: the largest index file; a full index closes the segment.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: one index entry about every so many bytes of log.
    pub index_interval_bytes: u32,
    /// `retention.ms`; -1 = none.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 = none.
    pub retention_bytes: i64,
    /// Whether `cleanup.policy` has `delete`: only then do `retention_ms` and `retention_bytes` apply.
    pub delete: bool,
    /// `producer.id.expiration.ms`: how long the sequences of an idle producer are remembered.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogOptions {
    /// Kafka's defaults.
    fn default() -> Self {
        LogOptions {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 3600 * 1000,
            retention_bytes: -1,
            delete: true,
            producer_id_expiration_ms: 24 * 3600 * 1000,
        }
    }
}

impl LogOptions {
    /// Bytes a segment may hold.
    pub(crate) fn segment_limit(&self) -> u64 {
        u64::from(self.segment_bytes.min(i32::MAX as u32))
    }

    /// Age in milliseconds past which a segment is closed. `spread` says where between none and all of the jitter is taken off.
    pub(crate) fn segment_age_limit_ms(&self, spread: u32) -> i64 {
        let jitter = self.segment_jitter_ms.clamp(0, self.segment_ms.max(0));
        self.segment_ms - ((i128::from(jitter) * i128::from(spread)) >> 32) as i64
    }
}

/// What the directory-wide checkpoint files say about a partition; 0 where they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpointed {
    /// From `log-start-offset-checkpoint`.
    pub log_start_offset: i64,
    /// From `recovery-point-offset-checkpoint`: all below this offset was durable when it was written.
    pub recovery_point: i64,
}

/// How the process stopped last time, as far as one partition is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// [`crate::Log::close`] succeeded, or nothing was appended since the checkpoint.
    Clean,
    /// The tail past the recovery point may be torn.
    Unclean,
}
