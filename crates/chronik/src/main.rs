//! The `chronik` binary: arguments, composition, exit codes. Logic lives in the crates below.

mod args;
mod banner;
mod exit;
mod port_owner;
mod settings;
mod start;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let result = match args.command {
        Some(args::Command::Start(start)) => start::run(&start),
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
