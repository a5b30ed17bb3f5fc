//! The client programs and what they print.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{ToolError, last_line, run_tool};
use crate::tools::Tools;

/// A produce run longer than this is cut off; the slowest peer needs seconds.
const PRODUCE_LIMIT: Duration = Duration::from_secs(120);

/// Runs the client programs, one at a time.
pub struct Client {
    probe: PathBuf,
    performance: PathBuf,
    scratch: PathBuf,
}

/// The probe's answer: its fields, whether it did all it was asked, and its processor time in microseconds.
#[derive(Debug)]
pub struct Answer {
    pub fields: Fields,
    pub complete: bool,
    pub cpu_us: f64,
}

/// `key=value` pairs of one line.
#[derive(Debug)]
pub struct Fields {
    program: String,
    line: String,
    values: BTreeMap<String, String>,
}

impl Fields {
    pub fn parse(program: &str, line: String) -> Self {
        let pairs = line.split_ascii_whitespace().filter_map(|word| word.split_once('='));
        let values = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { program: program.to_owned(), line, values }
    }

    /// The number printed under `key`.
    ///
    /// # Errors
    /// It was not printed, or is no number: the measurement gave no such figure.
    pub fn number(&self, key: &str) -> Result<f64, ToolError> {
        let found = self.values.get(key).and_then(|value| value.parse().ok());
        found.ok_or_else(|| ToolError::Missing {
            program: self.program.clone(),
            field: key.to_owned(),
            output: self.line.clone(),
        })
    }

    /// The whole line, for messages.
    pub fn line(&self) -> &str {
        &self.line
    }
}

/// How one produce row is sent.
#[derive(Clone, Copy, Debug)]
pub struct ProduceCall<'a> {
    pub topic: &'a str,
    /// Bytes a message.
    pub size: u32,
    pub messages: u64,
    pub partitions: u32,
    /// 0, 1 or -1 (all).
    pub acks: i8,
    pub idempotent: bool,
    pub lz4: bool,
}

/// What the client saw of one produce run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Produced {
    /// Messages acknowledged.
    pub delivered: u64,
    /// Messages whose delivery failed.
    pub failed: u64,
    /// From the first message to the last acknowledgement, microseconds.
    pub elapsed_us: f64,
    /// Client processor time, microseconds (ticks of 10 ms).
    pub cpu_us: f64,
}

impl Client {
    pub fn new(tools: &Tools) -> Self {
        let scratch = tools.root().join("client.log");
        Self { probe: tools.probe(), performance: tools.rdkafka_performance(), scratch }
    }

    /// Calls the probe.
    ///
    /// # Errors
    /// It cannot be run, is not done within `limit`, or prints no line. An incomplete measurement is no error here.
    pub fn probe(&self, arguments: &[&str], limit: Duration) -> Result<Answer, ToolError> {
        let run = run_tool(Command::new(&self.probe).args(arguments), limit, &self.scratch)?;
        let name = format!("probe {}", arguments.first().unwrap_or(&""));
        let line = run.output.lines().rfind(|line| line.contains('='));
        match line {
            Some(line) => {
                let fields = Fields::parse(&name, line.to_owned());
                Ok(Answer { fields, complete: run.success, cpu_us: run.cpu_us })
            }
            None => Err(ToolError::Failed { program: name, output: last_line(&run.output) }),
        }
    }

    /// Processor time process `id` has used so far, in microseconds, to the nanosecond the kernel counts.
    ///
    /// # Errors
    /// There is no such process.
    pub fn cpu_us(&self, id: u32) -> Result<f64, ToolError> {
        let answer = self.probe(&["cpu", &id.to_string()], Duration::from_secs(20))?;
        answer.fields.number("used_us")
    }

    /// Sends one row with librdkafka's own benchmark program.
    ///
    /// # Errors
    /// It cannot be run, is not done in time, or prints no summary. Undelivered messages are no error here.
    pub fn produce(&self, boot: &str, call: &ProduceCall<'_>) -> Result<Produced, ToolError> {
        self.produced(self.produce_command(call).args(["-b", boot]))
    }

