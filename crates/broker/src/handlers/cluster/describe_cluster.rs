//! DescribeCluster (60, KIP-700): the brokers and who is the controller.

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use chronik_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use crate::api::RequestContext;
use crate::handlers::text;

/// KIP-919: 1 asks a broker for brokers, 2 a controller for controllers.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;
/// What a client may do with the cluster without an authorizer: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS,
/// ALTER_CONFIGS and IDEMPOTENT_WRITE, each the bit of Kafka's AclOperation code.
const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;
/// Not asked for.
pub(crate) const NO_OPERATIONS: i32 = i32::MIN;

pub(crate) fn handle(cx: &RequestContext, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse::default()
            .with_error_code(
                if request.endpoint_type == CONTROLLERS {
                    ErrorCode::MismatchedEndpointType
                } else {
                    ErrorCode::UnsupportedEndpointType
                }
                .code(),
            )
            .with_error_message(Some(text(format!(
                "endpoint type {} is not served by this listener",
                request.endpoint_type
            ))))
            .with_endpoint_type(request.endpoint_type);
    }
    let broker = &cx.broker;
    let image = broker.image();
    let brokers = broker.endpoints(&image, &cx.origin).into_iter().map(|node| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(node.id))
            .with_host(text(node.host))
            .with_port(node.port.into())
            .with_rack(node.rack.map(text))
    });
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_endpoint_type(BROKERS)
        .with_cluster_id(text(broker.cluster_id()))
        .with_controller_id(BrokerId(broker.node_id()))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(cluster_operations(request.include_cluster_authorized_operations))
}

/// The bit field of what the client may do with the cluster, or "not asked".
pub(crate) fn cluster_operations(asked: bool) -> i32 {
    if asked { CLUSTER_OPERATIONS } else { NO_OPERATIONS }
}
