//! What a group has to store, on its way to the metadata log: one write after the other.

use std::sync::Arc;
use std::time::Duration;

use chronik_coordinator::{Effects, StoredConsumerGroup, StoredGroup};
use chronik_metadata::request::{Request, Response, StoreGroup};
use chronik_protocol::error::ErrorCode;
use chronik_quorum::SubmitError;
use tokio::sync::oneshot;
use tracing::warn;

use super::{AnyGroup, Groups, Live, LiveState, stored};

/// How often, and after which pause, a write is tried again that the controller is too busy to take.
const BUSY_TRIES: u32 = 40;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// What is written next.
enum Next {
    Generation(StoredGroup),
    /// All that has changed of a consumer group until now, and who waits for it.
    Changes(Option<Box<StoredConsumerGroup>>, Vec<oneshot::Sender<Result<(), ErrorCode>>>),
}

impl LiveState {
    fn next_to_store(&mut self) -> Option<Next> {
        if !self.has_to_store() {
            return None;
        }
        if let Some(generation) = self.to_store.take() {
            return Some(Next::Generation(generation));
        }
        let changes = match &mut self.group {
            AnyGroup::Classic(_) => None,
            AnyGroup::Consumer(group) => group.take_changes().map(Box::new),
        };
        Some(Next::Changes(changes, std::mem::take(&mut self.until_durable)))
    }
}

/// Stores until there is nothing more to store.
pub(super) async fn store(groups: Arc<Groups>, live: Arc<Live>) {
    loop {
        let next = {
            let mut state = live.state.lock();
            let Some(next) = state.next_to_store() else {
                state.storing = false;
                groups.finish(&live, state, Effects::default());
                return;
            };
            next
        };
        match next {
            Next::Generation(generation) => {
                if let Err(error) = store_generation(&groups, &live, generation).await {
                    // Of a group that was a consumer group until then.
                    live.state.lock().fail(error);
                }
            }
            Next::Changes(changes, waiting) => {
                let outcome = match changes {
                    Some(changes) => store_changes(&groups, &live, *changes).await,
                    None => Ok(()),
                };
                if let Err(error) = outcome {
                    // What is here is ahead of what is stored: it begins anew from there.
                    let mut state = live.state.lock();
                    state.until_durable.extend(waiting);
                    state.fail(error);
                    groups.let_go(&live, state);
                    return;
                }
                for done in waiting {
                    // A client that went away no longer waits.
                    let _ = done.send(Ok(()));
                }
            }
        }
    }
}

async fn store_generation(groups: &Arc<Groups>, live: &Arc<Live>, stored: StoredGroup) -> Result<(), ErrorCode> {
    let generation = stored.generation;
    let request = StoreGroup { group: stored::classic_record(&live.id, stored) };
    let outcome = written(groups, live, Request::StoreGroup(request)).await;
    let mut state = live.state.lock();
    let mut out = Effects::default();
    let now_ms = groups.now_ms();
    if let AnyGroup::Classic(group) = &mut state.group {
        group.stored(now_ms, generation, outcome, &mut out);
    }
    groups.finish(live, state, out);
    outcome
}

async fn store_changes(groups: &Arc<Groups>, live: &Arc<Live>, changes: StoredConsumerGroup) -> Result<(), ErrorCode> {
    let request = stored::consumer_changes(&live.id, changes);
    written(groups, live, Request::StoreConsumerGroup(request)).await
}

async fn written(groups: &Arc<Groups>, live: &Arc<Live>, request: Request) -> Result<(), ErrorCode> {
    match decided(groups, request).await {
        Ok(Response::StoreGroup(Ok(())) | Response::StoreConsumerGroup(Ok(()))) => {
            groups.count_as_stored(&mut live.state.lock());
            Ok(())
        }
        Ok(Response::StoreGroup(Err(e)) | Response::StoreConsumerGroup(Err(e))) => {
            warn!(group = live.id, "the group is not stored: {e}");
            Err(ErrorCode::UnknownServerError)
        }
        Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
        Err(e) => {
            warn!(group = live.id, "the group is not stored: {e}");
            Err(commit_error(&e))
        }
    }
}

/// Submits a write. One that the controller is too busy to take is put off, for a while: it was not decided, and without
/// it members that left would be there again.
async fn decided(groups: &Groups, request: Request) -> Result<Response, SubmitError> {
    unless_busy(|| groups.controller.queue(request.clone()), BUSY_PAUSE).await
}

async fn unless_busy<T, F>(mut submit: impl FnMut() -> F, pause: Duration) -> Result<T, SubmitError>
where
    F: Future<Output = Result<T, SubmitError>>,
{
    for _ in 0..BUSY_TRIES {
        match submit().await {
            Err(SubmitError::Busy) => tokio::time::sleep(pause).await,
            outcome => return outcome,
        }
    }
    submit().await
}

/// What a client is told that could not be served now, so that it tries again.
pub(super) fn commit_error(error: &SubmitError) -> ErrorCode {
    match error {
        SubmitError::Busy | SubmitError::OutcomeUnknown => ErrorCode::CoordinatorNotAvailable,
        SubmitError::NotController | SubmitError::Stopping => ErrorCode::NotCoordinator,
        SubmitError::NoRoom { .. } | SubmitError::Failed { .. } => ErrorCode::CoordinatorNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What comes of a write that meets these outcomes one after the other, the last one for ever; and how often it was
    /// tried.
    fn tried(outcomes: &[Result<&'static str, SubmitError>]) -> (Result<&'static str, SubmitError>, u32) {
        let tries = Cell::new(0);
        let submit = || {
            let at = tries.replace(tries.get() + 1) as usize;
            std::future::ready(outcomes[at.min(outcomes.len() - 1)].clone())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let outcome = runtime.block_on(unless_busy(submit, Duration::ZERO));
        (outcome, tries.get())
    }

    #[test]
    fn a_write_that_a_busy_controller_turns_away_is_tried_again() {
        let busy = || Err(SubmitError::Busy);
        assert_eq!(tried(&[Ok("stored")]), (Ok("stored"), 1));
        assert_eq!(tried(&[busy(), busy(), Ok("stored")]), (Ok("stored"), 3));
        assert_eq!(tried(&[busy(), Err(SubmitError::Stopping)]), (Err(SubmitError::Stopping), 2));
    }

    #[test]
    fn a_controller_that_stays_busy_is_given_up() {
        assert_eq!(tried(&[Err(SubmitError::Busy)]), (Err(SubmitError::Busy), BUSY_TRIES + 1));
    }

    /// It may have been decided: a second time it might undo what came after it.
    #[test]
    fn a_write_whose_outcome_is_not_known_is_not_tried_again() {
        let failed = SubmitError::Failed { reason: "EIO".into() };
        for error in [SubmitError::OutcomeUnknown, SubmitError::NotController, failed] {
            assert_eq!(tried(&[Err(error.clone()), Ok("stored")]), (Err(error), 1));
        }
    }
}
