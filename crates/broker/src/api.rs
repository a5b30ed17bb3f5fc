//! From a decoded request to its handler, and from the handler's answer to a frame. Policy common to all APIs lives here;
//! handlers are plain functions from the newest request shape to the newest response shape.

use std::sync::Arc;
use std::time::Duration;

use chronik_env::net::BoxFuture;
use chronik_protocol::Encodable;
use chronik_protocol::api::RequestBody;
use chronik_protocol::frame::{self, RequestHeader, ResponseFrame};
use tokio::time::Instant;
use tracing::error;

use crate::broker::Broker;
use crate::connection::Origin;
use crate::handlers::{admin, cluster, data, group};
use crate::metering::{Meter, Throttled, Timed};

/// What a request is answered with.
pub(crate) enum Reply {
    Response(ResponseFrame),
    /// A produce with acks=0.
    Silence,
    /// The connection ends; the text says why.
    Close(String),
}

/// One request on its way through the broker.
pub(crate) struct RequestContext {
    pub(crate) broker: Arc<Broker>,
    pub(crate) origin: Origin,
    pub(crate) header: RequestHeader,
    /// There as long as any quota is set.
    pub(crate) meter: Option<Arc<Meter>>,
}

/// The end of a request.
pub(crate) struct Handled {
    pub(crate) reply: Reply,
    /// How long nothing more is taken from the connection (KIP-219).
    pub(crate) mute: Duration,
}

impl From<Reply> for Handled {
    fn from(reply: Reply) -> Self {
        Handled { reply, mute: Duration::ZERO }
    }
}

/// Whether the next request of the connection may begin before this one is answered: its effects take place when it begins.
pub(crate) fn pipelines(body: &RequestBody) -> bool {
    matches!(body, RequestBody::Produce(_) | RequestBody::OffsetCommit(_))
}

/// Handles one request. A produce appends when this future is first polled.
pub(crate) fn handle(
    broker: Arc<Broker>,
    origin: Origin,
    header: RequestHeader,
    body: RequestBody,
) -> BoxFuture<'static, Handled> {
    let began = Instant::now();
    let image = broker.image();
    let meter = (!image.quotas().is_empty()).then(|| Arc::new(Meter::new(image.quotas().clone())));
    let cx = RequestContext { broker, origin, header, meter: meter.clone() };
    let work = async move {
        let reply = dispatch(&cx, body).await;
        cx.broker.metrics().request(cx.header.api_key, began.elapsed());
        let throttle_ms = cx.meter.as_ref().map_or(0, |meter| meter.throttle_ms());
        Handled { reply, mute: Duration::from_millis(throttle_ms.max(0) as u64) }
    };
    match meter {
        None => Box::pin(work),
        Some(meter) => Box::pin(Timed { meter, work: Box::pin(work) }),
    }
}

