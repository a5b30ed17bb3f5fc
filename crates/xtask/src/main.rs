//! Developer commands: `cargo xtask <command>`. Run without a command for the list.

mod clients;
mod compat;
mod docs;
mod fuzz;
mod kill;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  test [--only STEP]     install what the tests need and run them all; STEP is one of the steps it lists
  clients [ARGS...]      run the client tests alone: [BROKER] [--bootstrap HOST:PORT] [--only CLIENT] [--logs DIR]
  compat [ARGS...]       run clients' own tests, write docs/compatibility.md: [--bootstrap HOST:PORT --name NAME] [--only SUITE]
  tidy                   check crate edges, banned calls, file sizes, generated pages
  docs                   write the generated pages
  fuzz [SECONDS] [TARGET...]  fuzz every target, or those named, for SECONDS each (60)
  sim [SEEDS] [FIRST]    simulate SEEDS (1000) histories from seed FIRST (0) on
  bench [ARGS...]        measure against peers; see `cargo xtask bench --help`
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let result = match args.first().map(String::as_str) {
        Some("test") => test::steps(rest),
        Some("clients") => test::clients(rest),
        Some("compat") => compat::measure(rest),
        Some("tidy") => tidy::run(),
        Some("docs") => docs::write(),
        Some("fuzz") => fuzz::run(rest),
        Some("sim") => test::simulate(rest),
        Some("bench") => test::bench(rest),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}
