//! The controller: decides requests one after the other on the tip, and answers each once its records are committed.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_env::Env;
use chronik_env::net::BoxFuture;
use chronik_metadata::Image;
use chronik_metadata::controller::{Controller, Decision};
use chronik_metadata::error::{
    AllocateProducerIdsError, AlterQuotasError, ChangeLogStartError, GroupError, LimitError, RegisterBrokerError,
    UnregisterBrokerError, UpdateFeaturesError,
};
use chronik_metadata::request::{
    AllocateProducerIds, AlterQuotas, ChangeLogStart, CommitOffsets, CreatePartitions, CreatePartitionsResult,
    CreateTopicResult, CreateTopics, DeleteOffsets, DeleteTopicResult, DeleteTopics, Limits, ProducerIdBlock,
    RaiseLeaderEpochs, RegisterBroker, RegisteredBroker, RemoveGroups, Request, Response, SetConfigs, SetConfigsResult,
    StoreConsumerGroup, StoreGroup, UnregisterBroker, UpdateFeatures,
};
use chronik_protocol::types::{BrokerId, Offset};
use chronik_storage::LogReader;
use tokio::sync::{mpsc, oneshot, watch};

use crate::log::{Committed, MetadataLog, Proposal, ProposeError};

/// Settings of the controller.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// Requests that may wait to be decided, and decisions that may wait to be committed; more are answered
    /// [`SubmitError::Busy`].
    pub queue_limit: usize,
    pub limits: Limits,
}

impl Default for ControllerOptions {
    fn default() -> Self {
        ControllerOptions { queue_limit: 4096, limits: Limits::default() }
    }
}

/// Why a request has no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Not decided; may be tried again.
    #[error("the controller has too many requests waiting")]
    Busy,
    /// Not committed; may be tried again, at the controller.
    #[error("this node is not the controller")]
    NotController,
    /// Committed or not; may be tried again.
    #[error("the outcome of the request is not known")]
    OutcomeUnknown,
    /// Not committed; may be tried again once there is room.
    #[error("the metadata log finds no room: {reason}")]
    NoRoom { reason: String },
    /// Not committed, and this node commits nothing more.
    #[error("the metadata log has failed: {reason}")]
    Failed { reason: String },
    /// Not committed: the node is stopping.
    #[error("the controller is stopping")]
    Stopping,
}

impl SubmitError {
    /// Kafka's error code, retriable for clients.
    pub fn code(&self) -> i16 {
        const REQUEST_TIMED_OUT: i16 = 7;
        const NOT_CONTROLLER: i16 = 41;
        const KAFKA_STORAGE_ERROR: i16 = 56;
        match self {
            SubmitError::Busy | SubmitError::OutcomeUnknown => REQUEST_TIMED_OUT,
            SubmitError::NotController | SubmitError::Stopping => NOT_CONTROLLER,
            SubmitError::NoRoom { .. } | SubmitError::Failed { .. } => KAFKA_STORAGE_ERROR,
        }
    }
}

impl From<ProposeError> for SubmitError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotController { .. } | ProposeError::Stale { .. } => SubmitError::NotController,
            ProposeError::Busy => SubmitError::Busy,
            ProposeError::OutcomeUnknown => SubmitError::OutcomeUnknown,
            ProposeError::Closed => SubmitError::Stopping,
            ProposeError::NoRoom { reason } => SubmitError::NoRoom { reason },
            ProposeError::Failed { reason } => SubmitError::Failed { reason },
            ProposeError::TooLarge { .. } => SubmitError::Failed { reason: error.to_string() },
        }
    }
}

type Reply = oneshot::Sender<Result<Response, SubmitError>>;

enum Message {
    Submit { request: Request, reply: Reply },
    Shutdown { done: oneshot::Sender<()> },
}

/// The way to the controller, and the image. Cheap to clone.
#[derive(Clone)]
pub struct ControllerHandle {
    messages: mpsc::Sender<Message>,
    log: Arc<dyn MetadataLog>,
}

