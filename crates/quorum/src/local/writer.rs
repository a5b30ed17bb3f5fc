//! The one task that appends: takes everything that waits, writes it, syncs once, publishes the image, answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronik_env::Env;
use chronik_metadata::Image;
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};
use chronik_protocol::types::{LeaderEpoch, Offset};
use chronik_storage::{AppendError, Log};
use tokio::sync::{mpsc, oneshot};

use super::snapshots::{self, SnapshotId};
use super::{LocalOptions, Place, Shared, batch};
use crate::log::{Committed, Proposal, ProposeError};

type Reply = oneshot::Sender<Result<Committed, ProposeError>>;

pub(super) enum Message {
    Propose { proposal: Proposal, reply: Reply },
    Close { done: oneshot::Sender<()> },
}

/// How much log there is after the newest snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub records: u64,
    pub bytes: u64,
}

/// The log, while this task has it; a failure of the disk is final.
enum State {
    Open(Box<Log>),
    Failed(String),
}

type SnapshotOutcome = std::io::Result<SnapshotId>;

pub(super) struct Writer {
    env: Env,
    place: Place,
    options: LocalOptions,
    shared: Arc<Shared>,
    state: State,
    tail: Tail,
    /// A snapshot being written, and the tail when it was begun.
    snapshot: Option<(oneshot::Receiver<SnapshotOutcome>, Tail)>,
}

/// What became of a group of proposals: one outcome each, and how the disk failed under them, if it did.
struct GroupOutcome {
    outcomes: Vec<Result<Committed, ProposeError>>,
    bytes: u64,
    failure: Option<String>,
}

