//! What a start does before anything is served: it tidies the data directory and, after an unclean stop, recovers the
//! logs that were being written to. All others are as their closing left them and are opened on first use.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chronik_env::task::blocking;
use chronik_metadata::Image;
use chronik_metadata::request::RaiseLeaderEpochs;
use chronik_protocol::types::{PartitionId, TopicName};
use chronik_storage::unclean;
use parking_lot::Mutex;
use tracing::info;

use crate::broker::{Broker, StartError};
use crate::partitions::Partitions;

/// Kafka's `num.recovery.threads.per.data.dir`.
const THREADS: usize = 2;

/// How many leader epochs one batch of the metadata log raises.
const EPOCHS_A_BATCH: usize = 10_000;

/// Partitions to recover, shared by the threads that do.
struct Queue {
    partitions: Arc<Partitions>,
    image: Arc<Image>,
    unclean: Vec<(TopicName, PartitionId)>,
    next: AtomicUsize,
    failed: Mutex<unclean::Partitions>,
}

impl Queue {
    fn work(&self) {
        while let Some((name, index)) = self.unclean.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(key) = self.partitions.recover(&self.image, name, *index) {
                self.failed.lock().insert((key.topic_id, key.index));
            }
        }
    }
}

/// Recovers on threads that may block, so that the health checks answer meanwhile.
pub(crate) async fn recover(broker: &Arc<Broker>) -> Result<(), StartError> {
    let began = broker.env().clock.monotonic_ms();
    let tasks = &*broker.env().tasks;
    let cut_short = || StartError::Recovery(io::Error::other("recovery was cut short"));
    let (partitions, image) = (broker.partitions().clone(), broker.image());

    let (sweeper, swept) = (partitions.clone(), image.clone());
    let unclean = blocking(tasks, move || sweeper.sweep(&swept)).await.ok_or_else(cut_short)?;
    let queue = Arc::new(Queue {
        partitions,
        image,
        unclean: unclean.map_err(StartError::Recovery)?,
        next: AtomicUsize::new(0),
        failed: Mutex::default(),
    });
    let workers = std::array::from_fn::<_, THREADS, _>(|_| {
        let queue = queue.clone();
        blocking(tasks, move || queue.work())
    });
    for worker in workers {
        worker.await.ok_or_else(cut_short)?;
    }
    let recovered = queue.unclean.len();
    // Before the partitions count as recovered: a crash in between must raise them at the next start.
    for some in queue.partitions.in_doubt(&queue.image).chunks(EPOCHS_A_BATCH) {
        let partitions = some.iter().map(|key| (key.topic_id, key.index)).collect();
        let request = RaiseLeaderEpochs { broker_id: broker.node_id(), partitions };
        match broker.controller().raise_leader_epochs(request).await {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(StartError::Register(e.to_string())),
            Err(e) => return Err(StartError::Register(e.to_string())),
        }
    }
    let settled = blocking(tasks, move || queue.partitions.settle(std::mem::take(&mut queue.failed.lock())));
    settled.await.ok_or_else(cut_short)?.map_err(StartError::Recovery)?;
    if recovered > 0 {
        let took_ms = broker.env().clock.monotonic_ms() - began;
        info!(partitions = recovered, took_ms, "recovered after an unclean stop");
    }
    Ok(())
}
