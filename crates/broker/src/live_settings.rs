//! The settings in force: those of the start, under those changed while running (KIP-226).

use std::sync::Arc;

use arc_swap::ArcSwap;
use chronik_config::{BrokerConfig, ConfigError, Settings};
use chronik_metadata::Image;
use chronik_metadata::image::Configs;
use tracing::warn;

pub(crate) struct LiveSettings {
    started: Settings,
    started_config: BrokerConfig,
    current: ArcSwap<Settings>,
    config: ArcSwap<BrokerConfig>,
}

impl LiveSettings {
    pub(crate) fn new(settings: Settings, config: BrokerConfig) -> Self {
        LiveSettings {
            current: ArcSwap::from_pointee(settings.clone()),
            config: ArcSwap::from_pointee(config.clone()),
            started: settings,
            started_config: config,
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.current.load_full()
    }

    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    /// Takes over what the metadata says of this broker.
    pub(crate) fn refresh(&self, image: &Image) {
        let (all, own) = (image.broker_configs(None), image.broker_configs(Some(self.started_config.node_id)));
        let (settings, config) = match self.with(all, own) {
            Ok(both) => both,
            // Checked before it was written down, but perhaps against other settings of the start.
            Err(_) => self.with_what_goes(all, own),
        };
        // Sockets are bound once.
        let (listeners, http_listener) =
            (self.started_config.listeners.clone(), self.started_config.http_listener.clone());
        self.config.store(Arc::new(BrokerConfig { listeners, http_listener, ..config }));
        self.current.store(Arc::new(settings));
    }

    fn with(&self, all: &Configs, own: &Configs) -> Result<(Settings, BrokerConfig), ConfigError> {
        let settings = self.started.with_dynamic(pairs(all), pairs(own));
        BrokerConfig::resolve(&settings).map(|config| (settings, config))
    }

    /// One after the other, without those that the settings before them rule out.
    fn with_what_goes(&self, all: &Configs, own: &Configs) -> (Settings, BrokerConfig) {
        let (mut taken_all, mut taken_own) = (Configs::new(), Configs::new());
        let mut last = (self.started.clone(), self.started_config.clone());
        for (is_own, (key, value)) in all.iter().map(|one| (false, one)).chain(own.iter().map(|one| (true, one))) {
            let taken = if is_own { &mut taken_own } else { &mut taken_all };
            taken.insert(key.clone(), value.clone());
            match self.with(&taken_all, &taken_own) {
                Ok(both) => last = both,
                Err(e) => {
                    warn!(key, value, "a setting that was changed while running is not taken over: {e}");
                    if is_own { &mut taken_own } else { &mut taken_all }.remove(key);
                }
            }
        }
        last
    }

    /// Checks what a change would make of the settings: `all` are those of all brokers, `own` those of this one.
    pub(crate) fn check(&self, all: &Configs, own: &Configs) -> Result<(), ConfigError> {
        self.with(all, own).map(drop)
    }

    /// The settings of the start under those of all brokers, without this one's own.
    pub(crate) fn of_all_brokers(&self, image: &Image) -> Settings {
        self.started.with_dynamic(pairs(image.broker_configs(None)), [])
    }
}

fn pairs(configs: &Configs) -> impl Iterator<Item = (&str, &str)> {
    configs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}
