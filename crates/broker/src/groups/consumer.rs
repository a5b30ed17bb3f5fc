//! What clients of the consumer protocol (KIP-848) ask of their groups.

use std::sync::Arc;

use chronik_coordinator::{
    Assignor, ConsumerGroup, ConsumerSettings, ConsumerState, ConsumerSummary, Heartbeat, Heartbeaten, Refusal, State,
    TopicInfo, Topics, View,
};
use chronik_metadata::Image;
use chronik_protocol::error::ErrorCode;

use super::{AnyGroup, Groups, LiveState};

/// What a consumer group may know of the world at one moment.
pub(super) struct Scene {
    now_ms: i64,
    settings: ConsumerSettings,
    topics: ImageTopics,
}

impl Scene {
    pub(super) fn view(&self) -> View<'_> {
        View { now_ms: self.now_ms, settings: &self.settings, topics: &self.topics }
    }
}

struct ImageTopics(Arc<Image>);

impl Topics for ImageTopics {
    fn version(&self) -> i64 {
        self.0.topics_version()
    }

    fn topic(&self, name: &str) -> Option<TopicInfo> {
        self.0.topic(name).map(|topic| TopicInfo { id: topic.id, partitions: topic.partitions().len() as i32 })
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.0.topics().map(|topic| topic.name()))
    }
}

impl Groups {
    pub(super) fn scene(&self, group_id: &str) -> Scene {
        Scene {
            now_ms: self.now_ms(),
            settings: self.consumer_settings(group_id),
            topics: ImageTopics(self.controller.image()),
        }
    }

    /// What a consumer group is allowed: the one place that says so, for all groups alike.
    fn consumer_settings(&self, _group_id: &str) -> ConsumerSettings {
        let config = self.settings.config();
        let consumer = &config.groups.consumer;
        ConsumerSettings {
            session_timeout_ms: consumer.session_timeout_ms,
            heartbeat_interval_ms: consumer.heartbeat_interval_ms,
            assignment_interval_ms: consumer.assignment_interval_ms,
            regex_refresh_interval_ms: consumer.regex_refresh_interval_ms,
            max_size: consumer.max_size,
            assignors: consumer.assignors.iter().filter_map(|name| Assignor::by_name(name)).collect(),
        }
    }

    /// Takes a heartbeat; answers once what follows from it is durable. `needs_member_id`: the request is of a version
    /// in which members bring their ids.
    pub(crate) async fn consumer_heartbeat(
        self: &Arc<Self>,
        group_id: &str,
        beat: Heartbeat,
        needs_member_id: bool,
    ) -> Result<Heartbeaten, Refusal> {
        beat.check(group_id, needs_member_id, &self.scene(group_id).view())?;
        let new_member_id = self.env.random.uuid().to_string();
        let joins = beat.joins();
        let step = self.step(group_id, joins, |state, _, _| {
            let group = state.consumer_or_empty(joins)?;
            let answer = group.heartbeat(&self.scene(group_id).view(), beat, new_member_id)?;
            Ok((answer, state.durable()))
        });
        let not_found = || Refusal::new(ErrorCode::GroupIdNotFound, format!("there is no group {group_id}"));
        let (answer, durable) = step.ok_or_else(not_found)??;
        if let Some(durable) = durable {
            let outcome = durable.await.unwrap_or(Err(ErrorCode::NotCoordinator));
            outcome.map_err(|error| Refusal::new(error, "the group could not be stored"))?;
        }
        Ok(answer)
    }

    /// What there is to see of a consumer group; `None` if there is no such group.
    pub(crate) fn describe_consumer(self: &Arc<Self>, group_id: &str) -> Option<ConsumerSummary> {
        let summary = self.step(group_id, false, |state, _, _| match &state.group {
            AnyGroup::Classic(_) => None,
            AnyGroup::Consumer(group) => Some(group.summary(&self.scene(group_id).view())),
        });
        summary.flatten().filter(|summary| summary.state != ConsumerState::Dead)
    }
}

impl LiveState {
    /// The group, which becomes a consumer group if it has no members and one `joins`.
    fn consumer_or_empty(&mut self, joins: bool) -> Result<&mut ConsumerGroup, Refusal> {
        if let AnyGroup::Classic(group) = &self.group
            && joins
        {
            if group.state() == State::Dead {
                return Err(Refusal::new(ErrorCode::CoordinatorNotAvailable, "the group is being deleted"));
            }
            if group.is_idle() {
                if self.storing {
                    return Err(Refusal::new(ErrorCode::CoordinatorLoadInProgress, "the group is being stored"));
                }
                self.group = AnyGroup::Consumer(Box::new(ConsumerGroup::new()));
            }
        }
        match &mut self.group {
            AnyGroup::Consumer(group) => Ok(group),
            AnyGroup::Classic(_) => Err(Refusal::new(ErrorCode::GroupIdNotFound, "the group is not a consumer group")),
        }
    }
}
