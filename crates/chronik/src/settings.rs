//! The settings in force: file, environment and flags, in rising precedence. The only place that reads the environment.

use std::path::Path;

use chronik_config::{
    BrokerConfig, Entry, Layer, Origin, Place, Settings, Warning, from_env, parse_initial_topics, parse_properties,
};

use crate::args::Start;
use crate::exit::Failure;

pub struct Resolved {
    pub settings: Settings,
    pub config: BrokerConfig,
    pub warnings: Vec<Warning>,
}

/// Reads and checks everything. `data_dir` is where an ephemeral broker lives.
pub fn resolve(args: &Start, ephemeral_dir: Option<&Path>) -> Result<Resolved, Failure> {
    let mut layers = Vec::new();
    if let Some(dir) = ephemeral_dir {
        let entry = |key: &str, value: String| Entry::new(key, value, Place::Argument("--ephemeral".into()));
        layers.push(Layer::new(
            Origin::Default,
            vec![entry("flush.mode", "async".into()), entry("log.dirs", dir.display().to_string())],
        ));
    }
    if let Some(path) = &args.config {
        layers.push(file(path)?);
    }
    // Variables that are not text cannot be settings.
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let environment = from_env(variables);
    let initial_topics = environment.create_topics.as_deref().map(parse_initial_topics).transpose();
    let initial_topics = initial_topics.map_err(|e| Failure::Config(format!("KAFKA_CREATE_TOPICS: {e}")))?;
    layers.push(environment.layer);
    layers.push(flags(args, ephemeral_dir)?);
    let config = |e: chronik_config::ConfigError| Failure::Config(e.to_string());
    let (settings, warnings) = Settings::parse(&layers).map_err(config)?;
    let mut config = BrokerConfig::resolve(&settings).map_err(config)?;
    config.initial_topics = initial_topics.unwrap_or_default();
    config.cluster_id = environment.cluster_id;
    Ok(Resolved { settings, config, warnings })
}

fn file(path: &Path) -> Result<Layer, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| Failure::Config(format!("cannot read {name}: {e}")))?;
    let entries = parse_properties(&text).map_err(|e| Failure::Config(format!("{name}: {e}")))?;
    Ok(Layer::new(Origin::File(name), entries))
}

fn flags(args: &Start, ephemeral_dir: Option<&Path>) -> Result<Layer, Failure> {
    let mut entries = Vec::new();
    for pair in &args.set {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| Failure::Usage(format!("--set {pair}: expected KEY=VALUE")))?;
        entries.push(Entry::new(key.trim(), value, Place::Argument(format!("--set {key}"))));
    }
    let mut flag =
        |flag: &str, key: &str, value: String| entries.push(Entry::new(key, value, Place::Argument(flag.into())));
    if let Some(dir) = &args.data_dir {
        flag("--data-dir", "log.dirs", dir.clone());
    }
    if let Some(dir) = ephemeral_dir {
        flag("--ephemeral", "log.dirs", dir.display().to_string());
    }
    if let Some(address) = &args.listen {
        flag("--listen", "listeners", format!("PLAINTEXT://{address}"));
    }
    if let Some(address) = &args.http {
        flag("--http", "http.listener", address.clone());
    }
    if args.insecure {
        flag("--insecure", "allow.insecure.listeners", "true".into());
    }
    Ok(Layer::new(Origin::Flag, entries))
}
