//! `chronik cluster`: brokers, the controller, what they speak.

use std::collections::BTreeSet;

use chronik_client::Client;
use chronik_protocol::api;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use crate::common::Common;
use crate::failure::Failure;
use crate::report::{Output, Report, line, print_json};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show brokers and the health of partitions; fails when a partition has no leader or too few copies
    Status,
    /// Show the features and API versions of the brokers
    Features(Features),
}

#[derive(Debug, ClapArgs)]
struct Features {
    /// With the versions of every API
    #[arg(long)]
    apis: bool,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    match args.command {
        Command::Status => status(&mut client, args.common.output).await,
        Command::Features(features) => run_features(&mut client, args.common.output, &features).await,
    }
}

async fn status(client: &mut Client, output: Output) -> Result<(), Failure> {
    let metadata = client.metadata(None, false).await?;
    let partitions = || metadata.found().flat_map(|topic| &topic.partitions);
    let leaderless = partitions().filter(|p| p.leader < 0).count();
    let under_replicated = partitions().filter(|p| p.isr.len() < p.replicas.len()).count();
    let cluster_id = metadata.cluster_id.clone().unwrap_or_default();
    let (topics, count) = (metadata.found().count(), partitions().count());
    let mut report = Report::new(&["broker", "host", "port", "rack", "controller", "leads", "replicas"]);
    for broker in &metadata.brokers {
        let leads = partitions().filter(|p| p.leader == broker.id).count();
        let replicas = partitions().filter(|p| p.replicas.contains(&broker.id)).count();
        let controller = broker.id == metadata.controller_id;
        let rack = broker.rack.as_ref().map_or(Value::Null, |rack| json!(rack));
        let address = &broker.address;
        report.row(vec![
            json!(broker.id),
            json!(address.host),
            json!(address.port),
            rack,
            json!(controller),
            json!(leads),
            json!(replicas),
        ]);
    }
    match output {
        Output::Json => print_json(&json!({
            "cluster_id": cluster_id, "controller": metadata.controller_id, "brokers": report.json(),
            "topics": topics, "partitions": count, "leaderless_partitions": leaderless,
            "under_replicated_partitions": under_replicated,
        }))?,
        Output::Table => {
            line(&format!(
                "cluster {cluster_id}  topics {topics}  partitions {count}  without leader {leaderless}  under-replicated {under_replicated}"
            ))?;
            report.print(output)?;
        }
    }
    if leaderless + under_replicated == 0 {
        return Ok(());
    }
    eprintln!(
        "chronik: {leaderless} partitions have no leader, {under_replicated} have fewer copies in sync than they should"
    );
    Err(Failure::Items(leaderless + under_replicated))
}

async fn run_features(client: &mut Client, output: Output, args: &Features) -> Result<(), Failure> {
    let metadata = client.metadata(Some(&[]), false).await?;
    let mut features = Report::new(&["broker", "feature", "supported", "finalized"]);
    let mut apis = Report::new(&["broker", "key", "api", "min", "max"]);
    for broker in &metadata.brokers {
        let versions = client.broker(broker.id).await?.versions().clone();
        let supported = versions.supported_features.iter().map(|f| f.name.to_string());
        let finalized = versions.finalized_features.iter().map(|f| f.name.to_string());
        for name in supported.chain(finalized).collect::<BTreeSet<_>>() {
            let range = versions.supported_features.iter().find(|f| f.name.as_str() == name);
            let range = range.map_or(Value::Null, |f| json!(format!("{}-{}", f.min_version, f.max_version)));
            let level = versions.finalized_features.iter().find(|f| f.name.as_str() == name);
            let level = level.map_or(Value::Null, |f| json!(f.max_version_level));
            features.row(vec![json!(broker.id), json!(name), range, level]);
        }
        for v in &versions.api_keys {
            let name = api::versions_of(v.api_key).map_or(Value::Null, |api| json!(api.name));
            apis.row(vec![json!(broker.id), json!(v.api_key), name, json!(v.min_version), json!(v.max_version)]);
        }
    }
    match output {
        Output::Json => print_json(&json!({ "features": features.json(), "apis": apis.json() })),
        Output::Table => {
            if features.is_empty() {
                line("no broker tells of features")?;
            }
            features.print(output)?;
            if args.apis { apis.print(output) } else { Ok(()) }
        }
    }
}