    /// The same against the client library's own in-process mock broker: the most the client can do.
    ///
    /// # Errors
    /// As [`Client::produce`].
    pub fn produce_to_mock(&self, call: &ProduceCall<'_>) -> Result<Produced, ToolError> {
        self.produced(self.produce_command(call).args(["-b", "unused", "-X", "test.mock.num.brokers=1"]))
    }

    fn produced(&self, command: &mut Command) -> Result<Produced, ToolError> {
        let run = run_tool(command, PRODUCE_LIMIT, &self.scratch)?;
        let summary = run.output.lines().rev().find_map(parse_summary);
        let missing = || ToolError::Failed { program: run.program.clone(), output: last_line(&run.output) };
        summary.map(|found| Produced { cpu_us: run.cpu_us, ..found }).ok_or_else(missing)
    }

    fn produce_command(&self, call: &ProduceCall<'_>) -> Command {
        let mut command = Command::new(&self.performance);
        command.args(["-P", "-q", "-t", call.topic, "-s", &call.size.to_string()]);
        command.args(["-c", &call.messages.to_string(), "-a", &call.acks.to_string()]);
        command.args(["-X", "linger.ms=5", "-X", "queue.buffering.max.messages=2000000"]);
        command.args(["-X", "queue.buffering.max.kbytes=1000000"]);
        if call.partitions == 1 {
            command.args(["-p", "0"]);
        }
        if call.idempotent {
            command.args(["-X", "enable.idempotence=true"]);
        }
        if call.lz4 {
            command.args(["-z", "lz4"]);
        }
        command
    }
}

/// Reads `% N messages produced (B bytes), D delivered (offset O, F failed) in Tms: R msgs/s and M MB/s, ...`.
fn parse_summary(line: &str) -> Option<Produced> {
    let after = |text: &str| {
        let rest = &line[line.find(text)? + text.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse::<u64>().ok()
    };
    let before = |text: &str| line[..line.find(text)?].rsplit(' ').next()?.parse::<u64>().ok();
    let delivered = before(" delivered (")?;
    let failed = before(" failed)")?;
    let rate = before(" msgs/s")?;
    // The rate comes from microseconds; the printed milliseconds are too coarse for a short run.
    let elapsed_us = if rate > 0 { delivered as f64 * 1e6 / rate as f64 } else { after(" in ")? as f64 * 1e3 };
    Some(Produced { delivered, failed, elapsed_us, cpu_us: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_produce_run_is_read() {
        let line = "% 200 messages produced (20000 bytes), 190 delivered (offset 189, 10 failed) in 100ms: 1900 msgs/s \
                    and 0.19 MB/s, 7 produce failures, 0 in queue, no compression";
        let read = parse_summary(line).expect("a summary line");
        assert_eq!(read, Produced { delivered: 190, failed: 10, elapsed_us: 100_000.0, cpu_us: 0.0 });
    }

    #[test]
    fn a_run_that_delivered_nothing_keeps_its_time() {
        let line =
            "% 5 messages produced (500 bytes), 0 delivered (offset 0, 5 failed) in 3000ms: 0 msgs/s and 0.00 MB/s";
        let read = parse_summary(line).expect("a summary line");
        assert_eq!((read.delivered, read.failed, read.elapsed_us), (0, 5, 3_000_000.0));
        assert_eq!(parse_summary("% Sending 5 messages of size 100 bytes"), None);
    }

    #[test]
    fn fields_are_numbers_or_errors() {
        let fields = Fields::parse("probe x", "x sent=3 error=_TIMED_OUT".to_owned());
        assert_eq!(fields.number("sent").expect("printed"), 3.0);
        let error = fields.number("error").expect_err("no number");
        assert_eq!(error.to_string(), "probe x gave no error: x sent=3 error=_TIMED_OUT");
        assert!(fields.number("acked").is_err());
    }
}
