//! `kafka-consumer-groups --reset-offsets`.

use std::collections::BTreeMap;

use chronik_client::{Client, ClientError};
use chronik_protocol::error::ErrorCode;

use super::{Args, error, spread};
use crate::common::read_text;
use crate::failure::Failure;
use crate::group::state::{Target, new_offsets};
use crate::kafka::errors;
use crate::report::line;
use crate::topic::partitions_of;

pub async fn run(client: &mut Client, args: &Args, groups: &[String]) -> Result<(), Failure> {
    if !args.execute && !args.dry_run {
        eprintln!("WARN: No action will be performed as the --execute option is missing.");
    }
    let mut failed = 0;
    let mut lines = Vec::new();
    for group in groups {
        match client.describe_group(group).await {
            Ok(found) if !matches!(found.state.as_str(), "Empty" | "Dead") => {
                let state = found.state;
                error(&format!(
                    "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
                ))?;
                failed += 1;
                continue;
            }
            Err(e) if e.code() != Some(ErrorCode::GroupIdNotFound) => return Err(e.into()),
            _ => {}
        }
        let wanted = wanted_offsets(client, args, group).await?;
        if args.execute {
            for (topic, partition, result) in client.commit_offsets(group, -1, "", &wanted).await? {
                if let Err(e) = result {
                    error(&format!("{topic}-{partition}: {}", errors::exception(&e)))?;
                    failed += 1;
                }
            }
        }
        for (topic, partition, offset) in wanted {
            lines.push(match args.export {
                true => format!("{topic},{partition},{offset}"),
                false => format!("{group:<15} {topic:<15} {partition:<10} {offset}"),
            });
        }
    }
    if !args.export {
        line(&format!("\n{:<15} {:<15} {:<10} {}", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"))?;
    }
    lines.iter().try_for_each(|text| line(text))?;
    if failed > 0 { Err(Failure::Items(failed)) } else { Ok(()) }
}

async fn wanted_offsets(client: &mut Client, args: &Args, group: &str) -> Result<Vec<(String, i32, i64)>, Failure> {
    if let Some(path) = &args.from_file {
        let given = offsets_of_file(&read_text(path)?)?;
        let mut wanted = Vec::new();
        for ((topic, partition), offset) in given {
            let new = new_offsets(client, group, &[(topic, partition)], Target::Offset(offset)).await?;
            for (topic, partition, offset) in new {
                wanted.push((topic, partition, offset.map_err(ClientError::from)?));
            }
        }
        return Ok(wanted);
    }
    let partitions = match (args.all_topics, args.topics.is_empty()) {
        (true, _) => {
            let committed = client.committed_offsets(group, None).await?;
            committed.into_iter().map(|c| (c.topic, c.partition)).collect()
        }
        (false, true) => {
            return Err(Failure::Failed("One of the reset scopes should be defined: --all-topics, --topic.".into()));
        }
        (false, false) => {
            let (partitions, missing) = partitions_of(client, &spread(&args.topics)).await?;
            if let Some((_, e)) = missing.into_iter().next() {
                return Err(ClientError::from(e).into());
            }
            partitions
        }
    };
    let mut wanted = Vec::new();
    for (topic, partition, offset) in new_offsets(client, group, &partitions, target(args)?).await? {
        wanted.push((topic, partition, offset.map_err(ClientError::from)?));
    }
    Ok(wanted)
}

fn target(args: &Args) -> Result<Target, Failure> {
    let numbers = [
        args.to_offset.map(Target::Offset),
        args.to_datetime.map(Target::Time),
        args.shift_by.map(Target::Shift),
        args.to_earliest.then_some(Target::Earliest),
        args.to_latest.then_some(Target::Latest),
        args.to_current.then_some(Target::Current),
    ];
    numbers.into_iter().flatten().next().ok_or_else(|| Failure::Failed("a target for the offsets is missing".into()))
}

fn offsets_of_file(text: &str) -> Result<BTreeMap<(String, i32), i64>, Failure> {
    let mut offsets = BTreeMap::new();
    for text in text.lines().map(str::trim).filter(|text| !text.is_empty()) {
        let wrong = || Failure::Failed(format!("{text:?} is not topic,partition,offset"));
        let fields: Vec<&str> = text.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let [topic, partition, offset] = fields[..] else { return Err(wrong()) };
        let (partition, offset) = (partition.parse().map_err(|_| wrong())?, offset.parse().map_err(|_| wrong())?);
        offsets.insert((topic.to_owned(), partition), offset);
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_apart() {
        let offsets = offsets_of_file("a,0,5\n\"b\",1,6\n").expect("two lines");
        assert_eq!(offsets.get(&("b".to_owned(), 1)), Some(&6));
        assert!(offsets_of_file("a,0").is_err());
    }
}
