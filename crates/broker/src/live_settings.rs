//! The settings in force: those of the start, under those changed while running (KIP-226).

use std::sync::Arc;

use arc_swap::ArcSwap;
use chronik_config::{BrokerConfig, Settings};
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
        let own = image.broker_configs(Some(self.started_config.node_id));
        let settings = self.started.with_dynamic(pairs(image.broker_configs(None)), pairs(own));
        match BrokerConfig::resolve(&settings) {
            Ok(config) => {
                // Sockets are bound once.
                let (listeners, http_listener) =
                    (self.started_config.listeners.clone(), self.started_config.http_listener.clone());
                self.config.store(Arc::new(BrokerConfig { listeners, http_listener, ..config }));
                self.current.store(Arc::new(settings));
            }
            Err(e) => warn!("what was changed while running is not taken over: {e}"),
        }
    }
}

fn pairs(configs: &Configs) -> impl Iterator<Item = (&str, &str)> {
    configs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}
