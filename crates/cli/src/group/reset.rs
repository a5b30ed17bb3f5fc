//! `group reset`.

use std::collections::BTreeMap;

use chronik_client::Client;
use chronik_protocol::error::ErrorCode;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::state::{Target, new_offsets};
use crate::failure::Failure;
use crate::moment;
use crate::report::{Output, Report};
use crate::topic::partitions_of;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("target").required(true)))]
pub struct Reset {
    group: String,
    /// Which topics or partitions [default: all the group has committed for]
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION]")]
    topics: Vec<String>,
    /// earliest, latest, OFFSET, or the first record at or after a time such as 2026-11-27T08:00:00Z
    #[arg(long, group = "target", value_name = "WHERE", value_parser = target)]
    to: Option<Target>,
    /// So many records on, or back
    #[arg(long, group = "target", value_name = "COUNT", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

fn target(text: &str) -> Result<Target, String> {
    Ok(match text {
        "earliest" => Target::Earliest,
        "latest" => Target::Latest,
        "current" => Target::Current,
        _ => match (text.parse::<i64>(), text.strip_prefix('@')) {
            (Ok(offset), _) if offset >= 0 => Target::Offset(offset),
            (_, Some(time)) => Target::Time(moment::parse(time)?),
            (Ok(_), None) => return Err(format!("{text} is no offset")),
            (Err(_), None) => Target::Time(moment::parse(text)?),
        },
    })
}

impl Reset {
    pub async fn run(&self, client: &mut Client, output: Output) -> Result<(), Failure> {
        let target = match (self.to, self.shift_by) {
            (Some(target), _) => target,
            (None, Some(by)) => Target::Shift(by),
            (None, None) => return Err(Failure::Usage("give --to or --shift-by".into())),
        };
        let mut report = Report::new(&["group", "topic", "partition", "old_offset", "new_offset", "result"]);
        // A group that nobody knows is made by the reset, as with Kafka's tool.
        match client.describe_group(&self.group).await {
            Ok(group) if !matches!(group.state.as_str(), "Empty" | "Dead") => {
                let state = group.state;
                return Err(Failure::Failed(format!("group {} is {state}: its members must leave first", self.group)));
            }
            Err(e) if e.code() != Some(ErrorCode::GroupIdNotFound) => return Err(e.into()),
            _ => {}
        }
        let committed = client.committed_offsets(&self.group, None).await?;
        let old: BTreeMap<(String, i32), i64> =
            committed.into_iter().map(|c| ((c.topic, c.partition), c.offset)).collect();
        let partitions = match self.topics.is_empty() {
            true => old.keys().cloned().collect(),
            false => {
                let (partitions, missing) = partitions_of(client, &self.topics).await?;
                for (topic, e) in &missing {
                    report.failed(vec![json!(self.group), json!(topic)], e);
                }
                partitions
            }
        };
        if partitions.is_empty() && report.is_empty() {
            return Err(Failure::Failed(format!(
                "group {} has committed nothing: name topics with --topic",
                self.group
            )));
        }
        let mut wanted = Vec::new();
        for (topic, partition, offset) in new_offsets(client, &self.group, &partitions, target).await? {
            match offset {
                Ok(offset) => wanted.push((topic, partition, offset)),
                Err(e) => report.failed(vec![json!(self.group), json!(topic), json!(partition)], &e),
            }
        }
        let row = |topic: &str, partition: i32, result: &str| {
            let key = (topic.to_owned(), partition);
            let was = old.get(&key).filter(|offset| **offset >= 0).map_or(Value::Null, |offset| json!(offset));
            let new = wanted.iter().find(|(t, p, _)| *t == key.0 && *p == partition).map(|(_, _, offset)| offset);
            vec![json!(self.group), json!(topic), json!(partition), was, json!(new), json!(result)]
        };
        if self.dry_run {
            for (topic, partition, _) in &wanted {
                report.row(row(topic, *partition, "would be reset"));
            }
            return report.print(output);
        }
        if !wanted.is_empty() {
            let results = client.commit_offsets(&self.group, -1, "", &wanted).await?;
            for (topic, partition, result) in results {
                match result {
                    Ok(()) => report.row(row(&topic, partition, "reset")),
                    Err(e) => report.failed(vec![json!(self.group), json!(topic), json!(partition)], &e),
                }
            }
        }
        report.print(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_words_offsets_or_times() {
        for (text, expect) in [
            ("earliest", Target::Earliest),
            ("latest", Target::Latest),
            ("17", Target::Offset(17)),
            ("@17", Target::Time(17)),
            ("2025-11-27T08:00:00Z", Target::Time(1_764_230_400_000)),
        ] {
            assert_eq!(target(text), Ok(expect), "{text}");
        }
        for bad in ["", "-1", "soon", "@"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
