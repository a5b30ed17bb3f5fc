//! Keys of a group (KIP-848, KIP-932, KIP-1071). Those of share and streams groups are kept and checked; there are no such groups yet.

use crate::key::Importance::Medium;
use crate::key::Kind::{Boolean, Int, String};
use crate::key::Status::Honoured;
use crate::key::Validator::{AtLeast, Between, OneOf};
use crate::key::{Dynamic, Key, Kind, Scope, Status, Validator};

const fn group(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    validator: Validator,
    synonyms: &'static [&'static str],
    doc: &'static str,
) -> Key {
    let (scope, dynamic, importance) = (Scope::Group, Dynamic::ClusterWide, Medium);
    Key { name, kind, default, validator, scope, dynamic, synonyms, importance, status: Status::Ignored, doc }
}

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    group("consumer.assignment.interval.ms", Int, Some("1000"), AtLeast(0), &["group.consumer.assignment.interval.ms"],
        "Least pause between two assignments of a consumer group.").is(Honoured),
    group("consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &["group.consumer.heartbeat.interval.ms"],
        "Pause between heartbeats that members of a consumer group are told.").is(Honoured),
    group("consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), &["group.consumer.session.timeout.ms"],
        "Time without a heartbeat after which a member of a consumer group is gone.").is(Honoured),
    group("share.assignment.interval.ms", Int, Some("1000"), AtLeast(0), &["group.share.assignment.interval.ms"],
        "Least pause between two assignments of a share group."),
    group("share.auto.offset.reset", String, Some("latest"), OneOf(&["latest", "earliest"]), &[],
        "Where a share group begins to read."),
    group("share.delivery.count.limit", Int, Some("5"), Between(2, 25), &["group.share.delivery.count.limit"],
        "Deliveries of a record to a share group before it is given up."),
    group("share.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &["group.share.heartbeat.interval.ms"],
        "Pause between heartbeats that members of a share group are told."),
    group("share.isolation.level", String, Some("read_uncommitted"), OneOf(&["read_committed", "read_uncommitted"]), &[],
        "Whether a share group reads records of transactions that are not committed."),
    group("share.partition.max.record.locks", Int, Some("2000"), Between(100, 10_000),
        &["group.share.partition.max.record.locks"],
        "Records of a partition that a share group may hold at once."),
    group("share.record.lock.duration.ms", Int, Some("30000"), AtLeast(1_000), &["group.share.record.lock.duration.ms"],
        "How long a member of a share group holds a record."),
    group("share.renew.acknowledge.enable", Boolean, Some("true"), Validator::Any, &[],
        "Whether a member of a share group may hold a record for longer."),
    group("share.session.timeout.ms", Int, Some("45000"), AtLeast(1), &["group.share.session.timeout.ms"],
        "Time without a heartbeat after which a member of a share group is gone."),
    group("streams.assignment.interval.ms", Int, Some("1000"), AtLeast(0), &["group.streams.assignment.interval.ms"],
        "Least pause between two assignments of a streams group."),
    group("streams.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), &["group.streams.heartbeat.interval.ms"],
        "Pause between heartbeats that members of a streams group are told."),
    group("streams.initial.rebalance.delay.ms", Int, Some("3000"), AtLeast(0),
        &["group.streams.initial.rebalance.delay.ms"],
        "How long a new streams group waits for more members."),
    group("streams.num.standby.replicas", Int, Some("0"), AtLeast(0), &["group.streams.num.standby.replicas"],
        "Standby copies of each task of a streams group."),
    group("streams.session.timeout.ms", Int, Some("45000"), AtLeast(1), &["group.streams.session.timeout.ms"],
        "Time without a heartbeat after which a member of a streams group is gone."),
];
