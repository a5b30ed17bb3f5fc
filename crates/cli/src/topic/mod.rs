//! `chronik topic`: topics, their partitions, offsets and records.

mod offsets;

use chronik_client::{
    ApiError, Client, ClientError, ConfigChange, Metadata, NewTopic, Resource, ResourceType, TopicInfo,
};
use chronik_protocol::error::ErrorCode;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};

use crate::common::{Common, key_value};
use crate::failure::Failure;
use crate::report::{Output, Report, line, print_json};

pub use offsets::ask as ask_offsets;

/// Set on this topic itself, as DescribeConfigs numbers sources.
pub const DYNAMIC_TOPIC_CONFIG: i8 = 1;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make topics
    Create(Create),
    /// List topics
    List(List),
    /// Show partitions and configs of topics
    Describe(Describe),
    /// Add partitions, change configs
    Alter(Alter),
    /// Delete topics
    Delete(Delete),
    /// Show the first and the next offset of each partition, or the offset at a time
    Offsets(offsets::Offsets),
    /// Delete the oldest records of partitions
    Trim(offsets::Trim),
}

#[derive(Debug, ClapArgs)]
struct Create {
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// How many partitions [default: the broker's num.partitions]
    #[arg(short, long)]
    partitions: Option<i32>,
    /// Copies of each partition [default: the broker's default.replication.factor]
    #[arg(short, long)]
    replication_factor: Option<i16>,
    /// A config of the topics
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Leave topics alone that exist
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether it could be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// With internal topics
    #[arg(long)]
    internal: bool,
}

#[derive(Debug, ClapArgs)]
struct Describe {
    /// Which topics [default: all]
    #[arg(value_name = "TOPIC")]
    names: Vec<String>,
}

