//! UpdateFeatures (57): the levels of features go up and down (KIP-584, KIP-1022).

use chronik_metadata::request::{FeatureUpdate, UpdateFeatures, UpgradeType};
use chronik_protocol::StrBytes;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::update_features_request::FeatureUpdateKey;
use chronik_protocol::messages::update_features_response::UpdatableFeatureResult;
use chronik_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::api::RequestContext;
use crate::broker::submit_error_code;
use crate::handlers::text;

/// The first version that answers for all features at once.
const FIRST_WITHOUT_RESULTS: i16 = 2;

pub(crate) async fn handle(cx: &RequestContext, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let names: Vec<StrBytes> = request.feature_updates.iter().map(|update| update.feature.clone()).collect();
    let wanted = UpdateFeatures {
        updates: request.feature_updates.iter().map(update).collect(),
        validate_only: request.validate_only,
    };
    match cx.broker.controller().update_features(wanted).await {
        Ok(Ok(())) => {
            let names = if cx.version() < FIRST_WITHOUT_RESULTS { names } else { Vec::new() };
            UpdateFeaturesResponse::default()
                .with_error_message(None)
                .with_results(names.into_iter().map(updated).collect())
        }
        Ok(Err(error)) => {
            let message =
                format!("The update failed for all features since the following feature had an error: {error}");
            refused(error.code(), message)
        }
        Err(e) => refused(submit_error_code(&e).code(), e.to_string()),
    }
}

/// As in Kafka, version 0 only goes up: its flag for the way down is read by nobody.
fn update(update: &FeatureUpdateKey) -> FeatureUpdate {
    let upgrade_type = match update.upgrade_type {
        1 => Some(UpgradeType::Upgrade),
        2 => Some(UpgradeType::SafeDowngrade),
        3 => Some(UpgradeType::UnsafeDowngrade),
        _ => None,
    };
    FeatureUpdate { feature: update.feature.to_string(), level: update.max_version_level, upgrade_type }
}

fn updated(name: StrBytes) -> UpdatableFeatureResult {
    // Kafka names its error code in the place of the message.
    let message = StrBytes::from_static_str("NONE");
    UpdatableFeatureResult::default()
        .with_feature(name)
        .with_error_code(ErrorCode::None.code())
        .with_error_message(Some(message))
}

fn refused(code: i16, message: String) -> UpdateFeaturesResponse {
    UpdateFeaturesResponse::default().with_error_code(code).with_error_message(Some(text(message)))
}
