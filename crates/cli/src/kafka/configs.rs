//! `kafka-configs`.

use std::path::PathBuf;

use chronik_client::{ApiError, Client, ClientError, ConfigChange, ConfigEntry, Resource, ResourceType};
use chronik_config::parse_properties;
use chronik_protocol::error::ErrorCode;
use clap::Args as ClapArgs;

use super::{Connection, errors};
use crate::common::read_text;
use crate::config::source_name;
use crate::failure::Failure;
use crate::report::line;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("action").required(true)))]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[arg(long, group = "action")]
    describe: bool,
    #[arg(long, group = "action")]
    alter: bool,
    /// topics, brokers or groups
    #[arg(long, value_parser = entity_type)]
    entity_type: Option<ResourceType>,
    #[arg(long)]
    entity_name: Option<String>,
    #[arg(long)]
    entity_default: bool,
    #[arg(long)]
    topic: Option<String>,
    #[arg(long)]
    broker: Option<String>,
    #[arg(long)]
    broker_defaults: bool,
    #[arg(long)]
    group: Option<String>,
    /// key=value,key=[value,value]
    #[arg(long, conflicts_with = "add_config_file")]
    add_config: Option<String>,
    #[arg(long, value_name = "FILE")]
    add_config_file: Option<PathBuf>,
    /// key,key
    #[arg(long)]
    delete_config: Option<String>,
    /// With those at their default
    #[arg(long)]
    all: bool,
}

fn entity_type(text: &str) -> Result<ResourceType, String> {
    match text {
        "topics" => Ok(ResourceType::Topic),
        "brokers" => Ok(ResourceType::Broker),
        "groups" => Ok(ResourceType::Group),
        other => Err(format!("{other} have no configs here; topics, brokers and groups have")),
    }
}

/// What an entity is called in the lines printed.
fn noun(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Topic => "topic",
        ResourceType::Broker => "broker",
        ResourceType::Group => "group",
        ResourceType::ClientMetrics => "client-metric",
    }
}

pub async fn run(args: Args) -> Result<(), Failure> {
    match act(&args).await {
        Err(failure) if !failure.is_closed_pipe() => {
            let given: Vec<_> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
            eprintln!("Error while executing config command with args '{}'", given.join(" "));
            eprintln!("java.util.concurrent.ExecutionException: {}", errors::text_with_class(&failure));
            Err(Failure::Items(1))
        }
        result => result,
    }
}

async fn act(args: &Args) -> Result<(), Failure> {
    let mut client = args.connection.client()?;
    let (kind, name) = entity(args)?;
    if args.alter {
        let name =
            name.ok_or_else(|| Failure::Failed("At least one entity name must be specified with --alter".into()))?;
        return alter(&mut client, args, kind, name).await;
    }
    let names = match name {
        Some(name) => vec![name],
        None => all_names(&mut client, kind).await?,
    };
    for name in names {
        describe(&mut client, args, &Resource { kind, name }).await?;
    }
    Ok(())
}

/// Type and name; the empty name of a broker means all brokers, none means each.
fn entity(args: &Args) -> Result<(ResourceType, Option<String>), Failure> {
    let short = [
        args.topic.clone().map(|name| (ResourceType::Topic, name)),
        args.broker.clone().map(|name| (ResourceType::Broker, name)),
        args.broker_defaults.then(|| (ResourceType::Broker, String::new())),
        args.group.clone().map(|name| (ResourceType::Group, name)),
    ];
    let mut short = short.into_iter().flatten();
    let (kind, name) = match (short.next(), args.entity_type) {
        (Some((kind, name)), None) => (kind, Some(name)),
        (None, Some(kind)) if args.entity_default => (kind, Some(String::new())),
        (None, Some(kind)) => (kind, args.entity_name.clone()),
        (None, None) => return Err(Failure::Failed("At least one entity type must be specified".into())),
        (Some(_), Some(_)) => return Err(Failure::Failed("One entity may be specified in one way only".into())),
    };
    if short.next().is_some() {
        return Err(Failure::Failed("Only one entity may be specified".into()));
    }
    let is_broker = kind == ResourceType::Broker;
    if let Some(name) = name.as_ref().filter(|name| is_broker && !name.is_empty() && name.parse::<i32>().is_err()) {
        return Err(Failure::Failed(format!(
            "The entity name for brokers must be a valid integer broker id, found: {name}"
        )));
    }
    Ok((kind, name))
}

async fn all_names(client: &mut Client, kind: ResourceType) -> Result<Vec<String>, Failure> {
    Ok(match kind {
        ResourceType::Topic => client.metadata(None, false).await?.found().map(|topic| topic.name.clone()).collect(),
        ResourceType::Group => client.list_groups().await?.into_iter().map(|group| group.group).collect(),
        _ => {
            let metadata = client.metadata(Some(&[]), false).await?;
            metadata.brokers.iter().map(|broker| broker.id.to_string()).chain([String::new()]).collect()
        }
    })
}

/// Set on this very entity, as DescribeConfigs numbers sources.
fn own_source(resource: &Resource) -> i8 {
    match (resource.kind, resource.name.is_empty()) {
        (ResourceType::Topic, _) => 1,
        (ResourceType::Broker, false) => 2,
        (ResourceType::Broker, true) => 3,
        (ResourceType::ClientMetrics, _) => 7,
        (ResourceType::Group, _) => 8,
    }
}

