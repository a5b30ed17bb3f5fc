//! `chronik quota list|set|unset`: what clients may use.

use chronik_client::QuotaEntity;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use crate::common::{Common, key_value};
use crate::failure::Failure;
use crate::report::Report;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show quotas, of all or of those named
    List(List),
    /// Set quotas
    Set(Set),
    /// Take quotas away
    Unset(Unset),
}

/// Who the quotas are for. A user and a client id together are one entity.
#[derive(Debug, ClapArgs)]
struct Of {
    #[arg(long)]
    user: Option<String>,
    /// Every user without quotas of its own
    #[arg(long, conflicts_with = "user")]
    default_user: bool,
    #[arg(long)]
    client_id: Option<String>,
    /// Every client id without quotas of its own
    #[arg(long, conflicts_with = "client_id")]
    default_client_id: bool,
    /// An address, for connection_creation_rate
    #[arg(long)]
    ip: Option<String>,
    /// Every address without a quota of its own
    #[arg(long, conflicts_with = "ip")]
    default_ip: bool,
}

impl Of {
    fn entity(&self) -> QuotaEntity {
        let parts = [
            ("user", &self.user, self.default_user),
            ("client-id", &self.client_id, self.default_client_id),
            ("ip", &self.ip, self.default_ip),
        ];
        let given = parts.into_iter().filter(|(_, name, default)| name.is_some() || *default);
        given.map(|(kind, name, _)| (kind.to_owned(), name.clone())).collect()
    }

    fn one(&self) -> Result<QuotaEntity, Failure> {
        let entity = self.entity();
        if entity.is_empty() {
            return Err(Failure::Usage("name whom: --user, --client-id, --ip, or a default of these".into()));
        }
        Ok(entity)
    }
}

#[derive(Debug, ClapArgs)]
struct List {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, ClapArgs)]
struct Set {
    #[command(flatten)]
    of: Of,
    /// producer_byte_rate, consumer_byte_rate, request_percentage, controller_mutation_rate or connection_creation_rate
    #[arg(required = true, value_name = "QUOTA=NUMBER", value_parser = quota)]
    quotas: Vec<(String, f64)>,
    /// Only check whether it could be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, ClapArgs)]
struct Unset {
    #[command(flatten)]
    of: Of,
    #[arg(required = true, value_name = "QUOTA")]
    quotas: Vec<String>,
    /// Only check whether it could be done
    #[arg(long)]
    dry_run: bool,
}

fn quota(text: &str) -> Result<(String, f64), String> {
    let (key, value) = key_value(text)?;
    let value = value.parse().map_err(|_| format!("'{value}' is not a number"))?;
    Ok((key, value))
}

pub async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::List(list) => run_list(&args.common, &list).await,
        Command::Set(set) => {
            let changes = set.quotas.into_iter().map(|(key, value)| (key, Some(value))).collect();
            run_alter(&args.common, &set.of.one()?, changes, set.dry_run).await
        }
        Command::Unset(unset) => {
            let changes = unset.quotas.into_iter().map(|key| (key, None)).collect();
            run_alter(&args.common, &unset.of.one()?, changes, unset.dry_run).await
        }
    }
}

async fn run_list(common: &Common, list: &List) -> Result<(), Failure> {
    let mut found = common.client()?.describe_quotas(&list.of.entity()).await?;
    found.sort_by(|a, b| a.entity.cmp(&b.entity));
    let mut report = Report::new(&["user", "client_id", "ip", "quota", "value"]);
    for one in found {
        let part = |kind: &str| match one.entity.get(kind) {
            None => Value::Null,
            Some(None) => json!("<default>"),
            Some(Some(name)) => json!(name),
        };
        for (key, value) in &one.quotas {
            report.row(vec![part("user"), part("client-id"), part("ip"), json!(key), json!(value)]);
        }
    }
    report.print(common.output)
}

async fn run_alter(
    common: &Common,
    entity: &QuotaEntity,
    changes: Vec<(String, Option<f64>)>,
    dry_run: bool,
) -> Result<(), Failure> {
    common.client()?.alter_quotas(entity, &changes, dry_run).await?;
    let mut report = Report::new(&["quota", "value"]);
    for (key, value) in changes {
        report.row(vec![json!(key), value.map_or(Value::Null, |value| json!(value))]);
    }
    report.print(common.output)
}
