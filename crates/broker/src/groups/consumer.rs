//! What clients of the consumer protocol (KIP-848) ask of their groups.

use std::sync::Arc;

use chronik_config::MigrationPolicy;
use chronik_coordinator::{
    Assignor, ConsumerGroup, ConsumerSettings, ConsumerSummary, Effects, Heartbeat, Heartbeaten, Migration, Refusal,
    Settings, State, TopicInfo, Topics, View,
};
use chronik_metadata::Image;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::TopicId;
use tracing::info;

use super::classic::settled;
use super::{AnyGroup, Groups, LiveState, Undescribed};

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

    fn name(&self, id: TopicId) -> Option<&str> {
        self.0.topic_by_id(id).map(|topic| topic.name())
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

    /// What a consumer group is allowed: its own settings over the broker's.
    fn consumer_settings(&self, group_id: &str) -> ConsumerSettings {
        let image = self.controller.image();
        let own = image.group_configs(group_id).iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let config = self.settings.config();
        let consumer = config.groups.consumer.of_group(own);
        ConsumerSettings {
            session_timeout_ms: consumer.session_timeout_ms,
            heartbeat_interval_ms: consumer.heartbeat_interval_ms,
            assignment_interval_ms: consumer.assignment_interval_ms,
            regex_refresh_interval_ms: consumer.regex_refresh_interval_ms,
            classic_session_timeouts_ms: config.groups.min_session_timeout_ms..=config.groups.max_session_timeout_ms,
            max_size: consumer.max_size,
            migration: match consumer.migration_policy {
                MigrationPolicy::Disabled => Migration::Disabled,
                MigrationPolicy::Downgrade => Migration::Downgrade,
                MigrationPolicy::Upgrade => Migration::Upgrade,
                MigrationPolicy::Bidirectional => Migration::Bidirectional,
            },
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
        let classic = self.classic_settings();
        let step = self.step(group_id, joins, |state, _, out| {
            let scene = self.scene(group_id);
            let answer = state.heartbeat(&scene.view(), beat, new_member_id, out).inspect_err(|refusal| {
                if joins {
                    info!(group = group_id, error = refusal.error.name(), "nobody joins: {}", refusal.message);
                }
            })?;
            state.downgrade_if_due(group_id, &scene.view(), classic, true, out);
            Ok((answer, state.durable(out)))
        });
        let not_found = || match joins {
            true => Refusal::new(ErrorCode::CoordinatorNotAvailable, "too many groups are new"),
            false => Refusal::new(ErrorCode::GroupIdNotFound, format!("there is no group {group_id}")),
        };
        let (answer, durable) = step.ok_or_else(not_found)??;
        settled(durable).await.map_err(|error| Refusal::new(error, "the group could not be stored"))?;
        Ok(answer)
    }

    /// What there is to see of a consumer group.
    pub(crate) fn describe_consumer(self: &Arc<Self>, group_id: &str) -> Result<ConsumerSummary, Undescribed> {
        let summary = self.step(group_id, false, |state, _, _| match &state.group {
            group if group.is_dead() => Err(Undescribed::NotThere),
            AnyGroup::Classic(_) => Err(Undescribed::OtherProtocol),
            AnyGroup::Consumer(group) => Ok(group.summary(&self.scene(group_id).view())),
        });
        summary.unwrap_or(Err(Undescribed::NotThere))
    }
}

impl LiveState {
    /// Takes a heartbeat. A classic group becomes a consumer group with the first that joins it.
    fn heartbeat(
        &mut self,
        view: &View,
        beat: Heartbeat,
        new_member_id: String,
        out: &mut Effects,
    ) -> Result<Heartbeaten, Refusal> {
        let classic = match &mut self.group {
            AnyGroup::Consumer(group) => return group.heartbeat(view, beat, new_member_id),
            AnyGroup::Classic(classic) => classic,
        };
        if classic.state() == State::Dead {
            return Err(Refusal::new(ErrorCode::CoordinatorNotAvailable, "the group is being deleted"));
        }
        if !beat.joins() {
            return Err(Refusal::new(ErrorCode::GroupIdNotFound, "the group is not a consumer group"));
        }
        let mut group = match classic.state() {
            State::Empty => ConsumerGroup::new(),
            _ => ConsumerGroup::upgraded(view, classic)?,
        };
        let answer = group.heartbeat(view, beat, new_member_id)?;
        classic.move_away(out);
        // Its members and their assignments are among what is stored now.
        self.to_store = None;
        self.group = AnyGroup::Consumer(Box::new(group));
        Ok(answer)
    }

    /// A consumer group that only has classic members left goes back to their protocol. `left`: as one member is gone.
    pub(super) fn downgrade_if_due(
        &mut self,
        group_id: &str,
        view: &View,
        settings: Settings,
        left: bool,
        out: &mut Effects,
    ) {
        if let AnyGroup::Consumer(group) = &self.group
            && let Some(classic) = group.downgraded(view, settings, left, out)
        {
            info!(group = group_id, "only members of the classic protocol are left: the group is classic again");
            self.group = AnyGroup::Classic(Box::new(classic));
        }
    }
}
