//! `kafka-configs`.

mod entity;
mod quotas;

use std::path::PathBuf;

use chronik_client::{ApiError, Client, ClientError, ConfigChange, ConfigEntry, Resource, ResourceType};
use chronik_config::parse_properties;
use chronik_protocol::error::ErrorCode;
use clap::Args as ClapArgs;

use self::entity::{Entity, EntityArgs};
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
    #[command(flatten)]
    entity: EntityArgs,
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

/// What an entity is called in the lines printed.
fn noun(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Topic => "topic",
        ResourceType::Broker => "broker",
        ResourceType::BrokerLogger => "broker-logger",
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
    let (kind, name) = match args.entity.entity()? {
        Entity::Quotas(of) if args.alter => {
            let Changes { added, deleted } = changes(args)?;
            return quotas::alter(&mut client, &of, added, deleted).await;
        }
        Entity::Quotas(of) => return quotas::describe(&mut client, &of).await,
        Entity::Resource(kind, name) => (kind, name),
    };
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

async fn all_names(client: &mut Client, kind: ResourceType) -> Result<Vec<String>, Failure> {
    Ok(match kind {
        ResourceType::Topic => client.metadata(None, false).await?.found().map(|topic| topic.name.clone()).collect(),
        ResourceType::Group => client.list_groups().await?.into_iter().map(|group| group.group).collect(),
        ResourceType::ClientMetrics => client.config_resources(kind).await?,
        ResourceType::Broker | ResourceType::BrokerLogger => {
            let metadata = client.metadata(Some(&[]), false).await?;
            let ids = metadata.brokers.iter().map(|broker| broker.id.to_string());
            // Loggers have no defaults for all brokers.
            ids.chain((kind == ResourceType::Broker).then(String::new)).collect()
        }
    })
}

/// Set on this very entity, as DescribeConfigs numbers sources.
fn own_source(resource: &Resource) -> i8 {
    match (resource.kind, resource.name.is_empty()) {
        (ResourceType::Topic, _) => 1,
        (ResourceType::Broker, false) => 2,
        (ResourceType::Broker, true) => 3,
        (ResourceType::BrokerLogger, _) => 6,
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

/// What is asked for with --alter.
struct Changes {
    added: Vec<(String, String)>,
    deleted: Vec<String>,
}

fn changes(args: &Args) -> Result<Changes, Failure> {
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
    Ok(Changes { added, deleted })
}

async fn alter(client: &mut Client, args: &Args, kind: ResourceType, name: String) -> Result<(), Failure> {
    let Changes { added, deleted } = changes(args)?;
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
