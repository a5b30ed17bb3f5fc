//! `kafka-topics`.

use chronik_client::{Client, Metadata, NewTopic, PartitionInfo, Resource, ResourceType, TopicInfo};
use chronik_protocol::error::ErrorCode;
use chronik_storage::partition_metadata::encode_id;
use clap::Args as ClapArgs;

use super::{Connection, errors, topic_filter};
use crate::common::key_value;
use crate::failure::Failure;
use crate::report::line;

/// As DescribeConfigs numbers it.
const DEFAULT_CONFIG: i8 = 5;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("action").required(true)))]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[arg(long, group = "action", requires = "topic")]
    create: bool,
    #[arg(long, group = "action")]
    list: bool,
    #[arg(long, group = "action")]
    describe: bool,
    #[arg(long, group = "action", requires = "topic")]
    alter: bool,
    #[arg(long, group = "action", requires = "topic")]
    delete: bool,
    /// A topic; but for --create a regular expression, or several separated by commas
    #[arg(long)]
    topic: Option<String>,
    /// A topic by its id, to describe
    #[arg(long)]
    topic_id: Option<String>,
    #[arg(long)]
    partitions: Option<i32>,
    #[arg(long)]
    replication_factor: Option<i16>,
    /// Brokers of each partition: 1:2,2:3
    #[arg(long, conflicts_with_all = ["partitions", "replication_factor"])]
    replica_assignment: Option<String>,
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    #[arg(long)]
    if_exists: bool,
    #[arg(long)]
    if_not_exists: bool,
    #[arg(long)]
    exclude_internal: bool,
    #[arg(long)]
    under_replicated_partitions: bool,
    #[arg(long)]
    unavailable_partitions: bool,
    #[arg(long)]
    under_min_isr_partitions: bool,
    #[arg(long)]
    at_min_isr_partitions: bool,
    #[arg(long)]
    topics_with_overrides: bool,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    match act(&args).await {
        Err(failure) if !failure.is_closed_pipe() => {
            line(&format!("Error while executing topic command : {}", errors::text(&failure)))?;
            eprintln!("{}", errors::text_with_class(&failure));
            Err(Failure::Items(1))
        }
        result => result,
    }
}

async fn act(args: &Args) -> Result<(), Failure> {
    if !args.create && !args.configs.is_empty() {
        let action = if args.alter { "alter" } else { "given" };
        return Err(Failure::Failed(format!("Option \"[config]\" can't be used with option \"[{action}]\"")));
    }
    let mut client = args.connection.client()?;
    if args.create {
        return create(&mut client, args).await;
    }
    let metadata = client.metadata(None, false).await?;
    let topics = matching(&metadata, args)?;
    if args.list {
        return topics.iter().try_for_each(|topic| line(&topic.name));
    }
    let given = args.topic.as_ref().or(args.topic_id.as_ref());
    if let (true, Some(name), false) = (topics.is_empty(), given, args.if_exists) {
        return Err(Failure::Failed(format!("Topic '{name}' does not exist as expected")));
    }
    if args.describe {
        for topic in topics {
            describe(&mut client, args, topic).await?;
        }
        return Ok(());
    }
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    if args.delete {
        for (_, result) in client.delete_topics(&names).await? {
            result.map_err(chronik_client::ClientError::from)?;
        }
        return Ok(());
    }
    let count = args.partitions.ok_or_else(|| Failure::Failed("Missing required argument \"[partitions]\"".into()))?;
    let raised: Vec<(&str, i32)> = names.iter().map(|name| (*name, count)).collect();
    for (_, result) in client.create_partitions(&raised, false).await? {
        result.map_err(chronik_client::ClientError::from)?;
    }
    Ok(())
}

/// The topics that the filter names; all where there is none.
fn matching<'m>(metadata: &'m Metadata, args: &Args) -> Result<Vec<&'m TopicInfo>, Failure> {
    let filter = args.topic.as_deref().map(topic_filter).transpose()?;
    let wanted = |topic: &&TopicInfo| {
        let named = filter.as_ref().is_none_or(|filter| filter.is_match(&topic.name));
        let by_id = args.topic_id.as_ref().is_none_or(|id| encode_id(topic.id) == *id);
        named && by_id && !(args.exclude_internal && topic.internal)
    };
    Ok(metadata.found().filter(wanted).collect())
}

async fn create(client: &mut Client, args: &Args) -> Result<(), Failure> {
    let name = args.topic.clone().unwrap_or_default();
    if name.contains(['.', '_']) {
        line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both.",
        )?;
    }
    let assignments = args.replica_assignment.as_deref().map(assignment).transpose()?.unwrap_or_default();
    let topic = NewTopic {
        name: name.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        assignments,
        configs: args.configs.clone(),
    };
    for (_, result) in client.create_topics(&[topic], false).await? {
        match result {
            Ok(_) => {
                client.await_leaders(&[&name]).await?;
                line(&format!("Created topic {name}."))?;
            }
            Err(e) if args.if_not_exists && e.is(ErrorCode::TopicAlreadyExists) => {}
            Err(e) => return Err(chronik_client::ClientError::from(e).into()),
        }
    }
    Ok(())
}

