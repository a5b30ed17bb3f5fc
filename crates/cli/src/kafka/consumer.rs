//! `kafka-console-consumer`.

use std::io::{self, Write};
use std::time::Duration;

use chronik_client::{FetchedRecord, GroupOptions, Isolation};
use clap::Args as ClapArgs;

use super::{Connection, is_true, property, topic_filter};
use crate::consume::{Begin, Plan, read_as_group, read_partitions};
use crate::failure::Failure;
use crate::topic::partitions_of;

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[arg(long, group = "what")]
    topic: Option<String>,
    /// Topics by regular expression
    #[arg(long, group = "what", alias = "whitelist")]
    include: Option<String>,
    #[arg(long, requires = "topic", conflicts_with = "group")]
    partition: Option<i32>,
    /// earliest, latest or a number
    #[arg(long, requires = "partition", value_parser = Begin::parse)]
    offset: Option<Begin>,
    #[arg(long)]
    group: Option<String>,
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    #[arg(long)]
    max_messages: Option<u64>,
    /// End when nothing came for so many milliseconds
    #[arg(long)]
    timeout_ms: Option<u64>,
    #[arg(long, value_parser = isolation, default_value = "read_uncommitted")]
    isolation_level: Isolation,
    /// Only the default one
    #[arg(long)]
    formatter: Option<String>,
    /// print.timestamp, print.key, print.offset, print.partition, print.epoch, print.headers, print.value,
    /// key.separator, line.separator, headers.separator, null.literal
    #[arg(long = "formatter-property", alias = "property", value_name = "KEY=VALUE", value_parser = property)]
    formatter_properties: Vec<(String, String)>,
    /// Of the consumer: group.id, auto.offset.reset, isolation.level
    #[arg(long = "command-property", alias = "consumer-property", value_name = "KEY=VALUE", value_parser = property)]
    consumer_properties: Vec<(String, String)>,
    /// A record that cannot be printed ends the program in any case
    #[arg(long)]
    skip_message_on_error: bool,
    /// Strings are the only form
    #[arg(long, value_parser = string_deserializer)]
    key_deserializer: Option<String>,
    #[arg(long, value_parser = string_deserializer)]
    value_deserializer: Option<String>,
}

fn isolation(text: &str) -> Result<Isolation, String> {
    match text {
        "read_uncommitted" => Ok(Isolation::ReadUncommitted),
        "read_committed" => Ok(Isolation::ReadCommitted),
        other => Err(format!("{other:?} is neither read_uncommitted nor read_committed")),
    }
}

fn string_deserializer(text: &str) -> Result<String, String> {
    const AS_IT_IS: [&str; 2] = [
        "org.apache.kafka.common.serialization.StringDeserializer",
        "org.apache.kafka.common.serialization.ByteArrayDeserializer",
    ];
    if AS_IT_IS.contains(&text) { Ok(text.to_owned()) } else { Err("only strings and bytes are printed".into()) }
}

pub async fn run(args: Args) -> Result<(), Failure> {
    if args.formatter.as_ref().is_some_and(|name| !name.ends_with("DefaultMessageFormatter")) {
        return Err(Failure::Failed(
            "only the formatter org.apache.kafka.tools.consumer.DefaultMessageFormatter is here".into(),
        ));
    }
    let formatter = Formatter::new(&args.formatter_properties).map_err(Failure::Failed)?;
    let (mut group, mut isolation, mut latest) = (args.group.clone(), args.isolation_level, true);
    for (key, value) in &args.consumer_properties {
        match (key.as_str(), value.as_str()) {
            ("group.id", id) => group = Some(id.to_owned()),
            ("auto.offset.reset", "earliest") => latest = false,
            ("auto.offset.reset", "latest") => latest = true,
            ("isolation.level", level) => isolation = self::isolation(level).map_err(Failure::Failed)?,
            _ => return Err(Failure::Failed(format!("The consumer property {key}={value} is not honoured here"))),
        }
    }
    let from = match (args.offset, args.from_beginning || !latest) {
        (Some(offset), _) => offset,
        (None, true) => Begin::Beginning,
        (None, false) => Begin::End,
    };
    let plan = Plan {
        from,
        count: args.max_messages,
        exit_at_end: false,
        idle: args.timeout_ms.map(Duration::from_millis),
        isolation,
    };
    let mut client = args.connection.client()?;
    let topics = match (&args.topic, &args.include) {
        (Some(topic), _) => vec![topic.clone()],
        (None, Some(filter)) => {
            let filter = topic_filter(filter)?;
            let metadata = client.metadata(None, false).await?;
            metadata.found().filter(|t| !t.internal && filter.is_match(&t.name)).map(|t| t.name.clone()).collect()
        }
        (None, None) => Vec::new(),
    };
    if topics.is_empty() {
        return Err(Failure::Failed("no topic matches".into()));
    }
    let mut print =
        |out: &mut dyn Write, _: &str, partition: i32, record: &FetchedRecord| formatter.write(out, partition, record);
    let printed = match group {
        Some(group) => read_as_group(&mut client, GroupOptions::new(group, topics), &plan, &mut print).await?,
        None => {
            let topics: Vec<String> = match args.partition {
                Some(partition) => topics.iter().map(|topic| format!("{topic}:{partition}")).collect(),
                None => topics,
            };
            let (partitions, missing) = partitions_of(&mut client, &topics).await?;
            if let Some((topic, e)) = missing.into_iter().next() {
                return Err(Failure::Failed(format!("topic {topic}: {e}")));
            }
            read_partitions(&mut client, &partitions, &plan, &mut print).await?
        }
    };
    eprintln!("Processed a total of {printed} messages");
    Ok(())
}

