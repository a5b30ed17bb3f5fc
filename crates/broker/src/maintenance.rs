//! What happens by the clock: checkpoints, retention, and a look at the disk.

use std::sync::Arc;
use std::time::Duration;

use chronik_env::task::blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::broker::Broker;
use crate::metrics::WINDOW;

/// How long a disk that runs full, or has room again, goes unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts the maintenance of a broker on the control plane; it ends with the broker.
pub(crate) fn spawn(broker: &Arc<Broker>) {
    let retention = Duration::from_millis(broker.config().log_retention_check_interval_ms.max(1));
    // What a crash has to scan is at most what was appended since.
    let checkpoint = Duration::from_millis(broker.config().log_flush_offset_checkpoint_interval_ms.max(1));
    repeat(broker, LOOK_EVERY, |broker| {
        broker.dir().check_space();
        if broker.controller().log().has_failed() {
            broker.dir().fail("the metadata log failed");
        }
    });
    repeat(broker, checkpoint, |broker| broker.partitions().checkpoint());
    repeat(broker, WINDOW, |broker| broker.metrics().turn_window());
    expire_offsets(broker);
    repeat(broker, retention, |broker| broker.partitions().apply_retention(&broker.image()));
}

fn expire_offsets(broker: &Arc<Broker>) {
    let config = broker.config().groups.clone();
    let period = Duration::from_millis(config.offsets_retention_check_interval_ms.max(1));
    let retention_ms = i64::from(config.offsets_retention_minutes) * 60_000;
    let tasks = broker.env().tasks.clone();
    let broker = broker.clone();
    tasks.spawn_control(Box::pin(async move {
        let mut stop = broker.stopping();
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                () = tokio::time::sleep(period) => broker.groups().expire_offsets(retention_ms).await,
            }
        }
    }));
}

/// Does work that blocks on the disk every `period`, never twice at once.
fn repeat(broker: &Arc<Broker>, period: Duration, work: fn(&Broker)) {
    let tasks = broker.env().tasks.clone();
    let broker = broker.clone();
    tasks.spawn_control(Box::pin(async move {
        let mut stop = broker.stopping();
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        loop {
            tokio::select! {
                biased;
                () = stop.wait() => return,
                _ = ticks.tick() => {
                    let shared = broker.clone();
                    // Where the work panicked or the threads are gone, the next tick tells.
                    blocking(&*broker.env().tasks, move || work(&shared)).await;
                }
            }
        }
    }));
}
