//! `chronik ready`: whether a broker answers, at once or within a time.

use std::time::Duration;

use chronik_client::{Client, ClientError};
use clap::Args as ClapArgs;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::common::{Common, duration};
use crate::failure::Failure;
use crate::report::{Output, line, print_json};

/// Between questions.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    /// Keep asking for so long [default: ask once]
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s", hide_default_value = true)]
    wait: Duration,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let began = Instant::now();
    let deadline = began + args.wait;
    loop {
        let patience = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let failed = match tokio::time::timeout(patience, ask(&mut client)).await {
            Ok(Ok((cluster_id, brokers))) => {
                let after_ms = began.elapsed().as_millis() as u64;
                return match args.common.output {
                    Output::Json => print_json(
                        &json!({ "ready": true, "cluster_id": cluster_id, "brokers": brokers, "after_ms": after_ms }),
                    ),
                    Output::Table => line(&format!("ready: cluster {cluster_id}, {brokers} brokers")),
                };
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if Instant::now() + AGAIN_AFTER > deadline {
            return Err(Failure::Failed(format!("not ready after {} ms: {failed}", began.elapsed().as_millis())));
        }
        client.disconnect();
        sleep(AGAIN_AFTER).await;
    }
}

/// The cluster id and how many brokers there are.
async fn ask(client: &mut Client) -> Result<(String, usize), ClientError> {
    let metadata = client.metadata(Some(&[]), false).await?;
    match metadata.brokers.len() {
        0 => Err(ClientError::Unanswered("Metadata")),
        brokers => Ok((metadata.cluster_id.unwrap_or_default(), brokers)),
    }
}
