//! Changing the levels of features, with the checks Kafka's controller makes (KIP-584, KIP-1022).

use std::collections::BTreeMap;

use super::Draft;
use crate::error::{FeatureRefusal, UpdateFeaturesError};
use crate::features::feature;
use crate::record::{FinalizedFeature, Record};
use crate::request::{FeatureUpdate, UpdateFeatures, UpgradeType};

impl Draft<'_> {
    /// All updates take effect, or none of them. Of updates of the same feature the last holds.
    pub(super) fn update_features(&mut self, request: UpdateFeatures) -> Result<(), UpdateFeaturesError> {
        let last: BTreeMap<String, FeatureUpdate> =
            request.updates.into_iter().map(|update| (update.feature.clone(), update)).collect();
        let mut records = Vec::new();
        for (name, update) in last {
            if let Err(refusal) = self.check_feature(&update) {
                return Err(UpdateFeaturesError::Refused { feature: name, level: update.level, refusal });
            }
            let level = i32::from(update.level);
            if self.image.finalized_level(&name) != level {
                records.push(Record::FinalizedFeature(FinalizedFeature { name, level }));
            }
        }
        Ok(self.add(records)?)
    }

    fn check_feature(&self, update: &FeatureUpdate) -> Result<(), FeatureRefusal> {
        let upgrade_type = update.upgrade_type.ok_or(FeatureRefusal::UnknownUpgradeType)?;
        if update.level < 0 {
            return Err(FeatureRefusal::Negative);
        }
        let controller = self.image.controller().unwrap_or(-1);
        let Some(known) = feature(&update.feature) else {
            // Every controller supports a feature it does not know at level 0.
            return Err(match update.level {
                0 => FeatureRefusal::NotFound(update.feature.clone()),
                _ => FeatureRefusal::NotSupported { controller },
            });
        };
        if !known.supported.contains(&update.level) {
            let (min, max) = (*known.supported.start(), *known.supported.end());
            return Err(FeatureRefusal::OutOfRange { controller, min, max });
        }
        let (now, level) = (self.image.finalized_level(&update.feature), i32::from(update.level));
        match upgrade_type {
            UpgradeType::Upgrade if level < now => Err(FeatureRefusal::DowngradeNotAllowed),
            UpgradeType::SafeDowngrade | UpgradeType::UnsafeDowngrade if level > now => {
                Err(FeatureRefusal::DowngradeToNewer)
            }
            _ => Ok(()),
        }
    }
}
