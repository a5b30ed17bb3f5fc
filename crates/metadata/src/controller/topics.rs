//! Creating and deleting topics.

use std::collections::{BTreeMap, BTreeSet};

use chronik_protocol::types::{BrokerId, TopicId, TopicName};

use super::{Draft, RESERVED_TOPICS};
use crate::error::{AssignmentError, CreateTopicError, DeleteTopicError, LimitError};
use crate::ids::Ids;
use crate::image::{Image, RESOURCE_TOPIC};
use crate::placement;
use crate::record::{Config, Id, Record, RemoveTopic, TopicRecord};
use crate::request::{
    CreateTopicResult, CreateTopics, CreatedTopic, DeleteTopicResult, DeleteTopics, DeletedTopic, NewTopic,
    TopicDefaults, TopicRef,
};

impl Draft<'_> {
    /// One result per distinct name, in the order of first mention.
    pub(super) fn create_topics(&mut self, ids: &mut Ids, request: CreateTopics) -> Vec<CreateTopicResult> {
        let mut mentions = BTreeMap::<String, usize>::new();
        for topic in &request.topics {
            *mentions.entry(topic.name.clone()).or_default() += 1;
        }
        let mut results = Vec::with_capacity(mentions.len());
        for topic in request.topics {
            let name = topic.name.clone();
            let result = match mentions.remove(&name) {
                None => continue,
                Some(1) => self.create_topic(ids, topic, request.defaults),
                Some(_) => Err(CreateTopicError::Duplicate(name.clone())),
            };
            // An id that was only tried out is nobody's.
            let hide = |created| {
                if request.validate_only { CreatedTopic { topic_id: TopicId::nil(), ..created } } else { created }
            };
            results.push(CreateTopicResult { name, result: result.map(hide) });
        }
        results
    }

    fn create_topic(
        &mut self,
        ids: &mut Ids,
        topic: NewTopic,
        defaults: TopicDefaults,
    ) -> Result<CreatedTopic, CreateTopicError> {
        let name = self.check_new_name(&topic.name)?;
        let replicas = self.replicas_of_new_topic(&topic, defaults)?;
        self.check_partition_limits(replicas.len(), replicas.len())?;
        self.check_new_configs(&topic.configs)?;
        let topic_id = ids.topic_id(|id| self.image.topic_by_id(id).is_some());
        let created = CreatedTopic {
            topic_id,
            num_partitions: replicas.len() as i32,
            replication_factor: replicas.first().map_or(0, Vec::len) as i16,
        };
        let id = Id::from(topic_id);
        let mut records = Vec::with_capacity(1 + replicas.len() + topic.configs.len());
        records.push(Record::Topic(TopicRecord {
            topic_id: id,
            name: name.as_str().to_owned(),
            created_ms: self.now_ms,
        }));
        records.extend((0..).zip(replicas).map(|(index, replicas)| self.new_partition(id, index, replicas)));
        records.extend(topic.configs.into_iter().map(|(key, value)| {
            let (resource_name, value) = (name.as_str().to_owned(), Some(value));
            Record::Config(Config { resource_type: RESOURCE_TOPIC, resource_name, key, value })
        }));
        self.add(records)?;
        Ok(created)
    }

    fn check_new_name(&self, name: &str) -> Result<TopicName, CreateTopicError> {
        let name = TopicName::new(name)?;
        if RESERVED_TOPICS.contains(&name.as_str()) {
            return Err(CreateTopicError::Internal(name.as_str().to_owned()));
        }
        if self.image.topic(name.as_str()).is_some() {
            return Err(CreateTopicError::Exists(name.as_str().to_owned()));
        }
        if let Some(existing) = colliding(&self.image, name.as_str()) {
            return Err(CreateTopicError::Collision { name: name.as_str().to_owned(), existing });
        }
        if self.image.topic_count() >= self.limits.max_topics {
            return Err(LimitError::Topics(self.limits.max_topics).into());
        }
        Ok(name)
    }

    /// The replicas of each partition, checked or chosen.
    fn replicas_of_new_topic(
        &self,
        topic: &NewTopic,
        defaults: TopicDefaults,
    ) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
        if !topic.assignments.is_empty() {
            if topic.num_partitions != -1 || topic.replication_factor != -1 {
                return Err(CreateTopicError::AssignmentAndNumbers);
            }
            return Ok(self.check_assignments(&topic.assignments)?);
        }
        let replication_factor = match topic.replication_factor {
            -1 => defaults.replication_factor,
            given => given,
        };
        let num_partitions = match topic.num_partitions {
            -1 => defaults.num_partitions,
            given => given,
        };
        if replication_factor < 1 {
            return Err(CreateTopicError::ReplicationFactor(replication_factor));
        }
        if num_partitions < 1 {
            return Err(CreateTopicError::Partitions(num_partitions));
        }
        // Before placing, so that a huge number is refused and not worked on.
        self.check_partition_limits(num_partitions as usize, num_partitions as usize)?;
        Ok(placement::place(&self.image, num_partitions as usize, replication_factor as usize)?)
    }

    fn check_assignments(&self, assignments: &[(i32, Vec<BrokerId>)]) -> Result<Vec<Vec<BrokerId>>, AssignmentError> {
        let by_index: BTreeMap<_, _> = assignments.iter().map(|(index, replicas)| (*index, replicas)).collect();
        if by_index.len() != assignments.len() || !by_index.keys().copied().eq(0..assignments.len() as i32) {
            return Err(AssignmentError::Gaps { first: 0, last: assignments.len() as i32 - 1 });
        }
        let expected = by_index.values().next().map_or(0, |replicas| replicas.len());
        for (index, replicas) in &by_index {
            self.check_assignment(*index, replicas, expected)?;
        }
        Ok(by_index.into_values().cloned().collect())
    }

    fn check_new_configs(&self, configs: &[(String, String)]) -> Result<(), CreateTopicError> {
        let mut keys = BTreeSet::new();
        if let Some((key, _)) = configs.iter().find(|(key, _)| !keys.insert(key)) {
            return Err(CreateTopicError::ConfigTwice(key.clone()));
        }
        if configs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > self.limits.max_config_bytes {
            return Err(LimitError::ConfigBytes(self.limits.max_config_bytes).into());
        }
        Ok(())
    }

    /// One result per distinct reference, in the order of first mention.
    pub(super) fn delete_topics(&mut self, request: DeleteTopics) -> Vec<DeleteTopicResult> {
        let mut mentions = BTreeMap::<TopicId, usize>::new();
        for id in request.topics.iter().filter_map(|topic| self.resolve(topic)) {
            *mentions.entry(id).or_default() += 1;
        }
        let mut seen = BTreeSet::new();
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            if seen.insert(topic.clone()) {
                let result = self.delete_topic(&topic, &mentions);
                results.push(DeleteTopicResult { topic, result });
            }
        }
        results
    }

    fn resolve(&self, topic: &TopicRef) -> Option<TopicId> {
        match topic {
            TopicRef::Name(name) => self.image.topic(name),
            TopicRef::Id(id) => self.image.topic_by_id(*id),
        }
        .map(|topic| topic.id)
    }

    fn delete_topic(
        &mut self,
        topic: &TopicRef,
        mentions: &BTreeMap<TopicId, usize>,
    ) -> Result<DeletedTopic, DeleteTopicError> {
        let id = match (self.resolve(topic), topic) {
            (Some(id), _) => id,
            (None, TopicRef::Name(name)) if RESERVED_TOPICS.contains(&name.as_str()) => {
                return Err(DeleteTopicError::Internal(name.clone()));
            }
            (None, TopicRef::Name(name)) => return Err(DeleteTopicError::UnknownName(name.clone())),
            (None, TopicRef::Id(id)) => return Err(DeleteTopicError::UnknownId(*id)),
        };
        if mentions.get(&id).is_some_and(|times| *times > 1) {
            return Err(DeleteTopicError::Duplicate);
        }
        let known = self.image.topic_by_id(id).map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32));
        let (name, partitions) = known.unwrap_or_default();
        self.add(vec![Record::RemoveTopic(RemoveTopic { topic_id: id.into() })])?;
        Ok(DeletedTopic { topic_id: id, name, partitions })
    }
}

/// A topic whose name equals `name` once `.` and `_` are taken for the same. Looks only below prefixes that some topic
/// has, so it costs a few look-ups and no index.
fn colliding(image: &Image, name: &str) -> Option<String> {
    fn search(image: &Image, prefix: &mut String, parts: &[&str]) -> Option<String> {
        let first =
            image.topics_from(prefix).next().map(|topic| topic.name()).filter(|found| found.starts_with(&*prefix))?;
        let Some((part, rest)) = parts.split_first() else {
            return (first == prefix.as_str()).then(|| first.to_owned());
        };
        let length = prefix.len();
        ['.', '_'].into_iter().find_map(|separator| {
            prefix.push(separator);
            prefix.push_str(part);
            let found = search(image, prefix, rest);
            prefix.truncate(length);
            found
        })
    }
    let parts: Vec<_> = name.split(['.', '_']).collect();
    let (first, rest) = parts.split_first()?;
    search(image, &mut (*first).to_owned(), rest)
}
