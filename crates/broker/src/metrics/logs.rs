//! What the logs count: traffic by topic, and syncs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronik_protocol::types::TopicId;
use parking_lot::RwLock;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Counted since the start of the broker, or the creation of the topic.
#[derive(Default)]
pub(crate) struct TopicTraffic {
    pub(super) records_in: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl TopicTraffic {
    pub(crate) fn produced(&self, records: u64, bytes: u64) {
        self.records_in.fetch_add(records, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }
}

pub(crate) struct LogMetrics {
    topics: RwLock<HashMap<TopicId, Arc<TopicTraffic>, foldhash::fast::FixedState>>,
    pub(super) sync_duration: Histogram,
}

impl Default for LogMetrics {
    fn default() -> Self {
        // 50 µs to 26 s.
        LogMetrics { topics: RwLock::default(), sync_duration: Histogram::new(exponential_buckets(0.000_05, 2.0, 20)) }
    }
}

impl LogMetrics {
    /// The counters of a topic.
    pub(crate) fn of(&self, topic: TopicId) -> Arc<TopicTraffic> {
        if let Some(traffic) = self.topics.read().get(&topic) {
            return traffic.clone();
        }
        self.topics.write().entry(topic).or_default().clone()
    }

    /// The counters of a topic that was produced to or read since the start.
    pub(super) fn get(&self, topic: TopicId) -> Option<Arc<TopicTraffic>> {
        self.topics.read().get(&topic).cloned()
    }

    /// The topic is deleted.
    pub(crate) fn forget(&self, topic: TopicId) {
        self.topics.write().remove(&topic);
    }

    pub(crate) fn synced(&self, took: Duration) {
        self.sync_duration.observe(took.as_secs_f64());
    }
}
