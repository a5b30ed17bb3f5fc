//! The partition log: segments, retention, compaction, timestamps, compression.

use crate::key::Dynamic::{ClusterWide, PerBroker, ReadOnly};
use crate::key::Importance::{High, Low, Medium};
use crate::key::Key;
use crate::key::Kind::{Boolean, Double, Int, List, Long, String};
use crate::key::Status::{Honoured, Internal, Own, Retired};
use crate::key::Validator::{Any, AtLeast, Between, BetweenOr, Distinct, Fraction, ListOf, OneOf};

use super::broker;

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    broker("auto.create.topics.enable", Boolean, Some("true"), Any, High, ReadOnly,
        "Create an unknown topic when a client asks for its metadata and allows creation, within the \
         same request.").is(Honoured),
    broker("batch.max.decompressed.bytes", Long, Some("268435456"), AtLeast(1_048_576), Medium, ReadOnly,
        "Most bytes that the records of one compressed batch may expand to. A larger batch is refused \
         as corrupt before more memory is used.").is(Own),
    broker("compression.gzip.level", Int, Some("-1"), BetweenOr(1, 9, -1), Medium, ClusterWide,
        "Level for batches that the broker compresses with gzip; -1 is the codec's default.").is(Honoured),
    broker("compression.lz4.level", Int, Some("9"), Between(1, 17), Medium, ClusterWide,
        "Level for batches that the broker compresses with lz4.").is(Honoured),
    broker("compression.type", String, Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), High, ClusterWide,
        "Codec of stored batches: a codec's name, uncompressed, or producer to keep what the producer \
         chose.").is(Honoured),
    broker("compression.zstd.level", Int, Some("3"), Between(-131_072, 22), Medium, ClusterWide,
        "Level for batches that the broker compresses with zstd.").is(Honoured),
    broker("cordoned.log.dirs", List, Some(""), Distinct, Medium, PerBroker,
        "Log directories that receive no new partitions."),
    broker("default.replication.factor", Int, Some("1"), Between(1, 32767), Medium, ReadOnly,
        "Replicas of a topic whose creator does not say how many.").is(Honoured),
    broker("delete.topic.enable", Boolean, Some("true"), Any, High, ReadOnly,
        "Whether topics can be deleted.").is(Honoured),
    broker("flush.mode", String, Some("sync"), OneOf(&["sync", "async"]), High, ClusterWide,
        "When an acknowledged batch is durable: with sync it has been written and synced to disk, \
         with async it is only in the operating system's cache, as with Kafka, and a crash of the \
         machine can lose it. Default of topics.").is(Own),
    broker("log.cleaner.backoff.ms", Long, Some("15000"), AtLeast(0), Medium, ClusterWide,
        "Pause of a cleaner thread that found nothing to compact."),
    broker("log.cleaner.dedupe.buffer.size", Long, Some("134217728"), Any, Medium, ClusterWide,
        "Memory of all cleaner threads for the keys of a compaction."),
    broker("log.cleaner.delete.retention.ms", Long, Some("86400000"), AtLeast(0), Medium, ClusterWide,
        "How long a compacted topic keeps markers of deleted keys. Default of topics."),
    broker("log.cleaner.enable", Boolean, Some("true"), Any, Medium, ReadOnly,
        "Whether logs are compacted at all."),
    broker("log.cleaner.io.buffer.load.factor", Double, Some("0.9"), Any, Medium, ClusterWide,
        "How full the cleaner's key table may get."),
    broker("log.cleaner.io.buffer.size", Int, Some("524288"), AtLeast(0), Medium, ClusterWide,
        "Memory of all cleaner threads for reading and writing."),
    broker("log.cleaner.io.max.bytes.per.second", Double, Some("1.7976931348623157E308"), Any, Medium, ClusterWide,
        "Bytes a second that all cleaner threads may read and write."),
    broker("log.cleaner.max.compaction.lag.ms", Long, Some("9223372036854775807"), AtLeast(1), Medium, ClusterWide,
        "A record of a compacted topic waits at most this long for compaction. Default of topics."),
    broker("log.cleaner.min.cleanable.ratio", Double, Some("0.5"), Fraction(0.0, 1.0), Medium, ClusterWide,
        "Share of a log that has to be uncompacted before it is worth compacting. Default of topics."),
    broker("log.cleaner.min.compaction.lag.ms", Long, Some("0"), AtLeast(0), Medium, ClusterWide,
        "A record of a compacted topic is left alone for at least this long. Default of topics."),
    broker("log.cleaner.threads", Int, Some("1"), AtLeast(0), Medium, ClusterWide,
        "Threads that compact logs."),
    broker("log.cleanup.policy", List, Some("delete"), ListOf(&["compact", "delete"]), Medium, ClusterWide,
        "What becomes of old segments: delete removes them by age and size, compact keeps the last \
         record of each key, both may be given, empty keeps everything. Default of topics.").is(Honoured),
    broker("log.dir", List, Some("./chronik-data"), Distinct, High, ReadOnly,
        "Data directory, where log.dirs is not set. Kafka's default lies in the system's temporary \
         directory.").is(Honoured),
    broker("log.dir.failure.timeout.ms", Long, Some("30000"), AtLeast(1), Low, ReadOnly,
        "A broker that cannot tell the controller about a failed log directory by then stops."),
    broker("log.dirs", List, None, Distinct, High, ReadOnly,
        "The data directory. Kafka takes a list, this broker exactly one.").is(Honoured),
    broker("log.dirs.min.free.bytes", Long, Some("268435456"), AtLeast(0), High, ClusterWide,
        "While the file system of the data directory has less free space than this, produce requests \
         are refused with a retriable error; fetching and deleting go on. 0 switches the mark off.").is(Own),
    broker("log.flush.interval.messages", Long, Some("9223372036854775807"), AtLeast(1), High, ClusterWide,
        "Records after which a log is synced. Default of topics. See flush.mode."),
    broker("log.flush.interval.ms", Long, None, Any, High, ClusterWide,
        "Time after which a log is synced. Default of topics. See flush.mode.").falls_back_to(&["log.flush.scheduler.interval.ms"]),
    broker("log.flush.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), High, ReadOnly,
        "Pause between writes of the recovery points. A log that nobody used for as long is closed.").is(Honoured),
    broker("log.flush.scheduler.interval.ms", Long, Some("9223372036854775807"), Any, High, ReadOnly,
        "Pause between checks for logs to sync."),
    broker("log.flush.start.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), High, ReadOnly,
        "Pause between writes of the log start offsets."),
    broker("log.index.interval.bytes", Int, Some("4096"), AtLeast(0), Medium, ClusterWide,
        "Bytes of log between two entries of its indexes. Default of topics.").is(Honoured),
    broker("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4), Medium, ClusterWide,
        "Largest index of a segment; a full one starts a new segment. Default of topics.").is(Honoured),
    broker("log.initial.task.delay.ms", Long, Some("30000"), AtLeast(0), Low, ReadOnly,
        "Delay of background work after the start, for Kafka's tests.").is(Internal),
    broker("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2), Medium, ClusterWide,
        "Bytes that a tiered partition keeps on local disk; -2 follows the retention of the whole. \
         Default of topics."),
    broker("log.local.retention.ms", Long, Some("-2"), AtLeast(-2), Medium, ClusterWide,
        "How long a tiered partition keeps segments on local disk; -2 follows the retention of the \
         whole. Default of topics."),
    broker("log.max.open.files", Int, Some("4096"), AtLeast(16), Medium, ReadOnly,
        "Segment files kept open at once. More partitions than this share them, opening files as they \
         are needed.").is(Own),
    broker("log.message.downconversion.enable", String, None, Any, Low, ReadOnly,
        "Removed from Kafka.").is(Retired),
    broker("log.message.format.version", String, None, Any, Low, ReadOnly,
        "Removed from Kafka.").is(Retired),
    broker("log.message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), Medium, ClusterWide,
        "How far ahead of the broker's clock a record's CreateTime may be. Default of topics.").is(Honoured),
    broker("log.message.timestamp.before.max.ms", Long, Some("9223372036854775807"), AtLeast(0), Medium, ClusterWide,
        "How far behind the broker's clock a record's CreateTime may be. Default of topics.").is(Honoured),
    broker("log.message.timestamp.difference.max.ms", String, None, Any, Low, ReadOnly,
        "Removed from Kafka.").is(Retired),
    broker("log.message.timestamp.type", String, Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide,
        "Whose time a record bears: CreateTime the producer's, LogAppendTime the broker's. Default of \
         topics.").is(Honoured),
    broker("log.preallocate", Boolean, Some("false"), Any, Medium, ClusterWide,
        "Reserve the space of a segment when it is created. Default of topics."),
    broker("log.retention.bytes", Long, Some("-1"), Any, High, ClusterWide,
        "Most bytes of one partition; the oldest segments go first. -1 means no limit. Default of \
         topics.").is(Honoured),
    broker("log.retention.check.interval.ms", Long, Some("300000"), AtLeast(1), Medium, ReadOnly,
        "Pause between looks for segments to remove.").is(Honoured),
    broker("log.retention.hours", Int, Some("168"), Any, High, ReadOnly,
        "How long records are kept, in hours, where neither log.retention.ms nor \
         log.retention.minutes is set; negative means forever. Default of topics.").is(Honoured),
    broker("log.retention.minutes", Int, None, Any, High, ReadOnly,
        "How long records are kept, in minutes, where log.retention.ms is not set; negative means \
         forever. Default of topics.").is(Honoured),
    broker("log.retention.ms", Long, None, Any, High, ClusterWide,
        "How long records are kept; negative means forever. Default of topics.").falls_back_to(&["log.retention.minutes", "log.retention.hours"]).is(Honoured),
    broker("log.roll.hours", Int, Some("168"), AtLeast(1), High, ReadOnly,
        "Age at which a new segment is started, in hours, where log.roll.ms is not set. Default of \
         topics.").is(Honoured),
    broker("log.roll.jitter.hours", Int, Some("0"), AtLeast(0), High, ReadOnly,
        "Largest random part taken off log.roll.hours, where log.roll.jitter.ms is not set. Default \
         of topics.").is(Honoured),
    broker("log.roll.jitter.ms", Long, None, Any, High, ClusterWide,
        "Largest random part taken off a segment's age limit, so that segments do not all end \
         together. Default of topics.").falls_back_to(&["log.roll.jitter.hours"]).is(Honoured),
    broker("log.roll.ms", Long, None, Any, High, ClusterWide,
        "Age at which a new segment is started even if it is not full. Default of topics.").falls_back_to(&["log.roll.hours"]).is(Honoured),
    broker("log.segment.bytes", Int, Some("1073741824"), AtLeast(1_048_576), High, ClusterWide,
        "Size at which a new segment is started. Default of topics.").is(Honoured),
    broker("log.segment.delete.delay.ms", Long, Some("60000"), AtLeast(0), High, ClusterWide,
        "Delay between taking a file out of a log and deleting it. Here it is deleted at once; who reads it reads on. \
         Default of topics."),
    broker("message.max.bytes", Int, Some("1048588"), AtLeast(0), High, ClusterWide,
        "Largest record batch that a producer may send, header included and as it is compressed. \
         Default of topics.").is(Honoured),
    broker("num.partitions", Int, Some("1"), AtLeast(1), Medium, ReadOnly,
        "Partitions of a topic whose creator does not say how many.").is(Honoured),
    broker("num.recovery.threads.per.data.dir", Int, Some("2"), AtLeast(1), High, ClusterWide,
        "Threads that open logs at start and close them at the end."),
];
