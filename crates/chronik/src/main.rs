//! The `chronik` binary: arguments, composition, exit codes. Logic lives in the crates below.

mod args;
mod banner;
mod config_show;
mod exit;
mod logging;
mod port_owner;
mod settings;
mod start;

use std::process::ExitCode;

use clap::Parser;

use crate::args::ConfigCommand;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let given: Vec<_> = std::env::args_os().collect();
    if let Some(code) = chronik_cli::kafka::run(&given) {
        return ExitCode::from(code);
    }
    let args = args::Args::parse_from(given);
    let result = match args.command {
        Some(args::Command::Start(start)) => start::run(&start),
        Some(args::Command::Config(config)) => match config.command {
            ConfigCommand::Remote(command) => return ExitCode::from(chronik_cli::run_config(&config.common, command)),
            ConfigCommand::Show(show) => match config_show::report(&show) {
                Ok(report) => return ExitCode::from(chronik_cli::print(report, config.common.output)),
                Err(failure) => Err(failure),
            },
        },
        Some(args::Command::Tool(command)) => return ExitCode::from(chronik_cli::run(command)),
        None => start::run(&args.start),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("chronik: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
