//! Blocks of producer ids (KIP-730).

use super::Draft;
use crate::error::AllocateProducerIdsError;
use crate::record::{ProducerIds, Record};
use crate::request::{AllocateProducerIds, ProducerIdBlock};

impl Draft<'_> {
    pub(super) fn allocate_producer_ids(
        &mut self,
        request: AllocateProducerIds,
    ) -> Result<ProducerIdBlock, AllocateProducerIdsError> {
        let AllocateProducerIds { broker_id, broker_epoch, count } = request;
        let broker = self.image.broker(broker_id).ok_or(AllocateProducerIdsError::UnknownBroker(broker_id))?;
        if broker.epoch != broker_epoch {
            let (broker, current, asked) = (broker_id, broker.epoch, broker_epoch);
            return Err(AllocateProducerIdsError::StaleBrokerEpoch { broker, current, asked });
        }
        if count < 1 {
            return Err(AllocateProducerIdsError::Count(count));
        }
        let first = self.image.next_producer_id();
        let next_producer_id = first.checked_add(i64::from(count)).ok_or(AllocateProducerIdsError::Exhausted)?;
        self.add(vec![Record::ProducerIds(ProducerIds { broker_id, next_producer_id })])?;
        Ok(ProducerIdBlock { first, count })
    }
}
