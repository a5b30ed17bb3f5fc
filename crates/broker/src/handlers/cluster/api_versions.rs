//! ApiVersions (18): what this broker speaks. Open before authentication.

use chronik_metadata::features::{FEATURES, Feature};
use chronik_protocol::StrBytes;
use chronik_protocol::api;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use chronik_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::api::RequestContext;

pub(crate) const KEY: i16 = 18;

/// The first version with the software's name, and with features.
const FIRST_WITH_FEATURES: i16 = 3;
/// The first version in which a feature may have the least version 0.
const FIRST_WITH_VERSION_0: i16 = 4;

pub(crate) fn handle(cx: &RequestContext, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if cx.version() >= FIRST_WITH_FEATURES
        && !(is_software(&request.client_software_name) && is_software(&request.client_software_version))
    {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    let response = ApiVersionsResponse::default().with_api_keys(api::TABLE.iter().map(row).collect());
    if cx.version() < FIRST_WITH_FEATURES { response } else { with_features(response, cx) }
}

/// The features that are there (KIP-584), and the levels at which they are in force; one that is off has none.
fn with_features(response: ApiVersionsResponse, cx: &RequestContext) -> ApiVersionsResponse {
    let image = cx.broker.image();
    // Older clients take a least version of 0 for an error, so they are not told.
    let told = |feature: &&Feature| cx.version() >= FIRST_WITH_VERSION_0 || *feature.supported.start() > 0;
    let supported = |feature: &Feature| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(feature.name))
            .with_min_version(*feature.supported.start())
            .with_max_version(*feature.supported.end())
    };
    let finalized = |feature: &Feature| {
        let level = image.finalized_level(feature.name).try_into().unwrap_or(i16::MAX);
        let key = FinalizedFeatureKey::default().with_name(StrBytes::from_static_str(feature.name));
        (level > 0).then(|| key.with_min_version_level(level).with_max_version_level(level))
    };
    response
        .with_supported_features(FEATURES.iter().filter(told).map(supported).collect())
        .with_finalized_features_epoch(image.offset())
        .with_finalized_features(FEATURES.iter().filter_map(finalized).collect())
}

/// KIP-511: the asker's version is above ours; tells the range of this API so that it asks again.
pub(crate) fn unsupported_version() -> ApiVersionsResponse {
    let rows = api::TABLE.iter().filter(|api| api.key == KEY).map(row).collect();
    ApiVersionsResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code()).with_api_keys(rows)
}

fn row(api: &api::ApiVersions) -> ApiVersion {
    ApiVersion::default().with_api_key(api.key).with_min_version(api.advertised_min).with_max_version(api.max)
}

/// KIP-511's `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_software(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kip_511() {
        for good in ["librdkafka", "apache-kafka-java", "a", "2.12.1"] {
            assert!(is_software(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "ä", "a/b"] {
            assert!(!is_software(bad), "{bad}");
        }
    }
}
