//! `chronik group`: consumer groups, their lag, their offsets.

mod reset;
pub mod state;

use chronik_client::{Client, ClientError, GroupDescription};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use crate::common::Common;
use crate::failure::Failure;
use crate::report::{Output, Report, line, print_json};
use crate::topic::partitions_of;
use state::{Progress, progress_of};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List groups
    List,
    /// Show members, offsets and lag of groups
    Describe(Describe),
    /// Show how far groups are behind, topic by topic
    Lag(Lag),
    /// Move a group's offsets; nobody may be reading
    Reset(reset::Reset),
    /// Delete groups, or what they have committed for some topics
    Delete(Delete),
}

#[derive(Debug, ClapArgs)]
struct Describe {
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, ClapArgs)]
struct Lag {
    /// Which groups [default: all]
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, ClapArgs)]
struct Delete {
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Delete only the offsets of these; the groups stay
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION]")]
    topics: Vec<String>,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let output = args.common.output;
    match args.command {
        Command::List => run_list(&mut client, output).await,
        Command::Describe(describe) => run_describe(&mut client, output, &describe).await,
        Command::Lag(lag) => run_lag(&mut client, output, &lag).await,
        Command::Reset(reset) => reset.run(&mut client, output).await,
        Command::Delete(delete) => run_delete(&mut client, output, &delete).await,
    }
}

async fn run_list(client: &mut Client, output: Output) -> Result<(), Failure> {
    let mut report = Report::new(&["group", "type", "protocol_type", "state", "coordinator"]);
    for g in client.list_groups().await? {
        let text = |text: String| if text.is_empty() { Value::Null } else { json!(text) };
        report.row(vec![
            json!(g.group),
            text(g.group_type),
            text(g.protocol_type),
            text(g.state),
            json!(g.coordinator),
        ]);
    }
    report.print(output)
}

async fn run_describe(client: &mut Client, output: Output, args: &Describe) -> Result<(), Failure> {
    let mut failures = Report::new(&["group"]);
    let mut documents = Vec::new();
    for name in &args.groups {
        match client.describe_group(name).await {
            Ok(group) => {
                let progress = progress_of(client, &group).await?;
                match output {
                    Output::Table => describe_table(&group, &progress)?,
                    Output::Json => documents.push(describe_json(&group, &progress)),
                }
            }
            Err(ClientError::Api(e)) => {
                failures.failed(vec![json!(name)], &e);
                documents.push(failures.json().as_array().and_then(|a| a.last().cloned()).unwrap_or_default());
            }
            Err(e) => return Err(e.into()),
        }
    }
    match output {
        Output::Table => failures.print(output),
        Output::Json => {
            print_json(&Value::Array(documents))?;
            failures.verdict()
        }
    }
}

fn number(number: Option<i64>) -> Value {
    number.map_or(Value::Null, |number| json!(number))
}

fn describe_table(group: &GroupDescription, progress: &[Progress]) -> Result<(), Failure> {
    let GroupDescription { group: name, state, group_type, protocol, coordinator, members, .. } = group;
    let protocol = if protocol.is_empty() { "-" } else { protocol };
    let count = members.len();
    line(&format!("{name}  {state}  {group_type}  assignor {protocol}  coordinator {coordinator}  members {count}"))?;
    let mut report =
        Report::new(&["topic", "partition", "current_offset", "end_offset", "lag", "member", "client", "host"]);
    for p in progress {
        let member = |field: fn(&chronik_client::MemberDescription) -> &String| {
            p.member.as_ref().map_or(Value::Null, |member| json!(field(member)))
        };
        report.row(vec![
            json!(p.topic),
            json!(p.partition),
            number(p.current),
            number(p.end.as_ref().ok().copied()),
            number(p.lag()),
            member(|m| &m.member_id),
            member(|m| &m.client_id),
            member(|m| &m.host),
        ]);
    }
    report.print(Output::Table)?;
    line("")
}

