//! `kafka-consumer-groups`.

mod reset;

use std::path::PathBuf;

use chronik_client::{Client, ClientError, GroupDescription, MemberDescription};
use clap::Args as ClapArgs;

use super::{Connection, errors};
use crate::failure::Failure;
use crate::group::state::{Progress, progress_of};
use crate::moment;
use crate::report::line;
use crate::topic::partitions_of;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("action").required(true)))]
#[command(group(clap::ArgGroup::new("target")))]
#[command(group(clap::ArgGroup::new("how")))]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[arg(long, group = "action")]
    list: bool,
    #[arg(long, group = "action")]
    describe: bool,
    #[arg(long, group = "action")]
    delete: bool,
    #[arg(long, group = "action", requires = "target")]
    reset_offsets: bool,
    #[arg(long, group = "action", requires = "group")]
    delete_offsets: bool,
    #[arg(long = "group")]
    group: Vec<String>,
    #[arg(long, conflicts_with = "group")]
    all_groups: bool,
    /// TOPIC, or TOPIC:PARTITION,PARTITION
    #[arg(long = "topic")]
    topics: Vec<String>,
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    /// With --describe the group's state, with --list the states, perhaps only these
    #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "STATE,..")]
    state: Option<String>,
    /// With --list the types, perhaps only these
    #[arg(long = "type", num_args = 0..=1, default_missing_value = "", value_name = "TYPE,..")]
    types: Option<String>,
    #[arg(long)]
    members: bool,
    /// Offsets are described where nothing else is asked for
    #[arg(long, conflicts_with_all = ["members", "state"])]
    offsets: bool,
    /// Milliseconds; a broker has 30 seconds in any case
    #[arg(long)]
    timeout: Option<u64>,
    #[arg(long, group = "target")]
    to_earliest: bool,
    #[arg(long, group = "target")]
    to_latest: bool,
    #[arg(long, group = "target")]
    to_current: bool,
    #[arg(long, group = "target")]
    to_offset: Option<i64>,
    #[arg(long, group = "target", value_parser = moment::parse, value_name = "YYYY-MM-DDThh:mm:ss.sss")]
    to_datetime: Option<i64>,
    #[arg(long, group = "target", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// Lines of topic,partition,offset
    #[arg(long, group = "target", value_name = "FILE")]
    from_file: Option<PathBuf>,
    #[arg(long, group = "how")]
    dry_run: bool,
    #[arg(long, group = "how")]
    execute: bool,
    /// Print what --from-file reads
    #[arg(long)]
    export: bool,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    match act(&args).await {
        Err(failure) if !failure.is_closed_pipe() && !matches!(failure, Failure::Items(_)) => {
            error(&format!("Executing consumer group command failed due to {}", errors::text_with_class(&failure)))?;
            Err(Failure::Items(1))
        }
        result => result,
    }
}

/// As Kafka's tool, on standard output after an empty line.
fn error(text: &str) -> Result<(), Failure> {
    line(&format!("\nError: {text}"))
}

/// Flags that would mean more than was meant, or nothing.
fn check(args: &Args) -> Result<(), Failure> {
    if args.delete_offsets && args.topics.is_empty() {
        return Err(Failure::Failed("Option [delete-offsets] takes the following options: [topic], [group]".into()));
    }
    if args.delete_offsets && args.group.len() > 1 {
        return Err(Failure::Failed("Option [delete-offsets] takes one [group]".into()));
    }
    if args.delete && (!args.topics.is_empty() || args.all_topics) {
        return Err(Failure::Failed(
            "Option [delete] takes no topics: it deletes groups with all their offsets. [delete-offsets] deletes those of topics"
                .into(),
        ));
    }
    Ok(())
}

async fn act(args: &Args) -> Result<(), Failure> {
    check(args)?;
    let mut client = args.connection.client()?;
    if args.list {
        return list(&mut client, args).await;
    }
    let groups = match args.all_groups {
        true => client.list_groups().await?.into_iter().map(|group| group.group).collect(),
        false => args.group.clone(),
    };
    if groups.is_empty() && !args.all_groups {
        return Err(Failure::Failed("one of these options must be given: all-groups, group".into()));
    }
    if args.describe {
        for group in &groups {
            let described = client.describe_group(group).await?;
            describe(&mut client, args, &described).await?;
        }
        return Ok(());
    }
    if args.delete {
        return delete(&mut client, &groups).await;
    }
    if args.delete_offsets {
        return delete_offsets(&mut client, args, &groups[0]).await;
    }
    reset::run(&mut client, args, &groups).await
}

