//! Topics that the configuration asks for: made before the broker is ready, where they are missing.

use chronik_config::InitialTopic;
use chronik_metadata::request::{CreateTopics, NewTopic};

use crate::broker::{Broker, StartError};

/// A topic that is there is left as it is, whatever its partitions and settings.
pub(crate) async fn create(broker: &Broker, topics: &[InitialTopic]) -> Result<(), StartError> {
    let image = broker.image();
    let missing: Vec<NewTopic> =
        topics.iter().filter(|topic| image.topic(&topic.name).is_none()).map(new_topic).collect();
    let Some(first) = missing.first().map(|topic| topic.name.clone()) else { return Ok(()) };
    let request = CreateTopics { topics: missing, validate_only: false, defaults: broker.topic_defaults() };
    let results = broker.controller().create_topics(request).await;
    let results = results.map_err(|e| StartError::InitialTopic { name: first, reason: e.to_string() })?;
    for one in results {
        match one.result {
            Ok(created) => tracing::info!(topic = one.name, partitions = created.num_partitions, "created at start"),
            Err(e) => return Err(StartError::InitialTopic { name: one.name, reason: e.to_string() }),
        }
    }
    Ok(())
}

fn new_topic(topic: &InitialTopic) -> NewTopic {
    NewTopic {
        name: topic.name.clone(),
        num_partitions: topic.partitions.unwrap_or(-1),
        replication_factor: topic.replicas.unwrap_or(-1),
        assignments: Vec::new(),
        configs: topic.cleanup_policy.iter().map(|policy| ("cleanup.policy".to_owned(), policy.clone())).collect(),
    }
}