#[derive(Debug, ClapArgs)]
struct Alter {
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// How many partitions there shall be
    #[arg(short, long)]
    partitions: Option<i32>,
    /// Set a config
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Take a config back to its default
    #[arg(long = "delete-config", value_name = "KEY")]
    delete_configs: Vec<String>,
    /// Only check whether it could be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, ClapArgs)]
struct Delete {
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Do not mind topics that are not there
    #[arg(long)]
    if_exists: bool,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let output = args.common.output;
    match args.command {
        Command::Create(create) => run_create(&mut client, output, create).await,
        Command::List(list) => run_list(&mut client, output, &list).await,
        Command::Describe(describe) => run_describe(&mut client, output, &describe).await,
        Command::Alter(alter) => run_alter(&mut client, output, alter).await,
        Command::Delete(delete) => run_delete(&mut client, output, &delete).await,
        Command::Offsets(offsets) => offsets.run(&mut client, output).await,
        Command::Trim(trim) => trim.run(&mut client, output).await,
    }
}

async fn run_create(client: &mut Client, output: Output, args: Create) -> Result<(), Failure> {
    let new = |name: &String| NewTopic {
        name: name.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        assignments: Vec::new(),
        configs: args.configs.clone(),
    };
    let topics: Vec<NewTopic> = args.names.iter().map(new).collect();
    let mut report = Report::new(&["topic", "partitions", "replication_factor", "result"]);
    let done = if args.dry_run { "would be created" } else { "created" };
    let results = client.create_topics(&topics, args.dry_run).await?;
    if !args.dry_run {
        let made = results.iter().filter(|(_, result)| result.is_ok()).map(|(name, _)| name.as_str());
        client.await_leaders(&made.collect::<Vec<_>>()).await?;
    }
    for (name, result) in results {
        match result {
            Ok((partitions, factor)) => {
                report.row(vec![json!(name), known(partitions), known(factor.into()), json!(done)])
            }
            Err(e) if args.if_not_exists && e.is(ErrorCode::TopicAlreadyExists) => {
                report.row(vec![json!(name), Value::Null, Value::Null, json!("exists")]);
            }
            Err(e) => report.failed(vec![json!(name)], &e),
        }
    }
    report.print(output)
}

fn known(number: i32) -> Value {
    if number >= 0 { json!(number) } else { Value::Null }
}

async fn run_list(client: &mut Client, output: Output, args: &List) -> Result<(), Failure> {
    let metadata = client.metadata(None, false).await?;
    let mut report = Report::new(&["topic", "partitions", "replication_factor", "internal"]);
    for topic in metadata.found().filter(|topic| args.internal || !topic.internal) {
        let factor = topic.partitions.first().map_or(0, |p| p.replicas.len());
        report.row(vec![json!(topic.name), json!(topic.partitions.len()), json!(factor), json!(topic.internal)]);
    }
    report.print(output)
}

/// The topics named; all but internal ones where none is.
async fn metadata_of(client: &mut Client, names: &[String]) -> Result<Metadata, ClientError> {
    let named: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut metadata = client.metadata((!named.is_empty()).then_some(&named), false).await?;
    if names.is_empty() {
        metadata.topics.retain(|(_, topic)| topic.as_ref().is_ok_and(|topic| !topic.internal));
    }
    Ok(metadata)
}

async fn run_describe(client: &mut Client, output: Output, args: &Describe) -> Result<(), Failure> {
    let metadata = metadata_of(client, &args.names).await?;
    let mut failures = Report::new(&["topic"]);
    let mut documents = Vec::new();
    for (name, topic) in &metadata.topics {
        match topic {
            Ok(topic) => {
                let resource = Resource { kind: ResourceType::Topic, name: name.clone() };
                let configs = client.describe_configs(&resource, None).await?;
                let set = configs.into_iter().filter(|c| c.source == DYNAMIC_TOPIC_CONFIG);
                let set: Map<String, Value> = set.map(|c| (c.name, json!(c.value))).collect();
                if output == Output::Table {
                    describe_table(topic, &set)?;
                }
                documents.push(describe_json(topic, set));
            }
            Err(e) => {
                failures.failed(vec![json!(name)], e);
                documents.push(failures.json().as_array().and_then(|a| a.last().cloned()).unwrap_or_default());
            }
        }
    }
    if output == Output::Json {
        print_json(&Value::Array(documents))?;
        return failures.verdict();
    }
    failures.print(output)
}

fn describe_table(topic: &TopicInfo, configs: &Map<String, Value>) -> Result<(), Failure> {
    let configs = configs.iter().map(|(key, value)| format!("{key}={}", crate::report::shown(value)));
    let configs = configs.collect::<Vec<_>>().join(",");
    let configs = if configs.is_empty() { "-".to_owned() } else { configs };
    line(&format!("{}  id {}  configs {configs}", topic.name, topic.id))?;
    let mut report = Report::new(&["partition", "leader", "epoch", "replicas", "isr", "offline"]);
    for p in &topic.partitions {
        let leader = if p.leader < 0 { Value::Null } else { json!(p.leader) };
        let epoch = if p.leader_epoch < 0 { Value::Null } else { json!(p.leader_epoch) };
        report.row(vec![json!(p.index), leader, epoch, json!(p.replicas), json!(p.isr), none_if_empty(&p.offline)]);
    }
    report.print(Output::Table)?;
    line("")
}

fn none_if_empty(ids: &[i32]) -> Value {
    if ids.is_empty() { Value::Null } else { json!(ids) }
}

fn describe_json(topic: &TopicInfo, configs: Map<String, Value>) -> Value {
    let partition = |p: &chronik_client::PartitionInfo| {
        json!({
            "partition": p.index, "leader": p.leader, "leader_epoch": p.leader_epoch,
            "replicas": p.replicas, "isr": p.isr, "offline": p.offline,
        })
    };
    json!({
        "topic": topic.name, "topic_id": topic.id.to_string(), "internal": topic.internal, "configs": configs,
        "partitions": topic.partitions.iter().map(partition).collect::<Vec<_>>(), "error": null,
    })
}

async fn run_alter(client: &mut Client, output: Output, args: Alter) -> Result<(), Failure> {
    if args.partitions.is_none() && args.configs.is_empty() && args.delete_configs.is_empty() {
        return Err(Failure::Usage("nothing to alter: give --partitions, --config or --delete-config".into()));
    }
    let sets = args.configs.into_iter().map(|(key, value)| ConfigChange::Set(key, value));
    let changes: Vec<ConfigChange> = sets.chain(args.delete_configs.into_iter().map(ConfigChange::Delete)).collect();
    let mut report = Report::new(&["topic", "result"]);
    for name in &args.names {
        match alter_one(client, name, args.partitions, &changes, args.dry_run).await {
            Ok(()) => report.row(vec![json!(name), json!(if args.dry_run { "would be altered" } else { "altered" })]),
            Err(ClientError::Api(e)) => report.failed(vec![json!(name)], &e),
            Err(e) => return Err(e.into()),
        }
    }
    report.print(output)
}

async fn alter_one(
    client: &mut Client,
    name: &str,
    partitions: Option<i32>,
    changes: &[ConfigChange],
    dry_run: bool,
) -> Result<(), ClientError> {
    if let Some(count) = partitions {
        for (_, result) in client.create_partitions(&[(name, count)], dry_run).await? {
            result?;
        }
    }
    if !changes.is_empty() {
        let resource = Resource { kind: ResourceType::Topic, name: name.to_owned() };
        client.alter_configs(&resource, changes, dry_run).await?;
    }
    Ok(())
}

async fn run_delete(client: &mut Client, output: Output, args: &Delete) -> Result<(), Failure> {
    let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
    let mut report = Report::new(&["topic", "result"]);
    for (name, result) in client.delete_topics(&names).await? {
        match result {
            Ok(()) => report.row(vec![json!(name), json!("deleted")]),
            Err(e) if args.if_exists && e.is(ErrorCode::UnknownTopicOrPartition) => {
                report.row(vec![json!(name), json!("not there")]);
            }
            Err(e) => report.failed(vec![json!(name)], &e),
        }
    }
    report.print(output)
}

/// Partitions named `TOPIC` (all of it) or `TOPIC:PARTITION`; a topic that does not exist is an item that fails.
pub async fn partitions_of(
    client: &mut Client,
    names: &[String],
) -> Result<(Vec<(String, i32)>, Vec<(String, ApiError)>), Failure> {
    let mut asked = Vec::new();
    for name in names {
        asked.push(match name.split_once(':') {
            Some((topic, partition)) => {
                let partition: i32 = partition
                    .parse()
                    .map_err(|_| Failure::Usage(format!("{name}: expected TOPIC or TOPIC:PARTITION")))?;
                (topic.to_owned(), Some(partition))
            }
            None => (name.clone(), None),
        });
    }
    let mut topics: Vec<String> = asked.iter().map(|(topic, _)| topic.clone()).collect();
    topics.dedup();
    let metadata = metadata_of(client, &topics).await?;
    if names.is_empty() {
        asked = metadata.found().map(|topic| (topic.name.clone(), None)).collect();
    }
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (topic, partition) in asked {
        let known = metadata.topics.iter().find(|(name, _)| *name == topic).map(|(_, topic)| topic);
        match (known, partition) {
            (Some(Ok(info)), None) => found.extend(info.partitions.iter().map(|p| (topic.clone(), p.index))),
            (Some(Ok(_)), Some(partition)) => found.push((topic, partition)),
            (Some(Err(e)), _) => failed.push((topic, e.clone())),
            (None, _) => failed.push((topic, ErrorCode::UnknownTopicOrPartition.into())),
        }
    }
    Ok((found, failed))
}
