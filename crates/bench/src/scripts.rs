//! A second opinion: a directory of benchmark scripts that are no part of this crate (`kbench.c`,
//! `produce.sh`), run against the same brokers with the same client library. Their output is printed as it comes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::broker::Seat;
use crate::client::Client;
use crate::process::run_tool;
use crate::subject::Broker;
use crate::tools::Tools;

/// One script against one broker ends by then.
const SCRIPT_LIMIT: Duration = Duration::from_secs(1800);

/// Compiles `kbench.c` of `scripts` and runs `produce.sh` against each broker in turn, `rounds` times each.
///
/// # Errors
/// The compiler, a broker or a script failed.
pub fn run(tools: &Tools, brokers: &[Broker], scripts: &Path, rounds: u32) -> Result<(), Box<dyn std::error::Error>> {
    let kbench = tools.root().join("kbench");
    tools.compile_with_library(&scripts.join("kbench.c"), &kbench)?;
    let client = Client::new(tools);
    for broker in brokers {
        let seat = Seat::new(tools, *broker, "scripts")?;
        let running = seat.launch_ready(tools, &client, "first")?;
        let mut produce = Command::new("bash");
        produce.arg(scripts.join("produce.sh")).args([running.boot(), running.id().to_string(), rounds.to_string()]);
        produce.env("RDKPERF", tools.rdkafka_performance()).env("KBENCH", &kbench);
        let run = run_tool(&mut produce, SCRIPT_LIMIT, &tools.root().join("scripts.log"))?;
        println!("## {broker}\n\n{}", run.output);
        run.succeeded()?;
        if !running.stop() {
            eprintln!("bench: {broker} did not end when asked to and was killed");
        }
    }
    Ok(())
}
