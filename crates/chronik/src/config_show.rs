//! `chronik config show`: what a broker would start with, and which layer won.

use chronik_cli::Report;
use chronik_config::{Setting, table};
use serde_json::{Value, json};

use crate::args::Show;
use crate::exit::Failure;
use crate::settings;

/// A row for each key that was set; for all keys with `--all`. Warnings go to standard error.
///
/// # Errors
/// The settings are wrong, as they would be at a start.
pub fn report(args: &Show) -> Result<Report, Failure> {
    let settings::Resolved { settings, warnings, .. } = settings::resolve(&args.start, None)?;
    for warning in &warnings {
        eprintln!("chronik: warning: {warning}");
    }
    let mut report = match args.origin {
        true => Report::new(&["key", "value", "origin", "overrides"]),
        false => Report::new(&["key", "value"]),
    };
    let mut names: Vec<&str> = match args.all {
        true => table::broker_keys().filter(|key| key.public()).map(|key| key.name).collect(),
        false => settings.set_keys().map(|(name, _)| name).collect(),
    };
    names.sort_unstable();
    for name in names {
        let text = match settings.setting(name) {
            Some(setting) => json!(setting.text),
            None => settings.value(name).map_or(Value::Null, |value| json!(value.to_string())),
        };
        let mut row = vec![json!(name), text];
        if args.origin {
            let lower = |setting: &Setting| json!(format!("{} ({})", setting.text, setting.at));
            let overridden: Vec<Value> = settings.all(name).iter().rev().skip(1).map(lower).collect();
            row.push(json!(settings.set_at(name).to_string()));
            row.push(if overridden.is_empty() { Value::Null } else { Value::Array(overridden) });
        }
        report.row(row);
    }
    Ok(report)
}