/// Kafka's `DefaultMessageFormatter`.
struct Formatter {
    timestamp: bool,
    partition: bool,
    offset: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
}

impl Formatter {
    fn new(properties: &[(String, String)]) -> Result<Self, String> {
        let mut formatter = Formatter {
            timestamp: false,
            partition: false,
            offset: false,
            epoch: false,
            headers: false,
            key: false,
            value: true,
            key_separator: "\t".into(),
            line_separator: "\n".into(),
            headers_separator: ",".into(),
            null_literal: "null".into(),
        };
        for (key, value) in properties {
            let on = is_true(value);
            match key.as_str() {
                "print.timestamp" => formatter.timestamp = on,
                "print.partition" => formatter.partition = on,
                "print.offset" => formatter.offset = on,
                "print.epoch" => formatter.epoch = on,
                "print.headers" => formatter.headers = on,
                "print.key" => formatter.key = on,
                "print.value" => formatter.value = on,
                "key.separator" => formatter.key_separator.clone_from(value),
                "line.separator" => formatter.line_separator.clone_from(value),
                "headers.separator" => formatter.headers_separator.clone_from(value),
                "null.literal" => formatter.null_literal.clone_from(value),
                _ => return Err(format!("The formatter property {key} is not honoured here")),
            }
        }
        Ok(formatter)
    }

    fn write(&self, out: &mut dyn Write, partition: i32, record: &FetchedRecord) -> io::Result<()> {
        let null = self.null_literal.as_bytes();
        let mut parts: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let kind = if record.log_append_time { "LogAppendTime" } else { "CreateTime" };
            let stamped = record.timestamp >= 0;
            let text = if stamped { format!("{kind}:{}", record.timestamp) } else { "NO_TIMESTAMP".to_owned() };
            parts.push(text.into_bytes());
        }
        if self.partition {
            parts.push(format!("Partition:{partition}").into_bytes());
        }
        if self.offset {
            parts.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.epoch {
            parts.push(format!("Epoch:{}", record.leader_epoch).into_bytes());
        }
        if self.headers {
            let header = |h: &chronik_protocol::records::RecordHeader| {
                [&h.key, &b":"[..], h.value.as_deref().unwrap_or(null)].concat()
            };
            let headers: Vec<Vec<u8>> = record.headers.iter().map(header).collect();
            let none = headers.is_empty();
            parts.push(if none { b"NO_HEADERS".to_vec() } else { headers.join(self.headers_separator.as_bytes()) });
        }
        if self.key {
            parts.push(record.key.as_deref().unwrap_or(null).to_vec());
        }
        if self.value {
            parts.push(record.value.as_deref().unwrap_or(null).to_vec());
        }
        if parts.is_empty() {
            return Ok(());
        }
        out.write_all(&parts.join(self.key_separator.as_bytes()))?;
        out.write_all(self.line_separator.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chronik_protocol::records::{Record, RecordHeader};

    use super::super::parse;
    use super::*;

    fn check(properties: &str, expect: &str) {
        let properties: Vec<_> = properties.split_whitespace().map(|text| property(text).expect(text)).collect();
        let header = |key: &'static str, value: &'static str| RecordHeader {
            key: Bytes::from_static(key.as_bytes()),
            value: Some(Bytes::from_static(value.as_bytes())),
        };
        let record = Record {
            offset: 5,
            timestamp: 1_795_737_717_704,
            attributes: 0,
            key: Some(Bytes::from_static(b"k1")),
            value: None,
            headers: vec![header("h1", "v1"), header("h2", "v2")],
        };
        let record = FetchedRecord { record, log_append_time: false, leader_epoch: 7, broker: 1 };
        let mut out = Vec::new();
        Formatter::new(&properties).expect("known").write(&mut out, 2, &record).expect("memory takes it");
        assert_eq!(String::from_utf8_lossy(&out), expect);
    }

    #[test]
    fn records_look_as_kafkas_formatter_prints_them() {
        check("", "null\n");
        check("print.key=true null.literal=-", "k1\t-\n");
        let all = "print.timestamp=true print.partition=true print.offset=true print.headers=true print.key=true";
        check(all, "CreateTime:1795737717704\tPartition:2\tOffset:5\th1:v1,h2:v2\tk1\tnull\n");
        check("print.value=false print.epoch=true line.separator=;", "Epoch:7;");
        assert!(Formatter::new(&[("print.colour".into(), "true".into())]).is_err());
    }

    #[test]
    fn kafkas_flags_are_taken() {
        let parsed = |flags: &str| {
            let line = format!("kafka-console-consumer.sh --bootstrap-server a:1 {flags}");
            parse::<Args>(&line.split_whitespace().map(Into::into).collect::<Vec<_>>()).is_ok()
        };
        for good in [
            "--topic t --from-beginning --max-messages 3 --property print.key=true",
            "--topic t --partition 0 --offset earliest --timeout-ms 100",
            "--include t.* --group g --consumer-property auto.offset.reset=earliest",
        ] {
            assert!(parsed(good), "{good}");
        }
        for bad in ["", "--topic t --include u", "--topic t --offset 5", "--topic t --isolation-level none"] {
            assert!(!parsed(bad), "{bad}");
        }
    }
}
