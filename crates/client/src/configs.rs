//! Configs of topics, brokers and groups.

use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use chronik_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest};

use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::metadata::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

/// What carries configs: its type and name. A broker's name is its id; all brokers together have the empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub kind: ResourceType,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` = null, or not told.
    pub value: Option<String>,
    /// As DescribeConfigs numbers it: 1 topic, 2 broker, 3 cluster, 4 static, 5 default, 6 logger,
    /// 7 subscription to clients' metrics, 8 group.
    pub source: i8,
    pub read_only: bool,
    pub sensitive: bool,
    /// Where values come from, the winner first: name, value, source.
    pub synonyms: Vec<(String, Option<String>, i8)>,
}

/// One change of IncrementalAlterConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    Set(String, String),
    Delete(String),
    Append(String, String),
    Subtract(String, String),
}

impl Client {
    /// The configs of one resource, all or those named, in the broker's order.
    pub async fn describe_configs(
        &mut self,
        resource: &Resource,
        keys: Option<&[String]>,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let entry = DescribeConfigsResource::default()
            .with_resource_type(resource.kind as i8)
            .with_resource_name(text(&resource.name))
            .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
        let request = DescribeConfigsRequest::default().with_resources(vec![entry]).with_include_synonyms(true);
        let response = self.holder(resource).await?.call(&request).await?;
        let result = response.results.into_iter().next().ok_or(ClientError::Unanswered("DescribeConfigs"))?;
        check(result.error_code, result.error_message.as_ref())?;
        let entries = result.configs.into_iter().map(|c| ConfigEntry {
            name: c.name.to_string(),
            value: c.value.map(|v| v.to_string()),
            source: c.config_source,
            read_only: c.read_only,
            sensitive: c.is_sensitive,
            synonyms: c
                .synonyms
                .into_iter()
                .map(|s| (s.name.to_string(), s.value.map(|v| v.to_string()), s.source))
                .collect(),
        });
        Ok(entries.collect())
    }

    /// Changes configs of one resource, all together or not at all.
    pub async fn alter_configs(
        &mut self,
        resource: &Resource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let change = |change: &ConfigChange| {
            let (name, value, operation) = match change {
                ConfigChange::Set(name, value) => (name, Some(value), 0),
                ConfigChange::Delete(name) => (name, None, 1),
                ConfigChange::Append(name, value) => (name, Some(value), 2),
                ConfigChange::Subtract(name, value) => (name, Some(value), 3),
            };
            AlterableConfig::default()
                .with_name(text(name))
                .with_value(value.map(|value| text(value)))
                .with_config_operation(operation)
        };
        let entry = AlterConfigsResource::default()
            .with_resource_type(resource.kind as i8)
            .with_resource_name(text(&resource.name))
            .with_configs(changes.iter().map(change).collect());
        let request =
            IncrementalAlterConfigsRequest::default().with_resources(vec![entry]).with_validate_only(validate_only);
        let response = match resource.kind {
            ResourceType::Broker | ResourceType::BrokerLogger => self.holder(resource).await?.call(&request).await?,
            _ => self.administer(&request).await?,
        };
        let result = response.responses.into_iter().next().ok_or(ClientError::Unanswered("IncrementalAlterConfigs"))?;
        check(result.error_code, result.error_message.as_ref()).map_err(ApiError::into)
    }

    /// The names of all that carry configs of this type, ascending.
    pub async fn config_resources(&mut self, kind: ResourceType) -> Result<Vec<String>, ClientError> {
        let request = ListConfigResourcesRequest::default().with_resource_types(vec![kind as i8]);
        let response = self.any().await?.call(&request).await?;
        check(response.error_code, None)?;
        let mut names: Vec<_> = response.config_resources.into_iter().map(|r| r.resource_name.to_string()).collect();
        names.sort();
        Ok(names)
    }

    /// A broker's own configs are known to it alone.
    async fn holder(&mut self, resource: &Resource) -> Result<&mut crate::BrokerConnection, ClientError> {
        match (resource.kind, resource.name.parse::<i32>()) {
            (ResourceType::Broker | ResourceType::BrokerLogger, Ok(id)) => self.broker(id).await,
            _ => self.any().await,
        }
    }
}
