//! `chronik doctor`: follows a client's way to each broker and says where it ends.
//!
//! The usual trouble is a broker that is reached by one address and advertises another, which clients then use.

use std::net::SocketAddr;

use chronik_client::{BrokerConnection, Client, HostPort};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use crate::common::Common;
use crate::failure::Failure;
use crate::report::{Output, Report};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let mut report = Report::new(&["step", "address", "resolves_to", "answers", "finding"]);
    let metadata = match client.metadata(Some(&[]), false).await {
        Ok(metadata) => metadata,
        Err(e) => return Err(Failure::Failed(format!("{e}. {}", hint_unreachable(&e.to_string())))),
    };
    let entry = client.any().await?.address().clone();
    examine(&client, &mut report, "bootstrap", &entry, None).await;
    for broker in &metadata.brokers {
        let step = format!("broker {} advertises", broker.id);
        examine(&client, &mut report, &step, &broker.address, Some(&entry)).await;
    }
    if args.common.output == Output::Table && metadata.brokers.is_empty() {
        return Err(Failure::Failed("the cluster names no broker".into()));
    }
    report.print(args.common.output)
}

fn hint_unreachable(reason: &str) -> &'static str {
    if reason.contains("refused") {
        "The machine answers but nothing listens on that port: is the broker running, and does it listen on this address?"
    } else if reason.contains("resolved") {
        "The name is unknown here: check its spelling, or use an address."
    } else {
        "Is there a firewall between, or does that port speak another protocol, such as TLS?"
    }
}

/// Resolves, connects and asks for the versions; a row of what was seen.
async fn examine(client: &Client, report: &mut Report, step: &str, address: &HostPort, came_by: Option<&HostPort>) {
    let found = client.net().resolve(&address.host, address.port).await;
    let name = vec![json!(step), json!(address.to_string())];
    let found = match found {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => return report.failed_because(name, "the name has no address"),
        Err(e) => {
            let reason = format!(
                "the name cannot be resolved here ({e}): clients on this machine fail; set advertised.listeners to a name or address they know"
            );
            return report.failed_because(name, &reason);
        }
    };
    let mut addresses: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
    addresses.dedup();
    let name = [name, vec![json!(addresses)]].concat();
    match BrokerConnection::open(client.net(), address, client.options()).await {
        Ok(connection) => {
            let answer = json!(format!("{} APIs", connection.versions().api_keys.len()));
            let finding = came_by.and_then(|entry| caution(&found, entry)).map_or(json!("fine"), Value::from);
            report.row([name, vec![answer, finding]].concat());
        }
        Err(e) => {
            let about = match came_by {
                Some(entry) => format!(
                    "{e}. Clients that start at {entry} are sent here and fail. {}",
                    hint_unreachable(&e.to_string())
                ),
                None => format!("{e}. {}", hint_unreachable(&e.to_string())),
            };
            report.failed_because(name, &about);
        }
    }
}

/// What works here and not elsewhere.
fn caution(found: &[SocketAddr], came_by: &HostPort) -> Option<String> {
    let local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
    let loopback = found.iter().all(|address| address.ip().is_loopback());
    match (loopback, local(&came_by.host)) {
        (true, false) => Some("a loopback address: works on this machine by accident, on no other".into()),
        (true, true) => Some("fine on this machine; other machines cannot use a loopback address".into()),
        _ => None,
    }
}
