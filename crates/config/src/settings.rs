//! All settings of a broker, checked one by one, with where each came from.

use std::collections::BTreeMap;

use crate::error::{ConfigError, DynamicConfigError, Warning};
use crate::key::{Dynamic, Key, Status};
use crate::layer::{Layer, Origin, Place, SetAt};
use crate::nearest::nearest;
use crate::table;
use crate::value::{HIDDEN, Value};

/// One value as set in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub value: Value,
    /// As it was written; of a password, that it is hidden.
    pub text: String,
    pub at: SetAt,
}

/// Every value that was set, over the table's defaults. Cheap to read, immutable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// By key; of each key in rising precedence, at most one per origin kind. Never empty lists.
    set: BTreeMap<String, Vec<Setting>>,
}

impl Settings {
    /// Nothing set: the defaults.
    pub fn defaults() -> Settings {
        Settings::default()
    }

    /// Reads layers of rising precedence.
    ///
    /// # Errors
    /// The first key that is unknown or whose value is not allowed. Contradictions between keys are found later, by
    /// [`crate::BrokerConfig::resolve`].
    pub fn parse(layers: &[Layer]) -> Result<(Settings, Vec<Warning>), ConfigError> {
        let mut settings = Settings::default();
        let mut warnings = Vec::new();
        for layer in layers {
            for entry in &layer.entries {
                let at = SetAt { origin: layer.origin.clone(), place: entry.place.clone() };
                let Some(key) = table::broker_key(&entry.key) else {
                    warnings.push(unknown(&entry.key, at)?);
                    continue;
                };
                let value = key.parse(&entry.value).map_err(|rejected| ConfigError::InvalidValue {
                    key: entry.key.clone(),
                    value: shown(key, &entry.value),
                    at: Box::new(at.clone()),
                    expected: rejected.0,
                })?;
                settings.put(&entry.key, Setting { value, text: shown(key, &entry.value), at });
            }
        }
        warnings.extend(settings.without_effect());
        Ok((settings, warnings))
    }

    /// These settings under the values changed while running (KIP-226): `cluster` for all brokers, `broker` for this
    /// one. A value that this table refuses (written by a newer broker) is left out.
    pub fn with_dynamic<'a>(
        &self,
        cluster: impl IntoIterator<Item = (&'a str, &'a str)>,
        broker: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Settings {
        let mut settings = self.clone();
        for (name, text) in cluster {
            settings.put_dynamic(name, text, Origin::ClusterDynamic);
        }
        for (name, text) in broker {
            settings.put_dynamic(name, text, Origin::BrokerDynamic);
        }
        settings
    }

    fn put_dynamic(&mut self, name: &str, text: &str, origin: Origin) {
        let Some(key) = table::broker_key(name).filter(|key| key.dynamic != Dynamic::ReadOnly) else { return };
        if let Ok(value) = key.parse(text) {
            let at = SetAt { origin, place: Place::Unknown };
            self.put(name, Setting { value, text: shown(key, text), at });
        }
    }

    fn put(&mut self, name: &str, setting: Setting) {
        let settings = self.set.entry(name.to_owned()).or_default();
        settings.retain(|earlier| earlier.at.origin != setting.at.origin);
        settings.push(setting);
    }

    fn without_effect(&self) -> Vec<Warning> {
        let warning = |(name, settings): (&String, &Vec<Setting>)| {
            let (key, last) = (table::broker_key(name)?, settings.last()?);
            let changes = key.default_value().as_ref() != Some(&last.value);
            let (name, at) = (name.clone(), Box::new(last.at.clone()));
            match key.status {
                Status::Retired => Some(Warning::Retired { key: name, at }),
                Status::Ignored if changes => Some(Warning::NotHonoured { key: name, at }),
                _ => None,
            }
        };
        self.set.iter().filter_map(warning).collect()
    }

    /// Everything set for a key, in rising precedence.
    pub fn all(&self, name: &str) -> &[Setting] {
        self.set.get(name).map_or(&[], Vec::as_slice)
    }

