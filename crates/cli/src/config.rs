//! `chronik config describe|set|unset`: the configs of topics, brokers, their loggers, groups and subscriptions to clients'
//! metrics of a running cluster.

use chronik_client::{Client, ClientError, ConfigChange, ConfigEntry, Resource, ResourceType};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use crate::common::{Common, key_value};
use crate::failure::Failure;
use crate::report::{Output, Report};

/// As DescribeConfigs numbers it.
const DEFAULT_CONFIG: i8 = 5;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show configs, and where each value comes from
    Describe(Describe),
    /// Set configs
    Set(Set),
    /// Take configs back to their defaults
    Unset(Unset),
}

/// What carries the configs: exactly one.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct Of {
    #[arg(long)]
    topic: Option<String>,
    /// A broker's id
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// What holds for all brokers
    #[arg(long)]
    all_brokers: bool,
    /// The levels of a broker's loggers, until it stops
    #[arg(long, value_name = "ID")]
    broker_logger: Option<i32>,
    #[arg(long)]
    group: Option<String>,
    /// A subscription to clients' metrics
    #[arg(long, value_name = "NAME")]
    client_metrics: Option<String>,
}

impl Of {
    fn resource(&self) -> Resource {
        let broker = self.broker.map(|id| id.to_string());
        let broker_logger = self.broker_logger.map(|id| id.to_string());
        let given = [
            (ResourceType::Topic, &self.topic),
            (ResourceType::Broker, &broker),
            (ResourceType::BrokerLogger, &broker_logger),
            (ResourceType::Group, &self.group),
            (ResourceType::ClientMetrics, &self.client_metrics),
        ];
        let given = given.into_iter().find_map(|(kind, name)| Some(Resource { kind, name: name.clone()? }));
        given.unwrap_or(Resource { kind: ResourceType::Broker, name: String::new() })
    }
}

#[derive(Debug, ClapArgs)]
pub struct Describe {
    #[command(flatten)]
    of: Of,
    /// Only these [default: all that are not at their default]
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// With those at their default
    #[arg(short, long)]
    all: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Set {
    #[command(flatten)]
    of: Of,
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Only check whether it could be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Unset {
    #[command(flatten)]
    of: Of,
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Only check whether it could be done
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(common: &Common, command: Command) -> Result<(), Failure> {
    let mut client = common.client()?;
    match command {
        Command::Describe(describe) => run_describe(&mut client, common.output, &describe).await,
        Command::Set(set) => {
            let changes: Vec<_> = set.configs.into_iter().map(|(key, value)| ConfigChange::Set(key, value)).collect();
            run_alter(&mut client, common.output, &set.of.resource(), &changes, set.dry_run).await
        }
        Command::Unset(unset) => {
            let changes: Vec<_> = unset.keys.into_iter().map(ConfigChange::Delete).collect();
            run_alter(&mut client, common.output, &unset.of.resource(), &changes, unset.dry_run).await
        }
    }
}

/// A source in Kafka's words.
pub fn source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

/// The configs of something that exists: describing a topic that does not is an error with some brokers only.
pub async fn described(
    client: &mut Client,
    resource: &Resource,
    keys: Option<&[String]>,
) -> Result<Vec<ConfigEntry>, ClientError> {
    if resource.kind == ResourceType::Topic {
        client.topic(&resource.name).await?;
    }
    client.describe_configs(resource, keys).await
}

async fn run_describe(client: &mut Client, output: Output, args: &Describe) -> Result<(), Failure> {
    let resource = args.of.resource();
    let keys = (!args.keys.is_empty()).then_some(args.keys.as_slice());
    let mut entries = described(client, &resource, keys).await?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut report = Report::new(&["key", "value", "source", "read_only", "sensitive"]);
    let shown = |entry: &&ConfigEntry| args.all || keys.is_some() || entry.source != DEFAULT_CONFIG;
    for entry in entries.iter().filter(shown) {
        let value = entry.value.as_ref().map_or(Value::Null, |value| json!(value));
        let source = json!(source_name(entry.source));
        report.row(vec![json!(entry.name), value, source, json!(entry.read_only), json!(entry.sensitive)]);
    }
    for key in args.keys.iter().filter(|key| !entries.iter().any(|entry| entry.name == **key)) {
        report.failed_because(vec![json!(key)], "no such config");
    }
    report.print(output)
}

async fn run_alter(
    client: &mut Client,
    output: Output,
    resource: &Resource,
    changes: &[ConfigChange],
    dry_run: bool,
) -> Result<(), Failure> {
    // All or nothing: one answer for all keys.
    client.alter_configs(resource, changes, dry_run).await?;
    let mut report = Report::new(&["key", "value", "result"]);
    for change in changes {
        let (key, value) = match change {
            ConfigChange::Set(key, value) | ConfigChange::Append(key, value) | ConfigChange::Subtract(key, value) => {
                (key, json!(value))
            }
            ConfigChange::Delete(key) => (key, Value::Null),
        };
        let done = match (change, dry_run) {
            (ConfigChange::Delete(_), false) => "unset",
            (ConfigChange::Delete(_), true) => "would be unset",
            (_, false) => "set",
            (_, true) => "would be set",
        };
        report.row(vec![json!(key), value, json!(done)]);
    }
    report.print(output)
}