async fn dispatch(cx: &RequestContext, body: RequestBody) -> Reply {
    match body {
        RequestBody::Produce(request) => match data::produce::handle(cx, request).await {
            data::produce::Answer::Response(response) => cx.encode(response),
            data::produce::Answer::Silence => {
                cx.charge_time();
                Reply::Silence
            }
            data::produce::Answer::Close(reason) => Reply::Close(reason),
        },
        RequestBody::Fetch(request) => cx.encode(data::fetch::handle(cx, request).await),
        RequestBody::ListOffsets(request) => cx.encode(data::list_offsets::handle(cx, request)),
        RequestBody::OffsetForLeaderEpoch(request) => cx.encode(data::offset_for_leader_epoch::handle(cx, request)),
        RequestBody::DeleteRecords(request) => cx.encode(data::delete_records::handle(cx, request).await),
        RequestBody::InitProducerId(request) => cx.encode(data::init_producer_id::handle(cx, request).await),
        RequestBody::Metadata(request) => cx.encode(cluster::metadata::handle(cx, request).await),
        RequestBody::JoinGroup(request) => cx.encode(group::join_group::handle(cx, request).await),
        RequestBody::SyncGroup(request) => cx.encode(group::sync_group::handle(cx, request).await),
        RequestBody::Heartbeat(request) => cx.encode(group::heartbeat::handle(cx, request).await),
        RequestBody::LeaveGroup(request) => cx.encode(group::leave_group::handle(cx, request).await),
        RequestBody::OffsetCommit(request) => cx.encode(group::offset_commit::handle(cx, request).await),
        RequestBody::OffsetFetch(request) => cx.encode(group::offset_fetch::handle(cx, request)),
        RequestBody::OffsetDelete(request) => cx.encode(group::offset_delete::handle(cx, request).await),
        RequestBody::DescribeGroups(request) => cx.encode(group::describe_groups::handle(cx, request)),
        RequestBody::ListGroups(request) => cx.encode(group::list_groups::handle(cx, request)),
        RequestBody::ConsumerGroupHeartbeat(request) => {
            cx.encode(group::consumer_group_heartbeat::handle(cx, request).await)
        }
        RequestBody::ConsumerGroupDescribe(request) => cx.encode(group::consumer_group_describe::handle(cx, request)),
        RequestBody::DeleteGroups(request) => cx.encode(group::delete_groups::handle(cx, request).await),
        RequestBody::FindCoordinator(request) => cx.encode(cluster::find_coordinator::handle(cx, request)),
        RequestBody::ApiVersions(request) => cx.encode(cluster::api_versions::handle(cx, request)),
        RequestBody::DescribeCluster(request) => cx.encode(cluster::describe_cluster::handle(cx, request)),
        RequestBody::DescribeTopicPartitions(request) => {
            cx.encode(cluster::describe_topic_partitions::handle(cx, request))
        }
        RequestBody::CreateTopics(request) => cx.encode(admin::create_topics::handle(cx, request).await),
        RequestBody::DeleteTopics(request) => cx.encode(admin::delete_topics::handle(cx, request).await),
        RequestBody::CreatePartitions(request) => cx.encode(admin::create_partitions::handle(cx, request).await),
        RequestBody::AlterConfigs(request) => cx.encode(admin::alter_configs::handle(cx, request).await),
        RequestBody::IncrementalAlterConfigs(request) => {
            cx.encode(admin::incremental_alter_configs::handle(cx, request).await)
        }
        RequestBody::DescribeLogDirs(request) => cx.encode(admin::describe_log_dirs::handle(cx, request).await),
        RequestBody::DescribeProducers(request) => cx.encode(admin::describe_producers::handle(cx, request)),
        RequestBody::ElectLeaders(request) => cx.encode(admin::elect_leaders::handle(cx, request)),
        RequestBody::AlterPartitionReassignments(request) => {
            cx.encode(admin::partition_reassignments::alter(cx, request))
        }
        RequestBody::ListPartitionReassignments(_) => cx.encode(admin::partition_reassignments::list()),
        RequestBody::DescribeClientQuotas(request) => cx.encode(admin::client_quotas::describe(cx, request)),
        RequestBody::AlterClientQuotas(request) => cx.encode(admin::client_quotas::alter(cx, request).await),
        RequestBody::UnregisterBroker(request) => cx.encode(admin::unregister_broker::handle(cx, request).await),
        RequestBody::UpdateFeatures(request) => cx.encode(admin::update_features::handle(cx, request).await),
        RequestBody::DescribeQuorum(request) => cx.encode(cluster::describe_quorum::handle(cx, request)),
        RequestBody::ListConfigResources(request) => cx.encode(admin::list_config_resources::handle(cx, request)),
        RequestBody::DescribeConfigs(request) => cx.encode(admin::describe_configs::handle(cx, request)),
    }
}

/// The answer to an ApiVersions request of a version above ours (KIP-511).
pub(crate) fn newer_api_versions(correlation_id: i32) -> Reply {
    let response = cluster::api_versions::unsupported_version();
    encode(cluster::api_versions::KEY, 0, correlation_id, &response)
}

impl RequestContext {
    fn encode<R: Encodable + Throttled>(&self, mut response: R) -> Reply {
        response.set_throttle_time_ms(self.charge_time());
        encode(self.header.api_key, self.header.api_version, self.header.correlation_id, &response)
    }

    /// The client's address as Kafka writes it.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.origin.peer.ip().to_canonical())
    }

    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }
}

fn encode<R: Encodable>(api_key: i16, version: i16, correlation_id: i32, response: &R) -> Reply {
    match frame::encode_response(api_key, version, correlation_id, response) {
        Ok(frame) => Reply::Response(frame),
        Err(e) => {
            error!("{e}");
            Reply::Close(e.to_string())
        }
    }
}