fn describe_json(group: &GroupDescription, progress: &[Progress]) -> Value {
    let member = |m: &chronik_client::MemberDescription| {
        let assigned = |(topic, partition): &(String, i32)| json!({ "topic": topic, "partition": partition });
        json!({
            "member_id": m.member_id, "instance_id": m.instance_id, "client_id": m.client_id, "host": m.host,
            "assignment": m.assignment.iter().map(assigned).collect::<Vec<_>>(),
        })
    };
    let offset = |p: &Progress| {
        json!({
            "topic": p.topic, "partition": p.partition, "current_offset": p.current,
            "end_offset": p.end.as_ref().ok(), "lag": p.lag(),
            "member_id": p.member.as_ref().map(|m| &m.member_id),
        })
    };
    json!({
        "group": group.group, "type": group.group_type, "state": group.state,
        "protocol_type": group.protocol_type, "assignor": group.protocol, "coordinator": group.coordinator,
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
        "offsets": progress.iter().map(offset).collect::<Vec<_>>(), "error": null,
    })
}

async fn run_lag(client: &mut Client, output: Output, args: &Lag) -> Result<(), Failure> {
    let groups = match args.groups.is_empty() {
        false => args.groups.clone(),
        true => client.list_groups().await?.into_iter().map(|g| g.group).collect(),
    };
    let mut report = Report::new(&["group", "state", "topic", "partitions", "lag"]);
    for name in groups {
        let group = match client.describe_group(&name).await {
            Ok(group) => group,
            Err(ClientError::Api(e)) => {
                report.failed(vec![json!(name)], &e);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        // The lag is not known where nothing is committed yet.
        let mut topics: Vec<(String, usize, Option<i64>)> = Vec::new();
        for p in progress_of(client, &group).await? {
            if let Err(e) = &p.end {
                report.failed(vec![json!(name), json!(group.state), json!(p.topic), json!(1)], e);
                continue;
            }
            match topics.iter_mut().find(|(topic, _, _)| *topic == p.topic) {
                Some(topic) => {
                    topic.1 += 1;
                    topic.2 = topic.2.zip(p.lag()).map(|(sum, lag)| sum + lag);
                }
                None => topics.push((p.topic.clone(), 1, p.lag())),
            }
        }
        if topics.is_empty() {
            report.row(vec![json!(name), json!(group.state), Value::Null, json!(0), json!(0)]);
        }
        for (topic, partitions, lag) in topics {
            report.row(vec![json!(name), json!(group.state), json!(topic), json!(partitions), json!(lag)]);
        }
    }
    report.print(output)
}

async fn run_delete(client: &mut Client, output: Output, args: &Delete) -> Result<(), Failure> {
    if args.topics.is_empty() {
        let mut report = Report::new(&["group", "result"]);
        for group in &args.groups {
            match client.delete_group(group).await {
                Ok(()) => report.row(vec![json!(group), json!("deleted")]),
                Err(ClientError::Api(e)) => report.failed(vec![json!(group)], &e),
                Err(e) => return Err(e.into()),
            }
        }
        return report.print(output);
    }
    let mut report = Report::new(&["group", "topic", "partition", "result"]);
    let (partitions, missing) = partitions_of(client, &args.topics).await?;
    for (topic, e) in &missing {
        report.failed(vec![Value::Null, json!(topic)], e);
    }
    for group in &args.groups {
        match client.delete_offsets(group, &partitions).await {
            Ok(results) => {
                for (topic, partition, result) in results {
                    let name = vec![json!(group), json!(topic), json!(partition)];
                    match result {
                        Ok(()) => report.row([name, vec![json!("deleted")]].concat()),
                        Err(e) => report.failed(name, &e),
                    }
                }
            }
            Err(ClientError::Api(e)) => report.failed(vec![json!(group)], &e),
            Err(e) => return Err(e.into()),
        }
    }
    report.print(output)
}
