//! From the start of a broker's process to the first record that a client reads through a group, client by client.
//!
//! A client program has loaded its libraries and waits when the broker is launched; it goes on as soon as the broker takes
//! connections. It then makes a topic by producing one record, and reads that through a new group, with its own defaults.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::broker::{LaunchError, Running, Seat};
use crate::figures::summary;
use crate::process::{Tied, within};
use crate::subject::Broker;
use crate::tools::Tools;

/// A client program, or a broker's first answer, takes no longer.
const READY_LIMIT: Duration = Duration::from_secs(60);
const RECORD_LIMIT: Duration = Duration::from_secs(90);

/// `NAME=PROGRAM ARGUMENT...`, the words parted by spaces.
#[derive(Clone, Debug)]
pub struct ClientProgram {
    name: String,
    words: Vec<String>,
}

impl FromStr for ClientProgram {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, command) = text.split_once('=').ok_or("a client is NAME=PROGRAM ARGUMENT...")?;
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err(format!("client {name} has no program"));
        }
        Ok(ClientProgram { name: name.to_owned(), words })
    }
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("the client program: {0}")]
    Client(#[from] std::io::Error),
    #[error("the client was not ready within {READY_LIMIT:?}")]
    ClientNotReady,
    #[error("the broker took no connection within {READY_LIMIT:?}")]
    NotListening,
    #[error("no record within {RECORD_LIMIT:?}")]
    NoRecord,
    #[error("the client ended without a record")]
    ClientEnded,
}

/// Milliseconds since the launch of the broker.
struct Taken {
    listening: f64,
    record: f64,
}

/// Measures each client on each broker, brokers in turn within a round. The table as markdown.
pub fn run(tools: &Tools, brokers: &[Broker], clients: &[ClientProgram], rounds: u32) -> String {
    let mut listening = vec![Vec::new(); brokers.len()];
    let mut records = vec![vec![Vec::new(); brokers.len()]; clients.len()];
    let mut failures = Vec::new();
    for round in 0..rounds {
        for (c, client) in clients.iter().enumerate() {
            eprintln!("bench: round {round}, {}", client.name);
            for (b, broker) in brokers.iter().enumerate() {
                match measure(tools, *broker, client) {
                    Ok(taken) => {
                        listening[b].push(taken.listening);
                        records[c][b].push(taken.record);
                    }
                    Err(why) => failures.push(format!("- {broker}, {}: {why}", client.name)),
                }
            }
        }
    }
    let row = |name: &str, cells: &[Vec<f64>]| {
        let cells: Vec<String> = cells.iter().map(|values| cell(values)).collect();
        format!("| {name} | {} |\n", cells.join(" | "))
    };
    let names: Vec<String> = brokers.iter().map(ToString::to_string).collect();
    let mut text = format!("| ms | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(brokers.len()));
    text += &row("takes connections", &listening);
    for (client, cells) in clients.iter().zip(&records) {
        text += &row(&client.name, cells);
    }
    if !failures.is_empty() {
        text += &format!("\nWithout a figure:\n\n{}\n", failures.join("\n"));
    }
    text
}

fn cell(values: &[f64]) -> String {
    match summary(values) {
        Some(found) => format!("{:.0} ({:.0}..{:.0})", found.median, found.least, found.most),
        None => "none".to_owned(),
    }
}

fn measure(tools: &Tools, broker: Broker, client: &ClientProgram) -> Result<Taken, Failure> {
    let seat = Seat::new(tools, broker, "first-record")?;
    let mut child = start(client, &seat.boot())?;
    let lines = lines_of(&mut child);
    let input = child.stdin.take();
    // It ends with this value.
    let _client = Tied::new(child);
    wait_for("ready", &lines, READY_LIMIT, Failure::ClientNotReady)?;
    let running = seat.launch(tools)?;
    let taken = first_record(&seat, &running, input, &lines);
    running.kill();
    taken
}

fn first_record(
    seat: &Seat,
    running: &Running,
    input: Option<ChildStdin>,
    lines: &Receiver<(String, Instant)>,
) -> Result<Taken, Failure> {
    let since = |at: Instant| at.duration_since(running.launched()).as_secs_f64() * 1e3;
    if !within(READY_LIMIT, || TcpStream::connect(seat.boot()).is_ok()) {
        return Err(Failure::NotListening);
    }
    let listening = since(Instant::now());
    input.ok_or(Failure::ClientEnded)?.write_all(b"go\n")?;
    let at = wait_for("record", lines, RECORD_LIMIT, Failure::NoRecord)?;
    Ok(Taken { listening, record: since(at) })
}

fn start(client: &ClientProgram, boot: &str) -> std::io::Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(&client.words);
    command.args(["--bootstrap", boot, "--first-record", "first-record"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()
}

/// The lines of a child's standard output, each with the time it came.
fn lines_of(child: &mut Child) -> Receiver<(String, Instant)> {
    let (send, receive) = channel();
    if let Some(output) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send((line, Instant::now())).is_err() {
                    break;
                }
            }
        });
    }
    receive
}

fn wait_for(
    word: &str,
    lines: &Receiver<(String, Instant)>,
    limit: Duration,
    otherwise: Failure,
) -> Result<Instant, Failure> {
    let deadline = Instant::now() + limit;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((line, at)) if line == word => return Ok(at),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => return Err(otherwise),
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::ClientEnded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_a_name_and_a_command() {
        let client: ClientProgram = "java=java -cp a:b Main".parse().expect("well formed");
        assert_eq!((client.name.as_str(), client.words.len()), ("java", 4));
        assert!("java".parse::<ClientProgram>().is_err());
        assert!("java= ".parse::<ClientProgram>().is_err());
    }

    #[test]
    fn a_cell_has_the_median_and_the_range() {
        assert_eq!(cell(&[30.0, 10.0, 20.4]), "20 (10..30)");
        assert_eq!(cell(&[]), "none");
    }
}
