//! Idempotent and transactional producers.

use crate::key::Dynamic::{ClusterWide, ReadOnly};
use crate::key::Importance::{High, Low};
use crate::key::Key;
use crate::key::Kind::{Boolean, Int, Short};
use crate::key::Status::{Honoured, Internal};
use crate::key::Validator::{Any, AtLeast};

use super::broker;

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    broker("add.partitions.to.txn.retry.backoff.max.ms", Int, Some("100"), AtLeast(0), High, ReadOnly,
        "Longest pause between retries of adding partitions to a transaction."),
    broker("add.partitions.to.txn.retry.backoff.ms", Int, Some("20"), AtLeast(1), High, ReadOnly,
        "First pause between retries of adding partitions to a transaction."),
    broker("producer.id.expiration.check.interval.ms", Int, Some("600000"), AtLeast(1), Low, ReadOnly,
        "Pause between removals of expired producer ids, for Kafka's tests.").is(Internal),
    broker("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1), Low, ClusterWide,
        "A producer that wrote nothing to a partition for this long is forgotten there; its sequence \
         numbers are no longer checked.").is(Honoured),
    broker("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Some("10000"),
        AtLeast(1), Low, ReadOnly,
        "Pause between looks for transactions that took too long."),
    broker("transaction.max.timeout.ms", Int, Some("900000"), AtLeast(1), High, ReadOnly,
        "Longest transaction timeout that a producer may ask for."),
    broker("transaction.partition.verification.enable", Boolean, Some("true"), Any, Low, ClusterWide,
        "Whether a partition must be part of the transaction before it is written to."),
    broker("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Some("3600000"),
        AtLeast(1), Low, ReadOnly,
        "Pause between removals of expired transactional ids."),
    broker("transaction.state.log.load.buffer.size", Int, Some("5242880"), AtLeast(1), High, ReadOnly,
        "Bytes read at a time when transactions are loaded."),
    broker("transaction.state.log.min.isr", Int, Some("2"), AtLeast(1), High, ReadOnly,
        "In-sync replicas without which the transaction topic is not written."),
    broker("transaction.state.log.num.partitions", Int, Some("50"), AtLeast(1), High, ReadOnly,
        "Partitions of the transaction topic."),
    broker("transaction.state.log.replication.factor", Short, Some("3"), AtLeast(1), High, ReadOnly,
        "Replicas of the transaction topic."),
    broker("transaction.state.log.segment.bytes", Int, Some("104857600"), AtLeast(1), High, ReadOnly,
        "Segment size of the transaction topic."),
    broker("transaction.two.phase.commit.enable", Boolean, Some("false"), Any, Low, ReadOnly,
        "Whether producers may take part in a two-phase commit."),
    broker("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1), High, ReadOnly,
        "A transactional id that is not used for this long is forgotten."),
];
