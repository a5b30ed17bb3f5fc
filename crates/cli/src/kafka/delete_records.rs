//! `kafka-delete-records`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::{Connection, errors};
use crate::common::read_text;
use crate::failure::Failure;
use crate::report::line;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// {"partitions": [{"topic": "foo", "partition": 1, "offset": 1}], "version": 1}
    #[arg(long, value_name = "FILE", required = true)]
    offset_json_file: PathBuf,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let offsets = parse_offsets(&read_text(&args.offset_json_file)?)?;
    let mut client = args.connection.client()?;
    line("Executing records delete operation")?;
    let results = client.delete_records(&offsets).await?;
    line("Records delete operation completed:")?;
    let mut failed = 0;
    for (topic, partition, result) in results {
        match result {
            Ok(low_watermark) => line(&format!("partition: {topic}-{partition}\tlow_watermark: {low_watermark}"))?,
            Err(e) => {
                failed += 1;
                line(&format!("partition: {topic}-{partition}\terror: {}", errors::exception(&e)))?;
            }
        }
    }
    if failed > 0 { Err(Failure::Items(failed)) } else { Ok(()) }
}

fn parse_offsets(text: &str) -> Result<Vec<(String, i32, i64)>, Failure> {
    let wrong = |what: &str| Failure::Failed(format!("The offset file is not as it should be: {what}"));
    let json: Value = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
    if json.get("version").is_some_and(|version| *version != 1) {
        return Err(wrong("its version is not 1"));
    }
    let partitions = json.get("partitions").and_then(Value::as_array).ok_or_else(|| wrong("no partitions"))?;
    let mut offsets: Vec<(String, i32, i64)> = Vec::new();
    for entry in partitions {
        let topic = entry.get("topic").and_then(Value::as_str);
        let partition = entry.get("partition").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok());
        let offset = entry.get("offset").and_then(Value::as_i64);
        let (Some(topic), Some(partition), Some(offset)) = (topic, partition, offset) else {
            return Err(wrong(&format!("{entry} has not a topic, a partition and an offset")));
        };
        if offsets.iter().any(|(t, p, _)| t == topic && *p == partition) {
            return Err(wrong(&format!("{topic}-{partition} occurs twice")));
        }
        offsets.push((topic.to_owned(), partition, offset));
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_strictly() {
        let good = r#"{"partitions":[{"topic":"a","partition":1,"offset":-1}],"version":1}"#;
        assert_eq!(parse_offsets(good).ok(), Some(vec![("a".to_owned(), 1, -1)]));
        for bad in [
            "",
            "{}",
            r#"{"partitions":[{"topic":"a","partition":1}]}"#,
            r#"{"partitions":[],"version":2}"#,
            r#"{"partitions":[{"topic":"a","partition":1,"offset":1},{"topic":"a","partition":1,"offset":2}]}"#,
        ] {
            assert!(parse_offsets(bad).is_err(), "{bad}");
        }
    }
}