/// Starts the controller of a metadata log on the control plane.
pub fn run_controller(env: &Env, log: Arc<dyn MetadataLog>, options: ControllerOptions) -> ControllerHandle {
    let (messages, inbox) = mpsc::channel(options.queue_limit.max(1));
    let epoch = log.leader().epoch;
    let controller = Controller::new(env.random.next_u64(), epoch, Image::clone(&log.image()), options.limits);
    let controller_loop = Loop {
        env: env.clone(),
        log: Arc::clone(&log),
        controller,
        epoch,
        pending: VecDeque::new(),
        limit: options.queue_limit.max(1),
    };
    env.tasks.spawn_control(Box::pin(controller_loop.run(inbox)));
    ControllerHandle { messages, log }
}

impl ControllerHandle {
    /// Queues a request to be decided, after all that were queued before it when this returns. The future waits until its
    /// records are committed and published; dropping it does not undo anything.
    pub fn queue(&self, request: Request) -> impl Future<Output = Result<Response, SubmitError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.messages.try_send(Message::Submit { request, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        });
        async move {
            queued?;
            answer.await.unwrap_or(Err(SubmitError::OutcomeUnknown))
        }
    }

    /// Decides a request and waits until its records are committed and published. Dropping the future does not undo it.
    pub async fn submit(&self, request: Request) -> Result<Response, SubmitError> {
        self.queue(request).await
    }

    /// The committed image. Neither locks nor waits.
    pub fn image(&self) -> Arc<Image> {
        self.log.image()
    }

    /// The committed image as it changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Image>> {
        self.log.subscribe()
    }

    /// The log behind the controller.
    pub fn log(&self) -> &Arc<dyn MetadataLog> {
        &self.log
    }

    /// The log's bytes, to be served as the read-only topic `__meta`, below [`ControllerHandle::end_offset`].
    pub fn reader(&self) -> LogReader {
        self.log.reader()
    }

    /// One past the last committed record: the high watermark of `__meta`. All below is durable.
    pub fn end_offset(&self) -> Offset {
        self.log.image().offset() + 1
    }

    /// Answers what is waiting, closes the log, and stops. Returns when that is done.
    pub async fn shutdown(&self) {
        let (done, finished) = oneshot::channel();
        if self.messages.send(Message::Shutdown { done }).await.is_ok() {
            // An error means that the loop is gone already.
            let _ = finished.await;
        }
    }
}

