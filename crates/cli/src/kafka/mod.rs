//! Kafka's own tools by name: the flags they take, the lines they print.
//!
//! Scripts that parse those lines go on working. One thing differs on purpose: whatever fails makes the exit code 1, where
//! some of Kafka's tools say 0. Flags that make no difference here are taken and ignored only where that loses nothing.

mod configs;
mod consumer;
mod delete_records;
mod errors;
mod get_offsets;
mod groups;
mod producer;
mod topics;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chronik_client::{Client, HostPort};
use clap::Args as ClapArgs;
use regex::Regex;

use crate::common::Common;
use crate::failure::Failure;
use crate::report::Output;

/// Where every tool connects.
#[derive(Debug, ClapArgs)]
struct Connection {
    /// Brokers to begin with
    #[arg(long = "bootstrap-server", value_name = "HOST:PORT,..", required = true, value_delimiter = ',')]
    bootstrap: Vec<HostPort>,
    /// A properties file with a client's settings
    #[arg(long = "command-config", value_name = "FILE", aliases = ["producer.config", "consumer.config"])]
    command_config: Option<PathBuf>,
}

impl Connection {
    fn client(&self) -> Result<Client, Failure> {
        let (bootstrap, command_config) = (self.bootstrap.clone(), self.command_config.clone());
        Common { bootstrap, command_config, output: Output::Table }.client()
    }
}

/// The tool that a program's path names; with or without `.sh`.
fn tool_of(program: &Path) -> Option<&str> {
    let name = program.file_name()?.to_str()?;
    let name = name.strip_suffix(".sh").unwrap_or(name);
    name.starts_with("kafka-").then_some(name)
}

/// Runs the tool that `args[0]` names and returns its exit code; `None` where it names none.
pub fn run(args: &[OsString]) -> Option<u8> {
    let tool = tool_of(Path::new(args.first()?))?;
    Some(match tool {
        "kafka-topics" => start(args, topics::run),
        "kafka-console-producer" => start(args, producer::run),
        "kafka-console-consumer" => start(args, consumer::run),
        "kafka-consumer-groups" => start(args, groups::run),
        "kafka-configs" => start(args, configs::run),
        "kafka-get-offsets" => start(args, get_offsets::run),
        "kafka-delete-records" => start(args, delete_records::run),
        other => {
            eprintln!("chronik: {other} is not one of Kafka's tools that are built in");
            2
        }
    })
}

/// Parses as Kafka's own parser does, which takes any unambiguous beginning of a flag.
fn parse<A: ClapArgs>(args: &[OsString]) -> Result<A, clap::Error> {
    let name = args.first().and_then(|program| tool_of(Path::new(program))).unwrap_or("kafka").to_owned();
    let version = env!("CARGO_PKG_VERSION");
    let command = clap::Command::new("kafka").bin_name(name).infer_long_args(true).version(version);
    A::augment_args(command).try_get_matches_from(args).and_then(|matches| A::from_arg_matches(&matches))
}

fn start<A: ClapArgs, F: Future<Output = Result<(), Failure>>>(args: &[OsString], tool: fn(A) -> F) -> u8 {
    let parsed = match parse::<A>(args) {
        Ok(parsed) => parsed,
        Err(e) => {
            // Nobody may be reading. A wrong flag is 1, as with Kafka's tools.
            let _ = e.print();
            return u8::from(e.use_stderr());
        }
    };
    match crate::block_on(tool(parsed)) {
        Ok(()) => 0,
        Err(failure) if failure.is_closed_pipe() => 0,
        Err(Failure::Items(_)) => 1,
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}

/// A topic filter: a list of regular expressions, separated by commas, that match whole names.
fn topic_filter(text: &str) -> Result<Regex, Failure> {
    let alternatives = text.trim().trim_matches(['"', '\'']).replace(',', "|").replace(' ', "");
    Regex::new(&format!("^(?:{alternatives})$"))
        .map_err(|e| Failure::Failed(format!("{text} is an invalid regex: {e}")))
}

/// `KEY=VALUE`, or `KEY` alone for the empty value.
fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err(format!("{text:?} has no key")) } else { Ok((key.to_owned(), value.to_owned())) }
}

fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_their_names() {
        assert_eq!(tool_of(Path::new("/usr/bin/kafka-topics.sh")), Some("kafka-topics"));
        assert_eq!(tool_of(Path::new("kafka-configs")), Some("kafka-configs"));
        assert_eq!(tool_of(Path::new("/usr/bin/chronik")), None);
        assert_eq!(run(&["/x/chronik".into()]), None);
        assert_eq!(run(&["/x/kafka-acls.sh".into()]), Some(2));
    }

    #[test]
    fn filters_match_whole_names() {
        let filter = topic_filter("a.*,b").expect("a regex");
        assert!(filter.is_match("abc") && filter.is_match("b") && !filter.is_match("xa") && !filter.is_match("bb"));
        assert!(topic_filter("(").is_err());
    }
}
