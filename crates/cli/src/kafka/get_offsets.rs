//! `kafka-get-offsets`.

use chronik_client::{ApiError, Isolation, Metadata, OffsetSpec};
use chronik_protocol::error::ErrorCode;
use clap::Args as ClapArgs;
use regex::Regex;

use super::{Connection, errors, topic_filter};
use crate::failure::Failure;
use crate::report::line;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// A regular expression, or several separated by commas [default: all topics]
    #[arg(long, conflicts_with = "topic_partitions")]
    topic: Option<String>,
    /// TOPIC:PARTITION or TOPIC:FROM-TO, separated by commas; the end is exclusive, the topic a regular expression
    #[arg(long)]
    topic_partitions: Option<String>,
    /// Of --topic, separated by commas [default: all]
    #[arg(long, value_delimiter = ',', requires = "topic")]
    partitions: Vec<i32>,
    /// latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), latest-tiered (-5), or milliseconds
    #[arg(long, default_value = "latest", value_parser = time, allow_negative_numbers = true)]
    time: OffsetSpec,
    #[arg(long)]
    exclude_internal_topics: bool,
}

fn time(text: &str) -> Result<OffsetSpec, String> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" => OffsetSpec::Other(-4),
        "latest-tiered" => OffsetSpec::Other(-5),
        number => match number.parse() {
            Ok(timestamp_ms) if timestamp_ms >= 0 => OffsetSpec::At(timestamp_ms),
            Ok(special) => OffsetSpec::Other(special),
            Err(_) => {
                return Err(format!(
                    "Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified long format timestamp"
                ));
            }
        },
    })
}

/// Partitions of topics whose name matches.
struct Rule {
    topic: Option<Regex>,
    /// From, and to but exclusively.
    partitions: Vec<(i32, i32)>,
}

impl Rule {
    fn takes(&self, topic: &str, partition: i32) -> bool {
        self.topic.as_ref().is_none_or(|regex| regex.is_match(topic))
            && (self.partitions.is_empty()
                || self.partitions.iter().any(|(from, to)| (*from..*to).contains(&partition)))
    }
}

fn rules(args: &Args) -> Result<Vec<Rule>, Failure> {
    match &args.topic_partitions {
        Some(list) => list.split(',').map(rule).collect(),
        None => {
            let partitions = args.partitions.iter().map(|p| (*p, p.saturating_add(1))).collect();
            Ok(vec![Rule { topic: args.topic.as_deref().map(topic_filter).transpose()?, partitions }])
        }
    }
}

fn rule(text: &str) -> Result<Rule, Failure> {
    let wrong = || Failure::Failed(format!("Invalid topic-partition rule: {text}"));
    let (topic, range) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
    let number = |text: &str, default| if text.is_empty() { Ok(default) } else { text.parse().map_err(|_| wrong()) };
    let partitions = match range.split_once('-') {
        Some((from, to)) => vec![(number(from, 0)?, number(to, i32::MAX)?)],
        None if range.is_empty() => Vec::new(),
        None => {
            let one = number(range, 0)?;
            vec![(one, one.saturating_add(1))]
        }
    };
    let topic = if topic.is_empty() { None } else { Some(topic_filter(topic)?) };
    Ok(Rule { topic, partitions })
}

fn chosen(metadata: &Metadata, rules: &[Rule], args: &Args) -> Vec<(String, i32, OffsetSpec)> {
    let topics = metadata.found().filter(|topic| !(args.exclude_internal_topics && topic.internal));
    let each = topics.flat_map(|topic| topic.partitions.iter().map(move |p| (topic.name.clone(), p.index, args.time)));
    each.filter(|(topic, partition, _)| rules.iter().any(|rule| rule.takes(topic, *partition))).collect()
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let occurred = |failure: Failure| Failure::Failed(format!("Error occurred: {}", errors::text(&failure)));
    let mut client = args.connection.client().map_err(occurred)?;
    let rules = rules(&args).map_err(occurred)?;
    let metadata = client.metadata(None, false).await.map_err(|e| occurred(e.into()))?;
    let asked = chosen(&metadata, &rules, &args);
    if asked.is_empty() {
        return Err(Failure::Failed(
            "Error occurred: Could not match any topic-partitions with the specified filters".into(),
        ));
    }
    let mut failed = 0;
    let answers = client.list_offsets(&asked, Isolation::ReadUncommitted).await.map_err(|e| occurred(e.into()))?;
    for (topic, partition, offset) in answers {
        match offset {
            // Nothing is that young.
            Ok(offset) if offset < 0 => line(&format!("{topic}:{partition}:"))?,
            Ok(offset) => line(&format!("{topic}:{partition}:{offset}"))?,
            Err(e) => {
                failed += 1;
                eprintln!("Skip getting offsets for topic-partition {topic}-{partition} due to error: {}", reason(&e));
            }
        }
    }
    if failed > 0 { Err(Failure::Items(failed)) } else { Ok(()) }
}

fn reason(error: &ApiError) -> String {
    match ErrorCode::from_code(error.code) {
        Some(ErrorCode::LeaderNotAvailable) => "the partition does not have a leader".to_owned(),
        _ => errors::exception(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn parsed(flags: &str) -> Result<Args, clap::Error> {
        let line = format!("kafka-get-offsets.sh --bootstrap-server a:1 {flags}");
        parse(&line.split_whitespace().map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn times_have_names_and_numbers() {
        for (text, spec) in [("-1", OffsetSpec::Latest), ("earliest", OffsetSpec::Earliest), ("5", OffsetSpec::At(5))] {
            assert_eq!(parsed(&format!("--time {text}")).expect(text).time, spec);
        }
        assert!(parsed("--time soon").is_err());
        assert!(parsed("--topic a --topic-partitions a:0").is_err());
    }

    #[test]
    fn rules_are_ranges_with_an_open_end() {
        let takes = |text: &str, topic: &str, partition| rule(text).map(|rule| rule.takes(topic, partition)).ok();
        assert_eq!(takes("t:0-2", "t", 1), Some(true));
        assert_eq!(takes("t:0-2", "t", 2), Some(false));
        assert_eq!(takes("t:3-", "t", 9), Some(true));
        assert_eq!(takes("t.*:1", "tx", 1), Some(true));
        assert_eq!(takes(":1", "any", 1), Some(true));
        assert_eq!(takes("t", "u", 0), Some(false));
        assert_eq!(takes("t:x", "t", 0), None);
    }
}
