//! Becoming the controller; the first records of a cluster.

use super::Draft;
use crate::error::ActivateError;
use crate::record::{ClusterCreated, ControllerElected, FEATURE_LEVEL, FeatureLevel, Record};
use crate::request::Activate;

impl Draft<'_> {
    pub(super) fn activate(&mut self, request: Activate) -> Result<(), ActivateError> {
        let mut records = Vec::new();
        match self.image.cluster_id() {
            Some(found) if found != request.cluster_id => {
                return Err(ActivateError::OtherCluster { found: found.to_owned(), asked: request.cluster_id });
            }
            Some(_) => {}
            None => records.push(Record::ClusterCreated(ClusterCreated {
                cluster_id: request.cluster_id,
                created_ms: self.now_ms,
            })),
        }
        match self.image.feature_level() {
            0 => records.push(Record::FeatureLevel(FeatureLevel { level: FEATURE_LEVEL })),
            found if found > FEATURE_LEVEL => {
                return Err(ActivateError::NewerFeatureLevel { found, known: FEATURE_LEVEL });
            }
            _ => {}
        }
        records.push(Record::ControllerElected(ControllerElected {
            controller_id: request.node_id,
            elected_ms: self.now_ms,
        }));
        // Three short records fit whatever the limit is meant for.
        for record in &records {
            self.image.apply(self.image.offset() + 1, self.epoch, record);
        }
        self.records.extend(records);
        Ok(())
    }
}
