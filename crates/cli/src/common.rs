//! The flags every command takes, and the client they lead to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chronik_client::{Client, ClientOptions, HostPort};
use chronik_config::{Entry, parse_properties};
use chronik_env::fs::{Disk, OpenMode, read_exact_at};
use chronik_env::real::{RealDisk, RealNet};
use clap::Args;

use crate::failure::Failure;
use crate::report::Output;

const DEFAULT_BOOTSTRAP: &str = "127.0.0.1:9092";
/// A file of settings is not larger than this, in bytes.
const MAX_SETTINGS_FILE: u64 = 1 << 20;

#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Brokers to begin with [default: 127.0.0.1:9092]
    #[arg(short, long, global = true, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub bootstrap: Vec<HostPort>,
    /// A properties file with a client's settings
    #[arg(long, global = true, value_name = "FILE")]
    pub command_config: Option<PathBuf>,
    /// How results are told
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

impl Common {
    /// A client that has not connected yet.
    pub fn client(&self) -> Result<Client, Failure> {
        let settings = match &self.command_config {
            Some(path) => settings_from(path)?,
            None => ClientSettings::default(),
        };
        let bootstrap = match (self.bootstrap.is_empty(), settings.bootstrap.is_empty()) {
            (false, _) => self.bootstrap.clone(),
            (true, false) => settings.bootstrap,
            (true, true) => DEFAULT_BOOTSTRAP.parse().into_iter().collect(),
        };
        Ok(Client::new(Arc::new(RealNet), bootstrap, settings.options))
    }
}

/// What a file of client settings comes to.
#[derive(Debug, Default)]
struct ClientSettings {
    bootstrap: Vec<HostPort>,
    options: ClientOptions,
}

fn settings_from(path: &Path) -> Result<ClientSettings, Failure> {
    let name = path.display().to_string();
    let text = read_text(path)?;
    let entries = parse_properties(&text).map_err(|e| Failure::Usage(format!("{name}: {e}")))?;
    let mut settings = ClientSettings::default();
    for entry in &entries {
        apply(&mut settings, entry).map_err(|e| Failure::Usage(format!("{name}: {}: {e}", entry.key)))?;
    }
    Ok(settings)
}

/// A small text file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let read = || -> std::io::Result<String> {
        let file = RealDisk.open(path, OpenMode::Read)?;
        let len = file.len()?;
        if len > MAX_SETTINGS_FILE {
            return Err(std::io::Error::other(format!("{len} bytes are more than a file of settings has")));
        }
        let mut bytes = vec![0; len as usize];
        read_exact_at(&*file, &mut bytes, 0)?;
        String::from_utf8(bytes).map_err(std::io::Error::other)
    };
    read().map_err(|e| Failure::Usage(format!("cannot read {}: {e}", path.display())))
}

/// A setting that cannot be honoured is refused: a client that silently does without TLS would be worse than none.
fn apply(settings: &mut ClientSettings, entry: &Entry) -> Result<(), String> {
    let value = entry.value.trim();
    let options = &mut settings.options;
    match entry.key.as_str() {
        "bootstrap.servers" => {
            let addresses = value.split(',').map(|address| address.parse().map_err(|e| format!("{e}")));
            settings.bootstrap = addresses.collect::<Result<_, String>>()?;
        }
        "client.id" => options.client_id = value.to_owned(),
        "request.timeout.ms" | "default.api.timeout.ms" => options.request_timeout = milliseconds(value)?,
        "socket.connection.setup.timeout.ms" => options.connect_timeout = milliseconds(value)?,
        "security.protocol" if value == "PLAINTEXT" => {}
        "security.protocol" => return Err(format!("{value} is not supported; only PLAINTEXT is")),
        key if key.starts_with("ssl.") => return Err("TLS is not supported".into()),
        key if key.starts_with("sasl.") => return Err("SASL is not supported".into()),
        _ => {
            let honoured = "bootstrap.servers, client.id, request.timeout.ms, default.api.timeout.ms, \
                            socket.connection.setup.timeout.ms, security.protocol=PLAINTEXT";
            return Err(format!("this setting is not honoured here; those that are: {honoured}"));
        }
    }
    Ok(())
}

fn milliseconds(value: &str) -> Result<Duration, String> {
    let ms: u32 = value.parse().map_err(|_| format!("{value:?} is not a number of milliseconds"))?;
    Ok(Duration::from_millis(ms.into()))
}

/// `KEY=VALUE`, for clap.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    match key.trim() {
        "" => Err(format!("{text:?} has no key")),
        key => Ok((key.to_owned(), value.to_owned())),
    }
}

/// A duration such as `10s`, `500ms`, `2m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let invalid = || format!("{text:?} is not a duration such as 500ms, 10s or 2m");
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    let ms = match &text[digits.len()..] {
        "ms" => number,
        "" | "s" => number.saturating_mul(1_000),
        "m" => number.saturating_mul(60_000),
        "h" => number.saturating_mul(3_600_000),
        _ => return Err(invalid()),
    };
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_config::Place;

    fn applied(key: &str, value: &str) -> Result<ClientSettings, String> {
        let mut settings = ClientSettings::default();
        apply(&mut settings, &Entry::new(key, value, Place::Unknown)).map(|()| settings)
    }

    #[test]
    fn settings_are_honoured_or_refused() {
        let settings = applied("bootstrap.servers", "a:1, b:2").expect("two addresses");
        assert_eq!(settings.bootstrap.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert!(applied("security.protocol", "PLAINTEXT").is_ok());
        for (key, value, why) in [
            ("security.protocol", "SASL_SSL", "only PLAINTEXT"),
            ("ssl.truststore.location", "x", "TLS"),
            ("sasl.mechanism", "PLAIN", "SASL"),
            ("acks", "all", "not honoured"),
            ("request.timeout.ms", "-1", "milliseconds"),
        ] {
            let refused = applied(key, value).expect_err(key);
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("3", 3_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        for bad in ["", "s", "1d", "-1s", "1.5s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
