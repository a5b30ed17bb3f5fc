//! Metrics, quotas, plug-ins and the rest.

use crate::key::Dynamic::{ClusterWide, ReadOnly};
use crate::key::Importance::{High, Low, Medium};
use crate::key::Key;
use crate::key::Kind::{Class, Int, List, Long, String};
use crate::key::Status::{Honoured, Own};
use crate::key::Validator::{Any, AtLeast, Distinct};

use super::broker;

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    broker("alter.config.policy.class.name", Class, None, Any, Low, ReadOnly,
        "Java class that may veto changes of topic settings."),
    broker("alter.log.dirs.replication.quota.window.num", Int, Some("11"), AtLeast(1), Low, ReadOnly,
        "Samples kept for the quota on moves between log directories."),
    broker("alter.log.dirs.replication.quota.window.size.seconds", Int, Some("1"), AtLeast(1), Low, ReadOnly,
        "Length of one such sample."),
    broker("background.threads", Int, Some("10"), AtLeast(1), High, ClusterWide,
        "Threads for background work of the server."),
    broker("client.quota.callback.class", Class, None, Any, Low, ReadOnly,
        "Java class that computes client quotas."),
    broker("config.providers", List, Some(""), Distinct, Low, ClusterWide,
        "Java classes that resolve variables inside other values."),
    broker("create.topic.policy.class.name", Class, None, Any, Low, ReadOnly,
        "Java class that may veto the creation of topics."),
    broker("delete.records.purgatory.purge.interval.requests", Int, Some("1"), Any, Medium, ReadOnly,
        "Finished DeleteRecords requests that may wait in memory before they are dropped."),
    broker("kafka.metrics.polling.interval.secs", Int, Some("10"), AtLeast(1), Low, ReadOnly,
        "Pause between polls of the older metrics reporters."),
    broker("kafka.metrics.reporters", List, Some(""), Distinct, Low, ReadOnly,
        "Java classes of the older metrics reporters."),
    broker("metric.reporters", List, Some(""), Distinct, Low, ClusterWide,
        "Java classes that report metrics. Kafka's default is its JMX reporter. Metrics are served \
         over HTTP here."),
    broker("metrics.max.partitions", Int, Some("10000"), AtLeast(0), Low, ReadOnly,
        "Partitions with metrics of their own, and as many committed offsets of groups; the metric \
         chronik_metrics_left_out says how many have none.").is(Own),
    broker("metrics.num.samples", Int, Some("2"), AtLeast(1), Low, ReadOnly,
        "Samples kept for each metric."),
    broker("metrics.recording.level", String, Some("INFO"), Any, Low, ReadOnly,
        "How detailed the recorded metrics are."),
    broker("metrics.sample.window.ms", Long, Some("30000"), AtLeast(1), Low, ReadOnly,
        "Length of one sample of a metric."),
    broker("producer.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium, ReadOnly,
        "Finished produce requests that may wait in memory before they are dropped."),
    broker("quota.window.num", Int, Some("11"), AtLeast(1), Low, ReadOnly,
        "Samples kept for client quotas.").is(Honoured),
    broker("quota.window.size.seconds", Int, Some("1"), AtLeast(1), Low, ReadOnly,
        "Length of one such sample."),
    broker("telemetry.max.bytes", Int, Some("1048576"), AtLeast(1), Low, ReadOnly,
        "Most bytes of metrics that a client may push at once."),
];
