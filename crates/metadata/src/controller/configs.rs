//! Setting and unsetting configs.

use std::collections::BTreeSet;

use super::Draft;
use crate::error::{LimitError, SetConfigsError};
use crate::image::{RESOURCE_BROKER, RESOURCE_CLIENT_METRICS, RESOURCE_GROUP, RESOURCE_TOPIC};
use crate::record::{Config, Record};
use crate::request::{ConfigResource, ResourceChanges, SetConfigs, SetConfigsResult};

impl Draft<'_> {
    /// One result per distinct resource, in the order of first mention.
    pub(super) fn set_configs(&mut self, request: SetConfigs) -> Vec<SetConfigsResult> {
        let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for changes in &request.resources {
            if !seen.insert(changes.resource.clone()) {
                twice.insert(changes.resource.clone());
            }
        }
        let mut results = Vec::with_capacity(seen.len());
        for changes in request.resources {
            let resource = changes.resource.clone();
            if !seen.remove(&resource) {
                continue;
            }
            let duplicate = twice.contains(&resource);
            let result = if duplicate { Err(SetConfigsError::DuplicateResource) } else { self.set_resource(changes) };
            results.push(SetConfigsResult { resource, result });
        }
        results
    }

    fn set_resource(&mut self, request: ResourceChanges) -> Result<(), SetConfigsError> {
        let (resource_type, resource_name) = self.check_resource(&request.resource)?;
        let mut keys = BTreeSet::new();
        if let Some((key, _)) = request.changes.iter().find(|(key, _)| !keys.insert(key.as_str())) {
            return Err(SetConfigsError::DuplicateKey(key.clone()));
        }
        let before = self.image.configs(&request.resource);
        let mut after = before.clone();
        if request.replace {
            after.retain(|key, _| keys.contains(key.as_str()));
        }
        for (key, value) in &request.changes {
            match value {
                Some(value) => after.insert(key.clone(), value.clone()),
                None => after.remove(key),
            };
        }
        if after.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > self.limits.max_config_bytes {
            return Err(LimitError::ConfigBytes(self.limits.max_config_bytes).into());
        }
        let unset = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key, None));
        let set =
            after.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, value)| (key, Some(value)));
        let record = |(key, value): (&String, Option<&String>)| {
            let (resource_name, key, value) = (resource_name.clone(), key.clone(), value.cloned());
            Record::Config(Config { resource_type, resource_name, key, value })
        };
        let records = unset.chain(set).map(record).collect();
        Ok(self.add(records)?)
    }

    /// The resource as records name it.
    fn check_resource(&self, resource: &ConfigResource) -> Result<(i32, String), SetConfigsError> {
        match resource {
            ConfigResource::Topic(name) if self.image.topic(name).is_none() => {
                Err(SetConfigsError::UnknownTopic(name.clone()))
            }
            ConfigResource::Topic(name) => Ok((RESOURCE_TOPIC, name.clone())),
            ConfigResource::Broker(None) => Ok((RESOURCE_BROKER, String::new())),
            ConfigResource::Broker(Some(id)) if self.image.broker(*id).is_none() => {
                Err(SetConfigsError::UnknownBroker(id.to_string()))
            }
            ConfigResource::Broker(Some(id)) => Ok((RESOURCE_BROKER, id.to_string())),
            ConfigResource::ClientMetrics(name) => self.unlisted(RESOURCE_CLIENT_METRICS, name),
            ConfigResource::Group(id) => self.unlisted(RESOURCE_GROUP, id),
        }
    }

    /// A resource that exists by what is set on it. There may be only so many.
    fn unlisted(&self, resource_type: i32, name: &str) -> Result<(i32, String), SetConfigsError> {
        let limit = self.limits.max_configured_resources;
        let known = || self.image.configured(resource_type);
        if !known().any(|known| known == name) && known().count() as u64 >= limit {
            return Err(SetConfigsError::Resources(limit));
        }
        Ok((resource_type, name.to_owned()))
    }
}
