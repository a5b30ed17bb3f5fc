//! Counters of one broker instance, and their rendering for Prometheus. Nothing here is global: several brokers share a process.

mod exposition;
mod kafka;
mod logs;
mod recent;
mod snapshot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronik_env::task::Usage;
use chronik_protocol::api;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub(crate) use self::exposition::Format;
use self::exposition::{Exposition, Kind, with_plain_counters};
use self::kafka::{QUANTILES, RequestRow};
pub(crate) use self::logs::{LogMetrics, TopicTraffic};
use self::recent::Recent;
pub(crate) use self::recent::WINDOW;
use self::snapshot::{AppendedAt, Snapshot};
use crate::broker::Broker;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    api: &'static str,
}

/// Of one row of the API table.
struct Requests {
    key: i16,
    name: &'static str,
    duration: Histogram,
    /// What the histogram counts too, but does not tell.
    count: AtomicU64,
    sum_ns: AtomicU64,
    recent: Recent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabel {
    topic: String,
}

pub(crate) struct Metrics {
    /// By row of the API table, so that the hot path looks nothing up.
    requests: Vec<Requests>,
    family: Family<Api, Histogram, fn() -> Histogram>,
    records_in: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    /// What the last scrape found, for the next.
    lag_times: Mutex<AppendedAt>,
}

fn latency() -> Histogram {
    // 50 µs to 26 s.
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

impl Default for Metrics {
    fn default() -> Self {
        let family: Family<Api, Histogram, fn() -> Histogram> = Family::new_with_constructor(latency);
        let requests = api::TABLE.iter().map(|row| Requests {
            key: row.key,
            name: row.name,
            duration: family.get_or_create(&Api { api: row.name }).clone(),
            count: AtomicU64::new(0),
            sum_ns: AtomicU64::new(0),
            recent: Recent::default(),
        });
        let requests = requests.collect();
        Metrics {
            requests,
            family,
            records_in: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            lag_times: Mutex::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn request(&self, api_key: i16, took: Duration) {
        if let Ok(row) = self.requests.binary_search_by_key(&api_key, |row| row.key) {
            let row = &self.requests[row];
            row.duration.observe(took.as_secs_f64());
            row.count.fetch_add(1, Ordering::Relaxed);
            row.sum_ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
            row.recent.observe(took);
        }
    }

    /// To be called once a [`WINDOW`]: quantiles are of recent requests.
    pub(crate) fn turn_window(&self) {
        self.requests.iter().for_each(|row| row.recent.turn());
    }

    pub(crate) fn produced(&self, records: u64, bytes: u64) {
        self.records_in.inc_by(records);
        self.bytes_in.inc_by(bytes);
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.bytes_out.inc_by(bytes);
    }

    fn take_lag_times(&self) -> AppendedAt {
        std::mem::take(&mut *self.lag_times.lock())
    }

    fn keep_lag_times(&self, found: AppendedAt) {
        *self.lag_times.lock() = found;
    }

    /// The text of `GET /metrics`. Blocks.
    pub(crate) fn render(&self, broker: &Broker, format: Format) -> String {
        let seen = Snapshot::take(broker);
        let own = self.own(broker, &seen);
        let mut text = Exposition::new(format);
        text.append(&if format == Format::Plain { with_plain_counters(&own) } else { own });
        if let Some(usage) = broker.env().tasks.usage() {
            process(&mut text, &usage);
        }
        kafka::exporter(&mut text, &seen);
        kafka::jmx(&mut text, &seen, &self.request_rows());
        text.finish()
    }

    fn request_rows(&self) -> Vec<RequestRow> {
        let rows = self.requests.iter().map(|row| RequestRow {
            api: row.name,
            count: row.count.load(Ordering::Relaxed),
            sum_ms: row.sum_ns.load(Ordering::Relaxed) as f64 / 1e6,
            quantiles_ms: row.recent.quantiles(QUANTILES.map(|(share, _)| share)),
        });
        rows.filter(|row| row.count > 0).collect()
    }

    /// What has names of our own, in OpenMetrics.
    fn own(&self, broker: &Broker, seen: &Snapshot) -> String {
        let mut registry = Registry::with_prefix("chronik");
        registry.register_with_unit(
            "request_duration",
            "Time from the begin of a request to its answer",
            Unit::Seconds,
            self.family.clone(),
        );
        registry.register("produced_records", "Records appended for producers", self.records_in.clone());
        registry.register_with_unit(
            "produced",
            "Bytes of record batches appended for producers",
            Unit::Bytes,
            self.bytes_in.clone(),
        );
        registry.register_with_unit(
            "fetched",
            "Bytes of record batches sent to consumers",
            Unit::Bytes,
            self.bytes_out.clone(),
        );
        registry.register_with_unit(
            "log_sync_duration",
            "Time that a sync of a partition's log took",
            Unit::Seconds,
            broker.partitions().metrics().sync_duration.clone(),
        );
        let logs: Family<TopicLabel, Gauge> = Family::default();
        for topic in seen.image.topics() {
            if let Some(bytes) = seen.log_bytes.get(&topic.id) {
                logs.get_or_create(&TopicLabel { topic: topic.name().to_owned() }).set(*bytes as i64);
            }
        }
        registry.register_with_unit("log_size", "Bytes of a topic's logs that are open", Unit::Bytes, logs);
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        };
        let image = &seen.image;
        gauge("topics", "Topics in the metadata", image.topic_count());
        gauge("partitions", "Partitions in the metadata", image.partition_count());
        gauge("partitions_open", "Partitions whose log is open", broker.partitions().open_count() as u64);
        gauge("request_bytes", "Bytes of requests being read or handled", broker.request_memory().used());
        gauge("groups_active", "Groups with members", broker.groups().live_count() as u64);
        gauge("groups", "Groups in the metadata", image.group_count());
        gauge("committed_offsets", "Committed offsets in the metadata", image.committed_offset_count());
        gauge("metrics_left_out", "Partitions and offsets without metrics, for metrics.max.partitions", seen.left_out);
        gauge(
            "response_bytes",
            "Bytes of responses that clients have not read",
            broker.unread_bytes().load(Ordering::Relaxed) as u64,
        );
        gauge("metadata_memory_bytes", "Bytes of memory the metadata takes, counted", image.memory_bytes() as u64);
        gauge("metadata_offset", "Offset of the last metadata record applied", image.offset().max(0) as u64);
        gauge("connections", "Client connections", broker.connections().total() as u64);
        gauge("fetch_sessions", "Incremental fetch sessions", broker.fetch_sessions().len() as u64);
        gauge(
            "data_dir_failed",
            "1 when a write failed and the data directory takes no more",
            broker.has_failed().into(),
        );
        gauge(
            "data_dir_low_space",
            "1 when produce is refused for want of disk space",
            broker.dir().is_low_on_space().into(),
        );
        let mut text = String::new();
        // Formatting into a String does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

/// As every Prometheus client library names it.
fn process(text: &mut Exposition, usage: &Usage) {
    text.family("process_resident_memory_bytes", Kind::Gauge, "Resident memory").sample(&[], usage.resident_bytes);
    text.family("process_cpu_seconds", Kind::Counter, "Processor time").sample(&[], usage.cpu_seconds);
    text.family("process_open_fds", Kind::Gauge, "Open files").sample(&[], usage.open_files);
}
