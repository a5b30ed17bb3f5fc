//! ListConfigResources (74, KIP-714 and KIP-1142): what there is that has settings.

use chronik_metadata::image::{RESOURCE_CLIENT_METRICS, RESOURCE_GROUP};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::list_config_resources_response::ConfigResource;
use chronik_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::resource_type::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use crate::api::RequestContext;
use crate::handlers::text;

/// All that can be listed, as an empty list of types asks for.
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(crate) fn handle(cx: &RequestContext, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let mut types = match cx.version() {
        0 => vec![CLIENT_METRICS],
        _ if request.resource_types.is_empty() => ALL.to_vec(),
        _ => request.resource_types,
    };
    types.sort_unstable();
    types.dedup();
    if types.iter().any(|one| !ALL.contains(one)) {
        return ListConfigResourcesResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let resources = types.into_iter().flat_map(|one| {
        let named =
            move |name: String| ConfigResource::default().with_resource_name(text(name)).with_resource_type(one);
        names(cx, one).into_iter().map(named)
    });
    ListConfigResourcesResponse::default().with_config_resources(resources.collect())
}

fn names(cx: &RequestContext, resource_type: i8) -> Vec<String> {
    let image = cx.broker.image();
    let configured = |resource_type| image.configured(resource_type).map(str::to_owned).collect();
    match resource_type {
        TOPIC => image.topics().map(|topic| topic.name().to_owned()).collect(),
        BROKER | BROKER_LOGGER => image.brokers().map(|broker| broker.id.to_string()).collect(),
        CLIENT_METRICS => configured(RESOURCE_CLIENT_METRICS),
        GROUP => configured(RESOURCE_GROUP),
        _ => Vec::new(),
    }
}
