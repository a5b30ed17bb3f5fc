//! The names that dashboards for Kafka ask for: those of kafka_exporter, and those of the Prometheus JMX exporter with its rules
//! for Kafka brokers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::TopicTraffic;
use super::exposition::{Exposition, Kind};
use super::snapshot::{OffsetRow, PartitionRow, Snapshot};

/// As kafka_exporter names it (Grafana dashboard 7589).
pub(super) fn exporter(text: &mut Exposition, seen: &Snapshot) {
    text.family("kafka_brokers", Kind::Gauge, "Brokers in the cluster").sample(&[], seen.image.brokers().count());
    text.family("kafka_broker_info", Kind::Gauge, "1 for each broker, by its first address");
    for broker in seen.image.brokers() {
        if let Some(endpoint) = broker.endpoints.first() {
            let address = format!("{}:{}", endpoint.host, endpoint.port);
            text.sample(&[("id", &broker.id), ("address", &address)], 1);
        }
    }
    text.family("kafka_topic_partitions", Kind::Gauge, "Partitions of a topic");
    for rows in seen.partitions.chunk_by(|a, b| a.topic == b.topic) {
        text.sample(&[("topic", &rows[0].topic)], rows.len());
    }
    partitions(text, seen, "current_offset", "Offset that the next record of a partition gets", |p| p.end);
    partitions(text, seen, "oldest_offset", "Offset of the oldest record of a partition", |p| p.oldest);
    partitions(text, seen, "leader", "Broker that leads a partition", |p| p.leader.into());
    partitions(text, seen, "leader_is_preferred", "1 when the preferred replica leads", |p| p.preferred.into());
    partitions(text, seen, "replicas", "Replicas of a partition", |p| p.replicas as i64);
    partitions(text, seen, "in_sync_replica", "In-sync replicas of a partition", |p| p.in_sync as i64);
    partitions(text, seen, "under_replicated_partition", "1 when a replica is not in sync", |p| {
        (p.in_sync < p.replicas).into()
    });
    text.family("kafka_consumergroup_members", Kind::Gauge, "Members of a group");
    for group in &seen.groups {
        text.sample(&[("consumergroup", &group.id)], group.members);
    }
    offsets(text, seen, "current_offset", "Offset a group has committed", |row| Some(row.offset as f64));
    offsets(text, seen, "lag", "Records between the committed offset and the end of the partition", |row| {
        Some(row.lag as f64)
    });
    offsets(
        text,
        seen,
        "lag_seconds",
        "Time since the first record was appended that a group has not consumed",
        |row| row.lag_seconds,
    );
    sums(text, seen, "current_offset_sum", "Offsets a group has committed, summed over a topic", |row| row.offset);
    sums(text, seen, "lag_sum", "Lag of a group, summed over a topic", |row| row.lag);
}

fn partitions(text: &mut Exposition, seen: &Snapshot, name: &str, help: &str, value: impl Fn(&PartitionRow) -> i64) {
    text.family(&format!("kafka_topic_partition_{name}"), Kind::Gauge, help);
    for row in &seen.partitions {
        text.sample(&[("topic", &row.topic), ("partition", &row.index)], value(row));
    }
}

fn offsets(text: &mut Exposition, seen: &Snapshot, name: &str, help: &str, value: impl Fn(&OffsetRow) -> Option<f64>) {
    text.family(&format!("kafka_consumergroup_{name}"), Kind::Gauge, help);
    for group in &seen.groups {
        for row in &group.offsets {
            if let Some(value) = value(row) {
                let (topic, index) = (&row.topic, &row.index);
                text.sample(&[("consumergroup", &group.id), ("topic", topic), ("partition", index)], value);
            }
        }
    }
}

fn sums(text: &mut Exposition, seen: &Snapshot, name: &str, help: &str, value: impl Fn(&OffsetRow) -> i64) {
    text.family(&format!("kafka_consumergroup_{name}"), Kind::Unknown, help);
    for group in &seen.groups {
        for rows in group.offsets.chunk_by(|a, b| a.topic == b.topic) {
            let sum: i64 = rows.iter().map(&value).sum();
            text.sample(&[("consumergroup", &group.id), ("topic", &rows[0].topic)], sum);
        }
    }
}

/// Of one API: its name, how often it was answered, and how long that took in all.
pub(super) struct RequestRow {
    pub(super) api: &'static str,
    pub(super) count: u64,
    pub(super) sum_ms: f64,
    /// For each of [`QUANTILES`], where there were requests lately.
    pub(super) quantiles_ms: Option<[f64; QUANTILES.len()]>,
}

/// The percentiles of Kafka's own metrics, as the JMX exporter's rules write them.
pub(super) const QUANTILES: [(f64, &str); 6] =
    [(0.5, "0.50"), (0.75, "0.75"), (0.95, "0.95"), (0.98, "0.98"), (0.99, "0.99"), (0.999, "0.999")];

/// As the JMX exporter names the MBeans of a broker.
pub(super) fn jmx(text: &mut Exposition, seen: &Snapshot, requests: &[RequestRow]) {
    let mut traffic = |name: &str, help: &str, counter: fn(&TopicTraffic) -> &AtomicU64| {
        text.family(&format!("kafka_server_brokertopicmetrics_{name}"), Kind::Counter, help);
        for row in &seen.traffic {
            text.sample(&[("topic", &row.topic)], counter(&row.traffic).load(Ordering::Relaxed));
        }
    };
    traffic("messagesin", "Records produced to a topic", |t| &t.records_in);
    traffic("bytesin", "Bytes produced to a topic", |t| &t.bytes_in);
    traffic("bytesout", "Bytes of a topic sent to consumers", |t| &t.bytes_out);
    let gauges: [(&str, &str, u64); 8] = [
        ("server_replicamanager_partitioncount", "Partitions on this broker", seen.image.partition_count()),
        ("server_replicamanager_leadercount", "Partitions this broker leads", seen.counts.led_here),
        (
            "server_replicamanager_underreplicatedpartitions",
            "Partitions of which a replica is not in sync",
            seen.counts.under_replicated,
        ),
        ("controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader", seen.counts.offline),
        (
            "controller_kafkacontroller_activecontrollercount",
            "1 when this broker is the controller",
            (seen.image.controller() == Some(seen.node_id)).into(),
        ),
        ("controller_kafkacontroller_globaltopiccount", "Topics in the cluster", seen.image.topic_count()),
        ("controller_kafkacontroller_globalpartitioncount", "Partitions in the cluster", seen.image.partition_count()),
        (
            "controller_kafkacontroller_activebrokercount",
            "Brokers that are not fenced",
            seen.image.brokers().filter(|broker| !broker.fenced).count() as u64,
        ),
    ];
    for (name, help, value) in gauges {
        text.family(&format!("kafka_{name}"), Kind::Gauge, help).sample(&[], value);
    }
    text.family("kafka_network_requestmetrics_requests", Kind::Counter, "Requests by API");
    for row in requests {
        text.sample(&[("request", &row.api)], row.count);
    }
    text.family("kafka_network_requestmetrics_totaltimems", Kind::Summary, "Milliseconds from a request to its answer");
    for row in requests {
        for ((_, quantile), ms) in QUANTILES.iter().zip(row.quantiles_ms.into_iter().flatten()) {
            text.sample(&[("request", &row.api), ("quantile", quantile)], ms);
        }
        text.suffixed("_sum", &[("request", &row.api)], row.sum_ms);
        text.suffixed("_count", &[("request", &row.api)], row.count);
    }
}