impl Writer {
    pub fn new(env: Env, dir: PathBuf, options: LocalOptions, shared: Arc<Shared>, log: Log, tail: Tail) -> Self {
        let place = Place { disk: Arc::clone(&env.disk), dir };
        Writer { env, place, options, shared, state: State::Open(Box::new(log)), tail, snapshot: None }
    }

    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let done = loop {
            tokio::select! {
                biased;
                outcome = snapshot_outcome(&mut self.snapshot), if self.snapshot.is_some() => self.finish_snapshot(outcome).await,
                message = inbox.recv() => {
                    let Some(message) = message else { break None };
                    let (group, close) = self.drain(message, &mut inbox);
                    self.commit(group).await;
                    self.begin_snapshot_if_due();
                    if close.is_some() {
                        break close;
                    }
                }
            }
        };
        inbox.close();
        while let Ok(message) = inbox.try_recv() {
            match message {
                Message::Propose { reply, .. } => drop(reply.send(Err(ProposeError::Closed))),
                Message::Close { done } => drop(done.send(())),
            }
        }
        if self.snapshot.is_some() {
            let outcome = snapshot_outcome(&mut self.snapshot).await;
            self.finish_snapshot(outcome).await;
        }
        self.close().await;
        if let Some(done) = done {
            // Nobody may be waiting any more.
            let _ = done.send(());
        }
    }

    /// The message in hand and all that wait behind it, up to the group's bytes and to a close.
    fn drain(
        &self,
        first: Message,
        inbox: &mut mpsc::Receiver<Message>,
    ) -> (Vec<(Proposal, Reply)>, Option<oneshot::Sender<()>>) {
        let (mut group, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(message) = next {
            match message {
                Message::Close { done } => return (group, Some(done)),
                Message::Propose { proposal, reply } => {
                    bytes += proposal.records.iter().map(|record| record.encoded_len()).sum::<usize>();
                    group.push((proposal, reply));
                }
            }
            next = if bytes < self.options.group_bytes { inbox.try_recv().ok() } else { None };
        }
        (group, None)
    }

    async fn commit(&mut self, group: Vec<(Proposal, Reply)>) {
        let (proposals, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        if proposals.is_empty() {
            return;
        }
        let log = match std::mem::replace(&mut self.state, State::Failed("the blocking threads are gone".to_owned())) {
            State::Open(log) => log,
            State::Failed(reason) => {
                for reply in replies {
                    let _ = reply.send(Err(ProposeError::Failed { reason: reason.clone() }));
                }
                self.state = State::Failed(reason);
                return;
            }
        };
        let (sender, written) = oneshot::channel();
        let (epoch, now_ms) = (self.shared.epoch, self.env.clock.wall_ms());
        self.env.tasks.run_sync(Box::new(move || {
            let mut log = log;
            let outcome = write_group(&mut log, epoch, now_ms, &proposals);
            // The writer waits for this as long as the control plane lives.
            let _ = sender.send((log, proposals, outcome));
        }));
        // When the job was dropped, so were the replies' chances: dropping them answers that the outcome is not known.
        let Ok((log, proposals, outcome)) = written.await else { return };
        self.state = match outcome.failure {
            None => State::Open(log),
            Some(reason) => {
                tracing::error!(dir = %self.place.dir.display(), %reason, "the metadata log has failed; nothing more is written");
                self.shared.failed.store(true, Ordering::Release);
                State::Failed(reason)
            }
        };
        self.publish(&proposals, &outcome.outcomes, outcome.bytes);
        for (reply, outcome) in replies.into_iter().zip(outcome.outcomes) {
            // A proposer may have gone away; its batch is committed all the same.
            let _ = reply.send(outcome);
        }
    }

    fn publish(&mut self, proposals: &[Proposal], outcomes: &[Result<Committed, ProposeError>], bytes: u64) {
        let mut image = Image::clone(&self.shared.image.load());
        let mut records = 0;
        for (proposal, _) in proposals.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            for (offset, record) in (proposal.base_offset..).zip(&proposal.records) {
                image.apply(offset, proposal.epoch, record);
                records += 1;
            }
        }
        if records > 0 {
            self.tail.records += records;
            self.tail.bytes += bytes;
            let image = Arc::new(image);
            self.shared.image.store(Arc::clone(&image));
            self.shared.images.send_replace(image);
        }
    }

    fn begin_snapshot_if_due(&mut self) {
        let due = self.tail.records >= self.options.snapshot_records || self.tail.bytes >= self.options.snapshot_bytes;
        if !due || self.snapshot.is_some() || matches!(self.state, State::Failed(_)) {
            return;
        }
        let (sender, outcome) = oneshot::channel();
        let (place, image) = (self.place.clone(), self.shared.image.load_full());
        self.env.tasks.run_blocking(Box::new(move || {
            // The writer waits for this as long as the control plane lives.
            let _ = sender.send(snapshots::write(&place, &image));
        }));
        self.snapshot = Some((outcome, self.tail));
    }

    /// A snapshot is durable, so the log before it and older snapshots may go. A failed one is tried again after as
    /// much log.
    async fn finish_snapshot(&mut self, outcome: SnapshotOutcome) {
        let Some((_, covered)) = self.snapshot.take() else { return };
        self.tail = Tail { records: self.tail.records - covered.records, bytes: self.tail.bytes - covered.bytes };
        let dir = self.place.dir.display();
        let id = match outcome {
            Ok(id) => id,
            Err(error) => {
                tracing::error!(%dir, %error, "a metadata snapshot could not be written; the log is kept");
                return;
            }
        };
        tracing::info!(%dir, end_offset = id.end_offset, epoch = id.epoch, "metadata snapshot written");
        let state = std::mem::replace(&mut self.state, State::Failed("the blocking threads are gone".to_owned()));
        let State::Open(log) = state else {
            self.state = state;
            return;
        };
        let (sender, cut) = oneshot::channel();
        let (place, now_ms) = (self.place.clone(), self.env.clock.wall_ms());
        self.env.tasks.run_blocking(Box::new(move || {
            let mut log = log;
            let outcome = cut_log(&place, &mut log, id, now_ms);
            // The writer waits for this as long as the control plane lives.
            let _ = sender.send((log, outcome));
        }));
        let Ok((log, outcome)) = cut.await else { return };
        self.state = State::Open(log);
        if let Err(error) = outcome {
            tracing::warn!(dir = %self.place.dir.display(), %error, "metadata log before the snapshot could not be removed");
        }
    }

    async fn close(&mut self) {
        let State::Open(log) = std::mem::replace(&mut self.state, State::Failed("the log is closed".to_owned())) else {
            return;
        };
        let (sender, closed) = oneshot::channel();
        self.env.tasks.run_blocking(Box::new(move || {
            let mut log = log;
            // The writer waits for this as long as the control plane lives.
            let _ = sender.send(log.close());
        }));
        if let Ok(Err(error)) = closed.await {
            self.shared.failed.store(true, Ordering::Release);
            tracing::error!(dir = %self.place.dir.display(), %error, "the metadata log was not closed cleanly");
        }
    }
}

