//! Tiered storage.

use crate::key::Dynamic::{ClusterWide, ReadOnly};
use crate::key::Importance::{Low, Medium};
use crate::key::Key;
use crate::key::Kind::{Boolean, Double, Int, Long, String};
use crate::key::Status::Internal;
use crate::key::Validator::{Any, AtLeast, Fraction, NotEmpty};

use super::broker;

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    broker("follower.fetch.last.tiered.offset.enable", Boolean, Some("false"), Any, Medium, ClusterWide,
        "Whether a new follower starts at the last offset in tiered storage."),
    broker("remote.fetch.max.wait.ms", Int, Some("500"), AtLeast(1), Medium, ClusterWide,
        "How long a fetch may wait for tiered storage."),
    broker("remote.list.offsets.request.timeout.ms", Long, Some("30000"), AtLeast(1), Medium, ClusterWide,
        "How long a look-up of offsets may wait for tiered storage."),
    broker("remote.log.index.file.cache.total.size.bytes", Long, Some("1073741824"), AtLeast(1), Low, ClusterWide,
        "Disk space for indexes fetched from tiered storage."),
    broker("remote.log.index.file.cache.ttl.ms", Long, Some("900000"), AtLeast(-1), Low, ReadOnly,
        "How long an unused index from tiered storage is kept.").is(Internal),
    broker("remote.log.manager.copier.thread.pool.size", Int, Some("10"), AtLeast(1), Medium, ClusterWide,
        "Threads that copy segments to tiered storage."),
    broker("remote.log.manager.copy.max.bytes.per.second", Long, Some("9223372036854775807"),
        AtLeast(1), Medium, ClusterWide,
        "Bytes a second that may be copied to tiered storage."),
    broker("remote.log.manager.copy.quota.window.num", Int, Some("11"), AtLeast(1), Medium, ReadOnly,
        "Samples kept for the limit on copying."),
    broker("remote.log.manager.copy.quota.window.size.seconds", Int, Some("1"), AtLeast(1), Medium, ReadOnly,
        "Length of one such sample."),
    broker("remote.log.manager.expiration.thread.pool.size", Int, Some("10"), AtLeast(1), Medium, ClusterWide,
        "Threads that remove expired segments from tiered storage."),
    broker("remote.log.manager.fetch.max.bytes.per.second", Long, Some("9223372036854775807"),
        AtLeast(1), Medium, ClusterWide,
        "Bytes a second that may be fetched from tiered storage."),
    broker("remote.log.manager.fetch.quota.window.num", Int, Some("11"), AtLeast(1), Medium, ReadOnly,
        "Samples kept for the limit on fetching."),
    broker("remote.log.manager.fetch.quota.window.size.seconds", Int, Some("1"), AtLeast(1), Medium, ReadOnly,
        "Length of one such sample."),
    broker("remote.log.manager.follower.thread.pool.size", Int, Some("2"), AtLeast(1), Medium, ClusterWide,
        "Threads that follow tiered partitions led elsewhere."),
    broker("remote.log.manager.task.interval.ms", Long, Some("30000"), AtLeast(1), Low, ReadOnly,
        "Pause between runs of the work on tiered storage."),
    broker("remote.log.manager.task.retry.backoff.max.ms", Long, Some("30000"), AtLeast(1), Low, ReadOnly,
        "Longest pause before failed work on tiered storage is tried again.").is(Internal),
    broker("remote.log.manager.task.retry.backoff.ms", Long, Some("500"), AtLeast(1), Low, ReadOnly,
        "First pause before failed work on tiered storage is tried again.").is(Internal),
    broker("remote.log.manager.task.retry.jitter", Double, Some("0.2"), Fraction(0.0, 0.5), Low, ReadOnly,
        "Random share of that pause.").is(Internal),
    broker("remote.log.manager.thread.pool.size", Int, Some("2"), AtLeast(1), Medium, ReadOnly,
        "Threads for scheduling the work on tiered storage."),
    broker("remote.log.metadata.custom.metadata.max.bytes", Int, Some("128"), AtLeast(0), Low, ReadOnly,
        "Most bytes of a plug-in's own data about a segment."),
    broker("remote.log.metadata.manager.class.name", String, Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
        NotEmpty, Medium, ReadOnly,
        "Java class that keeps track of segments in tiered storage."),
    broker("remote.log.metadata.manager.class.path", String, None, Any, Medium, ReadOnly,
        "Where that class is found."),
    broker("remote.log.metadata.manager.impl.prefix", String, Some("rlmm.config."), NotEmpty, Medium, ReadOnly,
        "Prefix of the settings handed to that class."),
    broker("remote.log.metadata.manager.listener.name", String, None, NotEmpty, Medium, ReadOnly,
        "Listener over which that class reaches the brokers."),
    broker("remote.log.reader.max.pending.tasks", Int, Some("100"), AtLeast(1), Medium, ReadOnly,
        "Reads from tiered storage that may wait."),
    broker("remote.log.reader.threads", Int, Some("10"), AtLeast(1), Medium, ClusterWide,
        "Threads that read from tiered storage."),
    broker("remote.log.storage.manager.class.name", String, None, NotEmpty, Medium, ReadOnly,
        "Java class that moves segments to and from tiered storage."),
    broker("remote.log.storage.manager.class.path", String, None, Any, Medium, ReadOnly,
        "Where that class is found."),
    broker("remote.log.storage.manager.impl.prefix", String, Some("rsm.config."), NotEmpty, Medium, ReadOnly,
        "Prefix of the settings handed to that class."),
    broker("remote.log.storage.system.enable", Boolean, Some("false"), Any, Medium, ReadOnly,
        "Whether the broker has tiered storage."),
];
