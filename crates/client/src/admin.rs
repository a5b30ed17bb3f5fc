//! Administrative calls: topics and records. Each item of a call has a result of its own.

use chronik_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use chronik_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use chronik_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use chronik_protocol::messages::delete_topics_request::DeleteTopicState;
use chronik_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
};
use chronik_protocol::request::Message;

use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::metadata::{TopicInfo, text, topic_name};
use crate::offsets::{RETRY_AFTER, SETTLES_WITHIN};

/// A topic to be made.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// `None` = the broker's default.
    pub partitions: Option<i32>,
    /// `None` = the broker's default.
    pub replication_factor: Option<i16>,
    /// Brokers of each partition, in order; empty = the cluster chooses.
    pub assignments: Vec<Vec<i32>>,
    pub configs: Vec<(String, String)>,
}

/// What was made of one topic.
pub type TopicResult<T> = (String, Result<T, ApiError>);

impl Client {
    fn admin_timeout_ms(&self) -> i32 {
        i32::try_from(self.options.request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// `validate_only` checks and changes nothing. The value of a success is the topic's partitions and replication
    /// factor, -1 where the broker does not tell.
    pub async fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<TopicResult<(i32, i16)>>, ClientError> {
        let request = CreateTopicsRequest::default()
            .with_topics(topics.iter().map(creatable).collect())
            .with_timeout_ms(self.admin_timeout_ms())
            .with_validate_only(validate_only);
        let response = self.administer(&request).await?;
        let results = response.topics.into_iter().map(|t| {
            let result = check(t.error_code, t.error_message.as_ref());
            (t.name.to_string(), result.map(|()| (t.num_partitions, t.replication_factor)))
        });
        Ok(results.collect())
    }

    /// Waits, but no longer than a few seconds, until the broker asked knows topics and all their leaders: in a cluster
    /// that comes after a topic's creation has been answered.
    pub async fn await_leaders(&mut self, topics: &[&str]) -> Result<(), ClientError> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let metadata = self.metadata(Some(topics), false).await?;
            let settled = |topic: &TopicInfo| topic.partitions.iter().all(|p| p.leader >= 0);
            let known = metadata.found().filter(|topic| settled(topic)).count();
            if known == topics.len() || Instant::now() > deadline {
                return Ok(());
            }
            sleep(RETRY_AFTER).await;
        }
    }

    pub async fn delete_topics(&mut self, names: &[&str]) -> Result<Vec<TopicResult<()>>, ClientError> {
        let timeout_ms = self.admin_timeout_ms();
        let ours = <DeleteTopicsRequest as Message>::VERSIONS;
        let request = |version: i16| {
            let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms);
            let named = |name: &&str| DeleteTopicState::default().with_name(Some(topic_name(name)));
            match version {
                6.. => request.with_topics(names.iter().map(named).collect()),
                _ => request.with_topic_names(names.iter().map(|name| topic_name(name)).collect()),
            }
        };
        let response = self.controller().await?.call_with(ours.min..=ours.max, request).await?;
        let results = response.responses.into_iter().map(|t| {
            let name = t.name.map(|name| name.to_string()).unwrap_or_default();
            (name, check(t.error_code, t.error_message.as_ref()))
        });
        Ok(results.collect())
    }

    /// Raises topics to a number of partitions, each with the brokers of the new ones where given.
    pub async fn create_partitions(
        &mut self,
        topics: &[(&str, i32)],
        validate_only: bool,
    ) -> Result<Vec<TopicResult<()>>, ClientError> {
        let topic = |(name, count): &(&str, i32)| {
            CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(*count).with_assignments(None)
        };
        let request = CreatePartitionsRequest::default()
            .with_topics(topics.iter().map(topic).collect())
            .with_timeout_ms(self.admin_timeout_ms())
            .with_validate_only(validate_only);
        let response = self.administer(&request).await?;
        let results = response.results.into_iter();
        Ok(results.map(|t| (t.name.to_string(), check(t.error_code, t.error_message.as_ref()))).collect())
    }

    /// Deletes the records below an offset (-1 = all) of partitions of topics. The value is the log's new first offset.
    pub async fn delete_records(
        &mut self,
        partitions: &[(String, i32, i64)],
    ) -> Result<Vec<(String, i32, Result<i64, ApiError>)>, ClientError> {
        let timeout_ms = self.admin_timeout_ms();
        let mut results = Vec::new();
        for (leader, mine) in self.by_leader(partitions, &mut results, |(topic, p, _)| (topic.as_str(), *p)).await? {
            let mut topics: Vec<DeleteRecordsTopic> = Vec::new();
            for (topic, partition, offset) in mine {
                let entry = DeleteRecordsPartition::default().with_partition_index(*partition).with_offset(*offset);
                match topics.iter_mut().find(|t| t.name.as_str() == topic.as_str()) {
                    Some(known) => known.partitions.push(entry),
                    None => topics
                        .push(DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![entry])),
                }
            }
            let request = DeleteRecordsRequest::default().with_topics(topics).with_timeout_ms(timeout_ms);
            let response = self.broker(leader).await?.call(&request).await?;
            for topic in response.topics {
                for p in topic.partitions {
                    let result = check(p.error_code, None).map(|()| p.low_watermark);
                    results.push((topic.name.to_string(), p.partition_index, result));
                }
            }
        }
        results.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        Ok(results)
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignment = |(index, brokers): (usize, &Vec<i32>)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    };
    let config = |(key, value): &(String, String)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    let manual = !topic.assignments.is_empty();
    CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(if manual { -1 } else { topic.partitions.unwrap_or(-1) })
        .with_replication_factor(if manual { -1 } else { topic.replication_factor.unwrap_or(-1) })
        .with_assignments(topic.assignments.iter().enumerate().map(assignment).collect())
        .with_configs(topic.configs.iter().map(config).collect())
}