async fn list(client: &mut Client, args: &Args) -> Result<(), Failure> {
    let listed = |filter: &Option<String>, value: &str| match filter.as_deref() {
        None | Some("") => true,
        Some(wanted) => wanted.split(',').any(|wanted| wanted.trim().eq_ignore_ascii_case(value)),
    };
    let groups = client.list_groups().await?;
    let shown = groups.iter().filter(|g| listed(&args.state, &g.state) && listed(&args.types, &g.group_type));
    let mut head = format!("{:<25} ", "GROUP");
    if args.types.is_some() {
        head += &format!("{:<20} ", "TYPE");
    }
    if args.state.is_some() {
        head += &format!("{:<20}", "STATE");
    }
    let plain = args.types.is_none() && args.state.is_none();
    if !plain {
        line(&head)?;
    }
    for group in shown {
        let mut text = format!("{:<25} ", group.group);
        if args.types.is_some() {
            text += &format!("{:<20} ", title(&group.group_type));
        }
        if args.state.is_some() {
            text += &format!("{:<20}", group.state);
        }
        line(if plain { &group.group } else { &text })?;
    }
    Ok(())
}

fn title(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

async fn describe(client: &mut Client, args: &Args, group: &GroupDescription) -> Result<(), Failure> {
    if group.members.is_empty() && group.state == "Empty" {
        eprintln!("\nConsumer group '{}' has no active members.", group.group);
    }
    if args.members {
        return members(group);
    }
    if args.state.is_some() {
        let metadata = client.metadata(Some(&[]), false).await?;
        let broker = metadata.brokers.iter().find(|broker| broker.id == group.coordinator);
        let address = broker.map(|broker| broker.address.to_string()).unwrap_or_default();
        let coordinator = format!("{address}  ({})", group.coordinator);
        let protocol = if group.protocol.is_empty() { "-" } else { &group.protocol };
        let (name, state, count) = (&group.group, &group.state, group.members.len());
        let wide = name.len().max(15);
        line(&format!(
            "\n{:<wide$} {:<25} {:<20} {:<20} #MEMBERS",
            "GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"
        ))?;
        return line(&format!("{name:<wide$} {coordinator:<25} {protocol:<20} {state:<20} {count}"));
    }
    let progress = progress_of(client, group).await?;
    for text in offset_lines(group, &progress) {
        line(&text)?;
    }
    Ok(())
}

fn members(group: &GroupDescription) -> Result<(), Failure> {
    member_lines(group).iter().try_for_each(|text| line(text))
}

fn member_lines(group: &GroupDescription) -> Vec<String> {
    let row = |m: &MemberDescription| {
        let count = m.assignment.len().to_string();
        [group.group.clone(), m.member_id.clone(), m.host.clone(), m.client_id.clone(), count]
    };
    let head = ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS"].map(str::to_owned);
    let rows: Vec<[String; 5]> = [head].into_iter().chain(group.members.iter().map(row)).collect();
    let widest = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0).max(15);
    let widths = [widest(0), widest(1), widest(2), widest(3), 15];
    let padded = |row: &[String; 5]| row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$} ")).collect();
    [String::new()].into_iter().chain(rows.iter().map(padded)).collect()
}

/// The table of offsets, each column as wide as its widest text, and at least as Kafka has it.
fn offset_lines(group: &GroupDescription, progress: &[Progress]) -> Vec<String> {
    let text = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let mut rows: Vec<[String; 9]> = Vec::new();
    for p in progress {
        let member =
            |of: fn(&MemberDescription) -> &String| p.member.as_ref().map_or("-".to_owned(), |m| of(m).clone());
        rows.push([
            group.group.clone(),
            p.topic.clone(),
            p.partition.to_string(),
            text(p.current),
            text(p.end.as_ref().ok().copied()),
            text(p.lag()),
            member(|m| &m.member_id),
            member(|m| &m.host),
            member(|m| &m.client_id),
        ]);
    }
    for m in group.members.iter().filter(|m| m.assignment.is_empty()) {
        let none = || "-".to_owned();
        let (id, host, client) = (m.member_id.clone(), m.host.clone(), m.client_id.clone());
        rows.push([group.group.clone(), none(), none(), none(), none(), none(), id, host, client]);
    }
    let widest = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0).max(15);
    let (group_width, topic, consumer, host) = (widest(0), widest(1), widest(6), widest(7));
    let format = |c: [&str; 9]| {
        format!(
            "{:<group_width$} {:<topic$} {:<10} {:<15} {:<15} {:<15} {:<consumer$} {:<host$} {}",
            c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
        )
    };
    let head =
        ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"];
    let rows = rows.iter().map(|row| format(row.each_ref().map(String::as_str)));
    [String::new(), format(head)].into_iter().chain(rows).collect()
}

