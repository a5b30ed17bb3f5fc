//! What happens by the clock: checkpoints, retention, and a look at the free space.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::broker::Broker;

/// Kafka's `log.flush.offset.checkpoint.interval.ms`: what a crash has to scan is at most what was appended since.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// How long a disk that runs full, or has room again, goes unnoticed.
const SPACE_EVERY: Duration = Duration::from_secs(1);

/// Starts the maintenance of a broker on the control plane; it ends with the broker.
pub(crate) fn spawn(broker: &Arc<Broker>) {
    let tasks = broker.env().tasks.clone();
    let broker = broker.clone();
    tasks.spawn_control(Box::pin(async move {
        let mut stop = broker.stopping();
        let mut checkpoint = every(CHECKPOINT_EVERY);
        let mut space = every(SPACE_EVERY);
        let mut retention = every(Duration::from_millis(broker.config().log_retention_check_interval_ms.max(1)));
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                _ = space.tick() => broker.dir().check_space(),
                _ = checkpoint.tick() => blocking(&broker, |broker| broker.partitions().checkpoint()).await,
                _ = retention.tick() => blocking(&broker, |broker| broker.partitions().apply_retention(&broker.image())).await,
            }
        }
    }));
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.reset();
    interval
}

/// Runs work that blocks on the disk and waits for its end, so that it never runs twice at once.
async fn blocking(broker: &Arc<Broker>, work: impl FnOnce(&Broker) + Send + 'static) {
    let (done, ended) = tokio::sync::oneshot::channel();
    let shared = broker.clone();
    broker.env().tasks.run_blocking(Box::new(move || {
        work(&shared);
        let _ = done.send(());
    }));
    let _ = ended.await;
}
