//! Brokers come and go.

use super::Draft;
use crate::error::{RegisterBrokerError, UnregisterBrokerError};
use crate::image::Load;
use crate::record::{self, Record};
use crate::request::{RegisterBroker, RegisteredBroker, UnregisterBroker};

impl Draft<'_> {
    /// The newest incarnation wins; the same one keeps its epoch. The epoch is the offset of the record, so it rises.
    pub(super) fn register_broker(&mut self, request: RegisterBroker) -> Result<RegisteredBroker, RegisterBrokerError> {
        if request.broker_id < 0 {
            return Err(RegisterBrokerError::Id(request.broker_id));
        }
        if let Some(endpoint) = request.endpoints.iter().find(|endpoint| endpoint.port > u32::from(u16::MAX)) {
            return Err(RegisterBrokerError::Port(endpoint.port));
        }
        let known = self.image.broker(request.broker_id).filter(|known| known.incarnation_id == request.incarnation_id);
        let broker_epoch = known.map_or(self.image.offset() + 1, |known| known.epoch);
        self.add(vec![Record::RegisterBroker(record::RegisterBroker {
            broker_id: request.broker_id,
            broker_epoch,
            incarnation_id: request.incarnation_id.into(),
            endpoints: request.endpoints,
            rack: request.rack,
            fenced: false,
            registered_ms: self.now_ms,
        })])?;
        Ok(RegisteredBroker { broker_epoch })
    }

    pub(super) fn unregister_broker(&mut self, request: UnregisterBroker) -> Result<(), UnregisterBrokerError> {
        let broker_id = request.broker_id;
        let broker = self.image.broker(broker_id).ok_or(UnregisterBrokerError::Unknown(broker_id))?;
        if self.image.load(broker_id) != Load::default() {
            return Err(UnregisterBrokerError::HoldsReplicas(broker_id));
        }
        let record = record::UnregisterBroker { broker_id, broker_epoch: broker.epoch };
        Ok(self.add(vec![Record::UnregisterBroker(record)])?)
    }
}
