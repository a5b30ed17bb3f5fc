//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// A Kafka-compatible streaming broker. Without a command it starts one.
#[derive(Debug, Parser)]
#[command(name = "chronik", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub start: Start,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a broker (the default).
    Start(Start),
    /// Settings: what a broker would start with here, and the configs of a running cluster
    Config(Config),
    #[command(flatten)]
    Tool(chronik_cli::Command),
}

#[derive(Debug, ClapArgs)]
pub struct Config {
    #[command(flatten)]
    pub common: chronik_cli::Common,
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show the settings a broker would start with, from file, environment and flags, without starting it
    Show(Show),
    #[command(flatten)]
    Remote(chronik_cli::config::Command),
}

#[derive(Debug, ClapArgs)]
pub struct Show {
    /// Tell where each value was set, and what it overrides
    #[arg(long)]
    pub origin: bool,
    /// With the settings at their default
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    pub start: Start,
}

#[derive(Debug, Default, ClapArgs)]
pub struct Start {
    /// A Kafka server.properties file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the data lives; created when missing [default: ./chronik-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Where Kafka clients connect [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where health checks and metrics are served [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// Set a key of server.properties; stronger than file and environment
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep everything in a temporary directory that is removed at the end
    #[arg(long, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Allow listeners that anybody on the network can reach, without authentication
    #[arg(long)]
    pub insecure: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_reference_page_has_every_command() {
        let page = include_str!("../../../docs/reference/command-line.md");
        for command in Args::command().get_subcommands().filter(|command| command.get_name() != "start") {
            let family = command.get_name();
            let names: Vec<String> = match command.has_subcommands() {
                true => command.get_subcommands().map(|c| format!("`{family} {}`", c.get_name())).collect(),
                false => vec![format!("`{family}`")],
            };
            for name in names {
                assert!(page.contains(&name), "docs/reference/command-line.md does not have {name}");
            }
        }
    }
}