async fn snapshot_outcome(snapshot: &mut Option<(oneshot::Receiver<SnapshotOutcome>, Tail)>) -> SnapshotOutcome {
    match snapshot {
        Some((outcome, _)) => {
            outcome.await.unwrap_or_else(|_| Err(std::io::Error::other("the blocking threads are gone")))
        }
        None => std::future::pending().await,
    }
}

/// Appends a group and syncs it once. Blocks on the disk.
fn write_group(log: &mut Log, epoch: LeaderEpoch, now_ms: i64, proposals: &[Proposal]) -> GroupOutcome {
    let synced_offset = log.synced_offset();
    let mut group = GroupOutcome { outcomes: Vec::with_capacity(proposals.len()), bytes: 0, failure: None };
    for proposal in proposals {
        let outcome = match &group.failure {
            Some(reason) => Err(ProposeError::Failed { reason: reason.clone() }),
            None => append(log, epoch, synced_offset, now_ms, proposal, &mut group),
        };
        group.outcomes.push(outcome);
    }
    // A failed append may have left bytes behind, so even what was appended before it is in doubt: it is not synced.
    if group.failure.is_none()
        && let Some(ticket) = log.unsynced()
    {
        match ticket.run() {
            Ok(()) => log.synced(&ticket),
            Err(error) => group.failure = Some(error.to_string()),
        }
    }
    if group.failure.is_some() {
        log.fail();
        for outcome in group.outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            *outcome = Err(ProposeError::OutcomeUnknown);
        }
    }
    group
}

fn append(
    log: &mut Log,
    epoch: LeaderEpoch,
    synced_offset: Offset,
    now_ms: i64,
    proposal: &Proposal,
    group: &mut GroupOutcome,
) -> Result<Committed, ProposeError> {
    let (base_offset, log_end_offset) = (proposal.base_offset, log.log_end_offset());
    if proposal.epoch != epoch || proposal.records.is_empty() {
        return Err(ProposeError::NotController { epoch: proposal.epoch });
    }
    if base_offset != log_end_offset {
        return Err(ProposeError::Stale { base_offset, log_end_offset });
    }
    let bytes = batch::encode(&proposal.records, base_offset, epoch, synced_offset, now_ms)
        .map_err(|error| ProposeError::TooLarge { bytes: error.bytes })?;
    let header = BatchHeader::parse(&bytes).expect("a built batch has a whole header");
    match log.append(&header, &bytes[HEADER_LEN..], now_ms) {
        Ok(()) => {
            group.bytes += bytes.len() as u64;
            Ok(Committed { offset: header.last_offset(), epoch })
        }
        Err(AppendError::LargerThanSegment { .. }) => Err(ProposeError::TooLarge { bytes: bytes.len() }),
        Err(AppendError::NoRoom(error)) => Err(ProposeError::NoRoom { reason: error.to_string() }),
        Err(error) => {
            group.failure = Some(error.to_string());
            Err(ProposeError::OutcomeUnknown)
        }
    }
}

/// Removes the log before a durable snapshot, and the snapshots older than it. Blocks on the disk.
fn cut_log(place: &Place, log: &mut Log, id: SnapshotId, now_ms: i64) -> Result<(), chronik_storage::ChangeError> {
    log.advance_log_start(id.end_offset);
    log.apply_retention(now_ms, log.synced_offset())?;
    Ok(snapshots::remove_older(place, id)?)
}