/// A method for each request of one kind: the response is unwrapped.
macro_rules! typed {
    ($($(#[$doc:meta])* $method:ident($kind:ident) -> $response:ty;)*) => {
        impl ControllerHandle {
            $($(#[$doc])*
            pub async fn $method(&self, request: $kind) -> Result<$response, SubmitError> {
                match self.submit(Request::$kind(request)).await? {
                    Response::$kind(response) => Ok(response),
                    other => unreachable!("a request is answered in kind, not by {other:?}"),
                }
            })*
        }
    };
}

typed! {
    /// Creates topics; see [`CreateTopics`].
    create_topics(CreateTopics) -> Vec<CreateTopicResult>;
    /// Deletes topics with all that hangs on them; see [`DeleteTopics`].
    delete_topics(DeleteTopics) -> Vec<DeleteTopicResult>;
    /// Adds partitions; see [`CreatePartitions`].
    create_partitions(CreatePartitions) -> Vec<CreatePartitionsResult>;
    /// Sets and unsets configs; see [`SetConfigs`].
    set_configs(SetConfigs) -> Vec<SetConfigsResult>;
    /// Registers a broker; see [`RegisterBroker`].
    register_broker(RegisterBroker) -> Result<RegisteredBroker, RegisterBrokerError>;
    /// Removes a broker; see [`UnregisterBroker`].
    unregister_broker(UnregisterBroker) -> Result<(), UnregisterBrokerError>;
    /// Gives out producer ids; see [`AllocateProducerIds`].
    allocate_producer_ids(AllocateProducerIds) -> Result<ProducerIdBlock, AllocateProducerIdsError>;
    /// Moves a log start offset up; see [`ChangeLogStart`].
    change_log_start(ChangeLogStart) -> Result<Offset, ChangeLogStartError>;
    /// Raises leader epochs after a crash; see [`RaiseLeaderEpochs`].
    raise_leader_epochs(RaiseLeaderEpochs) -> Result<u32, LimitError>;
    /// Stores a generation of a group; see [`StoreGroup`].
    store_group(StoreGroup) -> Result<(), GroupError>;
    /// Stores what has changed of a consumer group; see [`StoreConsumerGroup`].
    store_consumer_group(StoreConsumerGroup) -> Result<(), GroupError>;
    /// Commits offsets of a group; see [`CommitOffsets`].
    commit_offsets(CommitOffsets) -> Result<(), GroupError>;
    /// Removes groups with their offsets; see [`RemoveGroups`].
    remove_groups(RemoveGroups) -> Result<(), GroupError>;
    /// Removes offsets of a group; see [`DeleteOffsets`].
    delete_offsets(DeleteOffsets) -> Result<(), GroupError>;
    /// Sets client quotas and takes them away; see [`AlterQuotas`].
    alter_quotas(AlterQuotas) -> Vec<Result<(), AlterQuotasError>>;
    /// Changes the levels of features; see [`UpdateFeatures`].
    update_features(UpdateFeatures) -> Result<(), UpdateFeaturesError>;
}

impl ControllerHandle {
    /// The controller, as far as this node knows.
    pub fn controller(&self) -> Option<BrokerId> {
        self.log.leader().controller
    }
}

type Commit = BoxFuture<'static, Result<Committed, ProposeError>>;

/// A decision that waits for its records, or only for those before it.
struct Pending {
    commit: Option<Commit>,
    response: Response,
    reply: Reply,
}

struct Loop {
    env: Env,
    log: Arc<dyn MetadataLog>,
    controller: Controller,
    epoch: i32,
    /// In the order of decision, which is the order of commit.
    pending: VecDeque<Pending>,
    limit: usize,
}

impl Loop {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let done = loop {
            let has_room = self.pending.len() < self.limit;
            tokio::select! {
                biased;
                outcome = front(&mut self.pending), if !self.pending.is_empty() => self.settle(outcome).await,
                message = inbox.recv(), if has_room => match message {
                    Some(Message::Submit { request, reply }) => self.decide(request, reply),
                    Some(Message::Shutdown { done }) => break Some(done),
                    None => break None,
                },
            }
        };
        inbox.close();
        while let Ok(message) = inbox.try_recv() {
            if let Message::Submit { reply, .. } = message {
                let _ = reply.send(Err(SubmitError::Stopping));
            }
        }
        while !self.pending.is_empty() {
            let outcome = front(&mut self.pending).await;
            self.settle(outcome).await;
        }
        self.log.close().await;
        // Nobody may be waiting any more.
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    fn decide(&mut self, request: Request, reply: Reply) {
        let base_offset = self.controller.tip().offset() + 1;
        let Decision { records, response } = self.controller.handle(self.env.clock.wall_ms(), request);
        if records.is_empty() && self.pending.is_empty() {
            let _ = reply.send(Ok(response));
            return;
        }
        let proposal = Proposal { epoch: self.epoch, base_offset, records };
        let commit = (!proposal.records.is_empty()).then(|| self.log.propose(proposal));
        self.pending.push_back(Pending { commit, response, reply });
    }

    /// Answers the oldest decision. When it failed, so have all that rest on it: they are settled too, and the tip is
    /// dropped.
    async fn settle(&mut self, outcome: Result<(), ProposeError>) {
        let Some(Pending { response, reply, .. }) = self.pending.pop_front() else { return };
        let Err(error) = outcome else {
            let _ = reply.send(Ok(response));
            return;
        };
        tracing::warn!(%error, "a metadata batch did not commit");
        let _ = reply.send(Err(error.clone().into()));
        while !self.pending.is_empty() {
            let outcome = front(&mut self.pending).await;
            let Some(Pending { commit, reply, response }) = self.pending.pop_front() else { break };
            let answer = match outcome {
                Ok(()) if commit.is_some() => Ok(response),
                Ok(()) => Err(error.clone().into()),
                Err(own) => Err(own.into()),
            };
            let _ = reply.send(answer);
        }
        self.controller.reset(Image::clone(&self.log.image()));
    }
}

/// Waits for the oldest decision's records. Cancel safe: the decision stays in the queue.
async fn front(pending: &mut VecDeque<Pending>) -> Result<(), ProposeError> {
    match pending.front_mut().and_then(|oldest| oldest.commit.as_mut()) {
        Some(commit) => commit.await.map(|_| ()),
        None => Ok(()),
    }
}