async fn describe(client: &mut Client, args: &Args, resource: &Resource) -> Result<(), Failure> {
    let entries = crate::config::described(client, resource, None).await?;
    let (noun, name) = (noun(resource.kind), &resource.name);
    let own = own_source(resource);
    let is_set = entries.iter().any(|entry| entry.source == own);
    if resource.kind == ResourceType::Group && !is_set && !client.list_groups().await?.iter().any(|g| g.group == *name)
    {
        return line(&format!("The group '{name}' doesn't exist and doesn't have dynamic config."));
    }
    if name.is_empty() {
        line(&format!("Default configs for {noun}s in the cluster are:"))?;
    } else {
        line(&format!("{} configs for {noun} {name} are:", if args.all { "All" } else { "Dynamic" }))?;
    }
    for entry in entries.iter().filter(|entry| args.all || entry.source == own) {
        line(&entry_line(entry))?;
    }
    Ok(())
}

fn entry_line(entry: &ConfigEntry) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".into());
    let synonym = |(name, text, source): &(String, Option<String>, i8)| {
        format!("{}:{name}={}", source_name(*source), value(text))
    };
    let synonyms = entry.synonyms.iter().map(synonym).collect::<Vec<_>>().join(", ");
    let (name, text, sensitive) = (&entry.name, value(&entry.value), entry.sensitive);
    format!("  {name}={text} sensitive={sensitive} synonyms={{{synonyms}}}")
}

async fn alter(client: &mut Client, args: &Args, kind: ResourceType, name: String) -> Result<(), Failure> {
    let mut added = args.add_config.as_deref().map(parse_configs).transpose()?.unwrap_or_default();
    if let Some(path) = &args.add_config_file {
        let entries = parse_properties(&read_text(path)?).map_err(|e| Failure::Failed(e.to_string()))?;
        added.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
    }
    let deleted: Vec<String> =
        args.delete_config.iter().flat_map(|keys| keys.split(',')).map(|key| key.trim().to_owned()).collect();
    if added.is_empty() && deleted.is_empty() {
        return Err(Failure::Failed(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".into(),
        ));
    }
    let resource = Resource { kind, name };
    if !deleted.is_empty() {
        let entries = crate::config::described(client, &resource, None).await?;
        let own = own_source(&resource);
        let unknown = |key: &&String| !entries.iter().any(|entry| entry.name == **key && entry.source == own);
        let unknown: Vec<&str> = deleted.iter().filter(unknown).map(String::as_str).collect();
        if !unknown.is_empty() {
            let text = format!("Invalid config(s): {}", unknown.join(","));
            return Err(
                ClientError::from(ApiError { code: ErrorCode::InvalidConfig.code(), message: Some(text) }).into()
            );
        }
    }
    let sets = added.into_iter().map(|(key, value)| ConfigChange::Set(key, value));
    let changes: Vec<ConfigChange> = sets.chain(deleted.into_iter().map(ConfigChange::Delete)).collect();
    client.alter_configs(&resource, &changes, false).await?;
    let noun = noun(resource.kind);
    match resource.name.as_str() {
        "" => line(&format!("Completed updating default config for {noun}s in the cluster.")),
        name => line(&format!("Completed updating config for {noun} {name}.")),
    }
}

/// `a=b,c=[d,e]`: commas within brackets belong to the value.
fn parse_configs(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let wrong = |part: &str| Failure::Failed(format!("Invalid config: {part:?} must be in the form \"key=val\""));
    let mut configs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(|| wrong(rest))?;
        let after = after.trim_start();
        let (value, left) = match after.strip_prefix('[') {
            Some(inner) => {
                let (value, left) = inner.split_once(']').ok_or_else(|| wrong(rest))?;
                (value, left.trim_start().strip_prefix(',').unwrap_or(left))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim().is_empty() {
            return Err(wrong(rest));
        }
        configs.push((key.trim().to_owned(), value.trim().to_owned()));
        rest = left.trim();
    }
    Ok(configs)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn configs_are_separated_by_commas_outside_brackets() {
        let of = |text: &str| parse_configs(text).ok();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(of("a=1, b=[x,y],c="), Some(vec![pair("a", "1"), pair("b", "x,y"), pair("c", "")]));
        for bad in ["a", "=b", "a=[b", "a=1,b"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn entities_are_named_in_two_ways() {
        let entity_of = |flags: &str| {
            let line = format!("kafka-configs.sh --bootstrap-server a:1 --describe {flags}");
            parse::<Args>(&line.split_whitespace().map(Into::into).collect::<Vec<_>>())
                .ok()
                .and_then(|args| entity(&args).ok())
        };
        assert_eq!(entity_of("--topic t"), Some((ResourceType::Topic, Some("t".into()))));
        assert_eq!(entity_of("--entity-type topics --entity-name t"), Some((ResourceType::Topic, Some("t".into()))));
        assert_eq!(
            entity_of("--entity-type brokers --entity-default"),
            Some((ResourceType::Broker, Some(String::new())))
        );
        assert_eq!(entity_of("--entity-type brokers"), Some((ResourceType::Broker, None)));
        for bad in ["", "--topic t --group g", "--broker x", "--entity-type users"] {
            assert_eq!(entity_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn entries_look_as_kafka_prints_them() {
        let entry = ConfigEntry {
            name: "cleanup.policy".into(),
            value: Some("compact".into()),
            source: 1,
            read_only: false,
            sensitive: false,
            synonyms: vec![
                ("cleanup.policy".into(), Some("compact".into()), 1),
                ("log.cleanup.policy".into(), Some("delete".into()), 5),
            ],
        };
        assert_eq!(
            entry_line(&entry),
            "  cleanup.policy=compact sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact, DEFAULT_CONFIG:log.cleanup.policy=delete}"
        );
    }
}