    /// The setting that counts, if the key was set at all.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.all(name).last()
    }

    /// Where the value that counts was set; the default otherwise.
    pub fn set_at(&self, name: &str) -> SetAt {
        let default = || SetAt { origin: Origin::Default, place: Place::Unknown };
        self.setting(name).map_or_else(default, |setting| setting.at.clone())
    }

    /// The value that counts: set, or the default; `None` for Kafka's `null`.
    pub fn value(&self, name: &str) -> Option<Value> {
        let default = || table::broker_key(name).and_then(Key::default_value);
        self.setting(name).map(|setting| setting.value.clone()).or_else(default)
    }

    /// Keys that were set, sorted, each with the setting that counts: for `config show --origin`.
    pub fn set_keys(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.set.iter().filter_map(|(name, settings)| Some((name.as_str(), settings.last()?)))
    }

    pub(crate) fn bool(&self, name: &'static str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(value)) => value,
            other => wrong(name, "a boolean", &other),
        }
    }

    /// Of an int, short or long key that has a default.
    pub(crate) fn long(&self, name: &'static str) -> i64 {
        match self.value(name) {
            Some(Value::Int(value)) => value.into(),
            Some(Value::Short(value)) => value.into(),
            Some(Value::Long(value)) => value,
            other => wrong(name, "an integer", &other),
        }
    }

    /// Of an int or short key that has a default.
    pub(crate) fn int(&self, name: &'static str) -> i32 {
        match self.value(name) {
            Some(Value::Int(value)) => value,
            Some(Value::Short(value)) => value.into(),
            other => wrong(name, "an int", &other),
        }
    }

    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        match self.value(name) {
            None => None,
            Some(Value::Text(value)) => Some(value),
            other => wrong(name, "text", &other),
        }
    }

    pub(crate) fn list(&self, name: &'static str) -> Option<Vec<String>> {
        match self.value(name) {
            None => None,
            Some(Value::List(value)) => Some(value),
            other => wrong(name, "a list", &other),
        }
    }
}

fn shown(key: &Key, text: &str) -> String {
    if key.sensitive() { HIDDEN.to_owned() } else { text.trim().to_owned() }
}

/// Reached only if this crate reads a key as another type than its row's; resolving the defaults in a test rules it out.
fn wrong(name: &str, wanted: &str, found: &Option<Value>) -> ! {
    panic!("the table's row of {name} should be {wanted}, found {found:?}")
}

/// Checks one change of a broker's setting while it runs; `value` is `None` where the key is reset to what lies below.
///
/// # Errors
/// As Kafka's AlterConfigs and IncrementalAlterConfigs for brokers (KIP-226, KIP-339).
pub fn validate_dynamic(key: &str, value: Option<&str>, for_all_brokers: bool) -> Result<(), DynamicConfigError> {
    let Some(row) = table::broker_key(key).filter(|row| row.public()) else {
        let names = table::broker_keys().filter(|key| key.public()).map(|key| key.name);
        return Err(DynamicConfigError::UnknownKey { key: key.to_owned(), nearest: nearest(key, names) });
    };
    match row.dynamic {
        Dynamic::ReadOnly => return Err(DynamicConfigError::ReadOnly { key: key.to_owned() }),
        Dynamic::PerBroker if for_all_brokers => {
            return Err(DynamicConfigError::PerBrokerOnly { key: key.to_owned() });
        }
        Dynamic::PerBroker | Dynamic::ClusterWide => {}
    }
    let Some(text) = value else { return Ok(()) };
    row.parse(text).map(drop).map_err(|rejected| DynamicConfigError::InvalidValue {
        key: key.to_owned(),
        value: shown(row, text),
        expected: rejected.0,
    })
}

/// An unknown key is an error, except in a `KAFKA_` variable that resembles no key: clients and launch scripts share
/// that prefix, and a broker should start beside `KAFKA_BOOTSTRAP_SERVERS`.
fn unknown(name: &str, at: SetAt) -> Result<Warning, ConfigError> {
    if let Some(topic_key) = table::topic_key(name) {
        let broker_key = topic_key.synonyms.first().copied();
        return Err(ConfigError::TopicKey { key: name.to_owned(), at: Box::new(at), broker_key });
    }
    let near = nearest(name, table::broker_keys().filter(|key| key.public()).map(|key| key.name));
    match &at.place {
        Place::Variable(variable) if lenient(variable) && !near.is_some_and(|near| misspelt(name, near)) => {
            Ok(Warning::UnknownVariable { name: variable.clone(), key: name.to_owned() })
        }
        _ => Err(ConfigError::UnknownKey { key: name.to_owned(), at: Box::new(at), nearest: near }),
    }
}

fn lenient(variable: &str) -> bool {
    variable.starts_with("KAFKA_") && !variable.starts_with("KAFKA_CFG_")
}

fn misspelt(name: &str, near: &str) -> bool {
    crate::nearest::distance(name, near) <= 2
}
