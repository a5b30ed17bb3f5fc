//! Producer ids, taken from the controller in blocks (KIP-730) and handed out one by one.

use chronik_metadata::request::{AllocateProducerIds, ProducerIdBlock};
use tokio::sync::Mutex;

use crate::broker::Broker;

/// How many ids a block has, as in Kafka. A crash wastes the rest of one block.
const BLOCK: i32 = 1_000;

#[derive(Default)]
pub(crate) struct ProducerIds {
    /// The next id and how many are left.
    block: Mutex<(i64, i32)>,
}

/// Why there is no new producer id.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoProducerId(String);

impl ProducerIds {
    /// An id that nobody had and nobody else will have.
    pub(crate) async fn next(&self, broker: &Broker) -> Result<i64, NoProducerId> {
        let mut block = self.block.lock().await;
        if block.1 == 0 {
            let ProducerIdBlock { first, count } = allocate(broker).await?;
            *block = (first, count);
        }
        let id = block.0;
        *block = (id + 1, block.1 - 1);
        Ok(id)
    }
}

async fn allocate(broker: &Broker) -> Result<ProducerIdBlock, NoProducerId> {
    let request =
        AllocateProducerIds { broker_id: broker.node_id(), broker_epoch: broker.broker_epoch(), count: BLOCK };
    match broker.controller().allocate_producer_ids(request).await {
        Ok(Ok(block)) => Ok(block),
        Ok(Err(e)) => Err(NoProducerId(e.to_string())),
        Err(e) => Err(NoProducerId(e.to_string())),
    }
}
