//! What a request costs its client: the quotas it is charged to, and how long its connection then waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll};

use chronik_metadata::image::Quotas;
use chronik_protocol::messages::*;
use tokio::time::Instant;

use crate::api::RequestContext;
use crate::quotas::{Client, Use};

/// Without authentication every client is this one.
const ANONYMOUS: &str = "ANONYMOUS";
/// From nanoseconds on a thread to percent of that thread in one second.
const PERCENT_PER_NANOSECOND: f64 = 100.0 / 1e9;

/// A response that can tell its client how long the broker will not listen to it (KIP-219).
pub(crate) trait Throttled {
    fn set_throttle_time_ms(&mut self, throttle_ms: i32);
}

macro_rules! throttled {
    ($($response:ident)*) => { $(
        impl Throttled for $response {
            fn set_throttle_time_ms(&mut self, throttle_ms: i32) {
                self.throttle_time_ms = throttle_ms;
            }
        }
    )* };
}

throttled! {
    ProduceResponse FetchResponse ListOffsetsResponse MetadataResponse OffsetCommitResponse OffsetFetchResponse
    FindCoordinatorResponse JoinGroupResponse HeartbeatResponse LeaveGroupResponse SyncGroupResponse DescribeGroupsResponse
    ListGroupsResponse ApiVersionsResponse CreateTopicsResponse DeleteTopicsResponse DeleteRecordsResponse
    InitProducerIdResponse OffsetForLeaderEpochResponse DescribeConfigsResponse AlterConfigsResponse DescribeLogDirsResponse
    CreatePartitionsResponse DeleteGroupsResponse ElectLeadersResponse IncrementalAlterConfigsResponse
    AlterPartitionReassignmentsResponse ListPartitionReassignmentsResponse OffsetDeleteResponse
    ConsumerGroupHeartbeatResponse ConsumerGroupDescribeResponse ListConfigResourcesResponse
    DescribeClientQuotasResponse AlterClientQuotasResponse DescribeClusterResponse DescribeProducersResponse
    UnregisterBrokerResponse UpdateFeaturesResponse DescribeTopicPartitionsResponse
}

impl Throttled for DescribeQuorumResponse {
    /// It has no place for it: the connection waits all the same.
    fn set_throttle_time_ms(&mut self, _: i32) {}
}

/// Of a request that is charged to quotas: time spent on it so far, and what its client is to wait.
pub(crate) struct Meter {
    quotas: Arc<Quotas>,
    began: Instant,
    /// Nanoseconds on a thread, without the poll under way.
    spent: AtomicU64,
    /// Of these, how many are charged.
    charged: AtomicU64,
    /// When the poll under way began, in nanoseconds since `began`.
    polled: AtomicU64,
    throttle_ms: AtomicI64,
}

impl Meter {
    pub(crate) fn new(quotas: Arc<Quotas>) -> Self {
        Meter {
            quotas,
            began: Instant::now(),
            spent: AtomicU64::new(0),
            charged: AtomicU64::new(0),
            polled: AtomicU64::new(0),
            throttle_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn throttle_ms(&self) -> i64 {
        self.throttle_ms.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed) + (self.now() - self.polled.load(Ordering::Relaxed))
    }

    fn wait_at_least(&self, throttle_ms: i64) {
        self.throttle_ms.fetch_max(throttle_ms, Ordering::Relaxed);
    }
}

/// Measures how long its future is on a thread.
pub(crate) struct Timed<F> {
    pub(crate) meter: Arc<Meter>,
    pub(crate) work: Pin<Box<F>>,
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.meter.polled.store(self.meter.now(), Ordering::Relaxed);
        let result = self.work.as_mut().poll(cx);
        self.meter.spent.store(self.meter.spent(), Ordering::Relaxed);
        result
    }
}

impl RequestContext {
    fn client(&self) -> Client<'_> {
        Client { user: ANONYMOUS, client_id: self.header.client_id.as_deref().unwrap_or_default() }
    }

    /// Charges bytes. Milliseconds that the client is to wait for them.
    pub(crate) fn charge(&self, of: Use, amount: usize) -> i64 {
        let Some(meter) = &self.meter else { return 0 };
        let (quotas, now_ms) = (&meter.quotas, self.broker.monotonic_ms() as i64);
        let throttle_ms = self.broker.quotas().charge(quotas, of, self.client(), now_ms, amount as f64);
        meter.wait_at_least(throttle_ms);
        throttle_ms
    }

    /// Takes back what was charged for what is not sent after all; the client waits as long as it was told.
    pub(crate) fn take_back(&self, of: Use, amount: usize) {
        if let Some(meter) = &self.meter {
            let now_ms = self.broker.monotonic_ms() as i64;
            self.broker.quotas().take_back(&meter.quotas, of, self.client(), now_ms, amount as f64);
        }
    }

    /// The most bytes the client may fetch with one request.
    pub(crate) fn most_to_fetch(&self) -> usize {
        let meter = self.meter.as_ref();
        meter.and_then(|meter| self.broker.quotas().most_at_once(&meter.quotas, self.client())).unwrap_or(usize::MAX)
    }

    /// Charges partitions that are to be created or deleted; see [`crate::quotas::ClientQuotas::mutate`]. Whether they may be.
    pub(crate) fn charge_mutation(&self, partitions: usize, strict: bool) -> bool {
        let Some(meter) = &self.meter else { return true };
        let now_ms = self.broker.monotonic_ms() as i64;
        let outcome = self.broker.quotas().mutate(&meter.quotas, self.client(), now_ms, partitions, strict);
        let (Ok(throttle_ms) | Err(throttle_ms)) = outcome;
        meter.wait_at_least(throttle_ms);
        outcome.is_ok()
    }

    /// Charges the time spent on the request since this was last called. Milliseconds that the client is to wait, for this and all else.
    pub(crate) fn charge_time(&self) -> i32 {
        let Some(meter) = &self.meter else { return 0 };
        let spent = meter.spent();
        let new = spent - meter.charged.swap(spent, Ordering::Relaxed);
        let percent = new as f64 * PERCENT_PER_NANOSECOND;
        let now_ms = self.broker.monotonic_ms() as i64;
        meter.wait_at_least(self.broker.quotas().charge(&meter.quotas, Use::Request, self.client(), now_ms, percent));
        i32::try_from(meter.throttle_ms()).unwrap_or(i32::MAX)
    }
}