/// `1:2,2:3`: brokers 1 and 2 for partition 0, 2 and 3 for partition 1.
fn assignment(text: &str) -> Result<Vec<Vec<i32>>, Failure> {
    let id = |id: &str| id.trim().parse().map_err(|_| Failure::Failed(format!("{id:?} is no broker's id")));
    text.split(',').map(|partition| partition.split(':').map(id).collect()).collect()
}

async fn describe(client: &mut Client, args: &Args, topic: &TopicInfo) -> Result<(), Failure> {
    let resource = Resource { kind: ResourceType::Topic, name: topic.name.clone() };
    let configs = client.describe_configs(&resource, None).await?;
    let min_isr = configs.iter().find(|c| c.name == "min.insync.replicas").and_then(|c| c.value.as_ref()?.parse().ok());
    let set: Vec<String> = configs
        .iter()
        .filter(|c| c.source != DEFAULT_CONFIG)
        .map(|c| format!("{}={}", c.name, c.value.as_deref().unwrap_or_default()))
        .collect();
    let picked = [
        args.under_replicated_partitions,
        args.unavailable_partitions,
        args.under_min_isr_partitions,
        args.at_min_isr_partitions,
    ];
    let some_only = picked.contains(&true);
    if args.topics_with_overrides && !configs.iter().any(|c| c.source == crate::topic::DYNAMIC_TOPIC_CONFIG) {
        return Ok(());
    }
    if !some_only {
        let factor = topic.partitions.first().map_or(0, |p| p.replicas.len());
        let (id, count) = (encode_id(topic.id), topic.partitions.len());
        line(&format!(
            "Topic: {}\tTopicId: {id}\tPartitionCount: {count}\tReplicationFactor: {factor}\tConfigs: {}",
            topic.name,
            set.join(",")
        ))?;
    }
    if args.topics_with_overrides {
        return Ok(());
    }
    let min_isr: usize = min_isr.unwrap_or(1);
    let wanted = |p: &&PartitionInfo| {
        !some_only
            || (args.under_replicated_partitions && p.isr.len() < p.replicas.len())
            || (args.unavailable_partitions && p.leader < 0)
            || (args.under_min_isr_partitions && p.isr.len() < min_isr)
            || (args.at_min_isr_partitions && p.isr.len() == min_isr)
    };
    for p in topic.partitions.iter().filter(wanted) {
        line(&partition_line(&topic.name, p))?;
    }
    Ok(())
}

fn partition_line(topic: &str, p: &PartitionInfo) -> String {
    let ids = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let leader = if p.leader < 0 { "none".to_owned() } else { p.leader.to_string() };
    let (index, replicas, isr) = (p.index, ids(&p.replicas), ids(&p.isr));
    format!(
        "\tTopic: {topic}\tPartition: {index}\tLeader: {leader}\tReplicas: {replicas}\tIsr: {isr}\tElr: \tLastKnownElr: "
    )
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn parsed(flags: &str) -> Result<Args, clap::Error> {
        let line = format!("kafka-topics.sh --bootstrap-server a:1 {flags}");
        parse(&line.split(' ').map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn kafkas_flags_are_taken() {
        let args = parsed("--create --topic t --partitions=3 --replication-factor 1 --config a=b --config c=d")
            .expect("flags");
        assert_eq!((args.partitions, args.replication_factor, args.configs.len()), (Some(3), Some(1), 2));
        // Any beginning of a flag that only one flag has.
        assert!(parsed("--desc --topic t --under-rep").is_ok());
        assert!(parsed("--describe --topic t --under").is_err());
    }

    #[test]
    fn wrong_flags_are_refused() {
        for flags in
            ["", "--create", "--list --describe", "--list --nonsense", "--delete", "--create --topic t --partitions x"]
        {
            assert!(parsed(flags.trim()).is_err(), "{flags}");
        }
        assert!(parse::<Args>(&["kafka-topics".into(), "--list".into()]).is_err(), "no bootstrap server");
    }

    #[test]
    fn partitions_are_described_in_kafkas_columns() {
        let p = PartitionInfo {
            index: 2,
            leader: -1,
            leader_epoch: 0,
            replicas: vec![1, 2],
            isr: vec![1],
            offline: vec![],
        };
        let expect = "\tTopic: t\tPartition: 2\tLeader: none\tReplicas: 1,2\tIsr: 1\tElr: \tLastKnownElr: ";
        assert_eq!(partition_line("t", &p), expect);
        assert_eq!(assignment("1:2,2:3").ok(), Some(vec![vec![1, 2], vec![2, 3]]));
        assert!(assignment("1:x").is_err());
    }
}