async fn delete(client: &mut Client, groups: &[String]) -> Result<(), Failure> {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group in groups {
        match client.delete_group(group).await {
            Ok(()) => deleted.push(format!("'{group}'")),
            Err(ClientError::Api(e)) => {
                failed.push(format!("* Group '{group}' could not be deleted due to: {}", errors::exception(&e)))
            }
            Err(e) => return Err(e.into()),
        }
    }
    if failed.is_empty() {
        return line(&format!("Deletion of requested consumer groups ({}) was successful.", deleted.join(", ")));
    }
    error("Deletion of some consumer groups failed:")?;
    failed.iter().try_for_each(|text| line(text))?;
    if !deleted.is_empty() {
        line(&format!("\nThese consumer groups were deleted successfully: {}", deleted.join(", ")))?;
    }
    Err(Failure::Items(failed.len()))
}

/// `TOPIC:0,1` as `TOPIC:0` and `TOPIC:1`.
fn spread(topics: &[String]) -> Vec<String> {
    let each = |text: &String| match text.split_once(':') {
        Some((topic, partitions)) => partitions.split(',').map(|p| format!("{topic}:{}", p.trim())).collect(),
        None => vec![text.clone()],
    };
    topics.iter().flat_map(each).collect()
}

async fn delete_offsets(client: &mut Client, args: &Args, group: &str) -> Result<(), Failure> {
    let (partitions, missing) = partitions_of(client, &spread(&args.topics)).await?;
    let results = client.delete_offsets(group, &partitions).await?;
    let failed = results.iter().filter(|(_, _, result)| result.is_err()).count() + missing.len();
    match failed {
        0 => line(&format!("Request succeeded for deleting offsets from group {group}."))?,
        _ => error("Encountered some partition-level error, see the follow-up details:")?,
    }
    line(&format!("\n{:<15} {:<10} {:<15}", "TOPIC", "PARTITION", "STATUS"))?;
    for (topic, e) in &missing {
        line(&format!("{topic:<15} {:<10} Error: {}", "Not Provided", errors::message(e)))?;
    }
    for (topic, partition, result) in &results {
        let status =
            result.as_ref().map_or_else(|e| format!("Error: {}", errors::message(e)), |()| "Successful".into());
        line(&format!("{topic:<15} {partition:<10} {status:<15}"))?;
    }
    if failed > 0 { Err(Failure::Items(failed)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn parsed(flags: &str) -> Result<Args, clap::Error> {
        let line = format!("kafka-consumer-groups.sh --bootstrap-server a:1 {flags}");
        parse(&line.split_whitespace().map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn kafkas_flags_are_taken() {
        for good in [
            "--list --state",
            "--list --state Empty,Stable --type",
            "--describe --group g --members",
            "--describe --all-groups",
            "--reset-offsets --group g --all-topics --to-earliest --execute",
            "--reset-offsets --group g --topic t:0,1 --shift-by -5 --dry-run",
            "--delete --group a --group b",
            "--delete-offsets --group g --topic t",
        ] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "--list --describe",
            "--reset-offsets --group g --topic t",
            "--reset-offsets --group g --to-earliest --to-latest",
            "--reset-offsets --group g --to-latest --dry-run --execute",
            "--describe --group g --all-groups",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
        assert_eq!(parsed("--list --state").ok().and_then(|args| args.state), Some(String::new()));
    }

    #[test]
    fn offsets_stand_in_kafkas_columns() {
        let group = GroupDescription {
            group: "rg".into(),
            group_type: "classic",
            state: "Empty".into(),
            protocol_type: "consumer".into(),
            protocol: String::new(),
            coordinator: 1,
            members: Vec::new(),
        };
        let progress = Progress { topic: "r.1".into(), partition: 0, current: Some(1), end: Ok(4), member: None };
        // Pinned from Apache Kafka 4.3.1.
        let expect = [
            "",
            "GROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID",
            "rg              r.1             0          1               4               3               -               -               -",
        ];
        assert_eq!(offset_lines(&group, &[progress]), expect);
    }

    #[test]
    fn partitions_are_taken_apart() {
        assert_eq!(spread(&["t:0,1".into(), "u".into()]), ["t:0", "t:1", "u"]);
    }
}
