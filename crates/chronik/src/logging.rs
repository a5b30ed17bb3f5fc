//! The log: lines on standard error, with levels that can be changed while the process runs.
//!
//! A logger is a tracing target. Its name has dots where the target has `::`, which Kafka's tools take for no part of a name.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::sync::Mutex;

use chronik_broker::{LogLevel, Loggers, ROOT_LOGGER};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// The loggers that can be asked for: the modules that write to the log, their crates, and `chronik` for all of these, with
/// whose name those of the others begin.
const LOGGERS: &[&str] = &[
    "chronik",
    "chronik.start",
    "chronik_broker",
    "chronik_broker.api",
    "chronik_broker.broker",
    "chronik_broker.connection",
    "chronik_broker.data_dir",
    "chronik_broker.directories",
    "chronik_broker.groups",
    "chronik_broker.groups.consumer",
    "chronik_broker.groups.offsets",
    "chronik_broker.groups.store",
    "chronik_broker.handlers.admin.broker_loggers",
    "chronik_broker.handlers.admin.config_changes",
    "chronik_broker.handlers.admin.describe_log_dirs",
    "chronik_broker.handlers.data.delete_records",
    "chronik_broker.handlers.data.fetch",
    "chronik_broker.handlers.data.init_producer_id",
    "chronik_broker.handlers.data.list_offsets",
    "chronik_broker.http",
    "chronik_broker.initial_topics",
    "chronik_broker.listener",
    "chronik_broker.live_settings",
    "chronik_broker.partition",
    "chronik_broker.partitions",
    "chronik_broker.recovery",
    "chronik_broker.topics",
    "chronik_quorum",
    "chronik_quorum.controller_loop",
    "chronik_quorum.local.writer",
    "chronik_storage",
    "chronik_storage.shared",
];

/// The levels as they were set, and the filter that follows them.
pub struct Log {
    levels: Mutex<Levels>,
    filter: reload::Handle<Targets, Registry>,
}

/// Starts the log. `CHRONIK_LOG` takes levels by target, such as `debug` or `info,chronik_broker=trace`; nothing it can make
/// sense of is `info`.
pub fn start() -> Log {
    let directives = std::env::var("CHRONIK_LOG").ok().and_then(|text| text.parse().ok());
    let levels = Levels::of(&directives.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)));
    let (log, filter) = Log::new(levels);
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
    log
}

impl Loggers for Log {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        self.lock().in_force()
    }

    fn set(&self, changes: &[(String, Option<LogLevel>)]) {
        let mut levels = self.lock();
        levels.set(changes);
        // The subscriber is there as long as the process.
        let _ = self.filter.reload(levels.filter());
    }
}

impl Log {
    /// A log and the filter to put before its lines.
    fn new(levels: Levels) -> (Self, reload::Layer<Targets, Registry>) {
        let (layer, filter) = reload::Layer::new(levels.filter());
        (Log { levels: Mutex::new(levels), filter }, layer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The root's level, and those that loggers have of their own.
struct Levels {
    root: LevelFilter,
    /// By target.
    own: BTreeMap<String, LevelFilter>,
}

impl Levels {
    fn of(targets: &Targets) -> Self {
        let own = targets.iter().map(|(target, level)| (target.to_owned(), level)).collect();
        Levels { root: targets.default_level().unwrap_or(LevelFilter::OFF), own }
    }

    fn filter(&self) -> Targets {
        let own = self.own.iter().map(|(target, level)| (target.clone(), *level));
        Targets::new().with_default(self.root).with_targets(own)
    }

    fn set(&mut self, changes: &[(String, Option<LogLevel>)]) {
        for (name, level) in changes {
            match level.map(to_filter) {
                Some(level) if name == ROOT_LOGGER => self.root = level,
                Some(level) => drop(self.own.insert(target_of(name), level)),
                None => drop(self.own.remove(&target_of(name))),
            }
        }
    }

    /// By name of the logger. The filter itself is asked, so that what is told is what happens.
    fn in_force(&self) -> BTreeMap<String, LogLevel> {
        let filter = self.filter();
        let targets = LOGGERS.iter().map(|name| target_of(name)).chain(self.own.keys().cloned());
        let in_force = |target: String| {
            let level = highest(|level| filter.would_enable(&target, level));
            (target.replace("::", "."), level)
        };
        let mut levels: BTreeMap<String, LogLevel> = targets.map(in_force).collect();
        levels.insert(ROOT_LOGGER.to_owned(), highest(|level| *level <= self.root));
        levels
    }
}

fn target_of(name: &str) -> String {
    name.replace('.', "::")
}

fn highest(enabled: impl Fn(&Level) -> bool) -> LogLevel {
    const ALL: [(Level, LogLevel); 5] = [
        (Level::TRACE, LogLevel::Trace),
        (Level::DEBUG, LogLevel::Debug),
        (Level::INFO, LogLevel::Info),
        (Level::WARN, LogLevel::Warn),
        (Level::ERROR, LogLevel::Error),
    ];
    ALL.iter().find(|(level, _)| enabled(level)).map_or(LogLevel::Off, |(_, level)| *level)
}

fn to_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn levels(directives: &str) -> Levels {
        Levels::of(&directives.parse().expect("directives"))
    }

    #[test]
    fn a_logger_has_its_own_level_or_inherits() {
        let mut levels = levels("info,chronik_broker=debug,hyper=error");
        let level = |levels: &Levels, name: &str| levels.in_force()[name];
        assert_eq!(level(&levels, "root"), LogLevel::Info);
        assert_eq!(level(&levels, "chronik_quorum"), LogLevel::Info);
        assert_eq!(level(&levels, "chronik_broker"), LogLevel::Debug);
        assert_eq!(level(&levels, "chronik_broker.recovery"), LogLevel::Debug);
        assert_eq!(level(&levels, "hyper"), LogLevel::Error, "it is one as long as it has a level of its own");
        let set = |name: &str, level| (name.to_owned(), level);
        levels.set(&[set("chronik_broker.recovery", Some(LogLevel::Trace)), set("chronik_broker", None)]);
        levels.set(&[set("root", Some(LogLevel::Warn))]);
        assert_eq!(level(&levels, "chronik_broker"), LogLevel::Warn);
        assert_eq!(level(&levels, "chronik_broker.recovery"), LogLevel::Trace);
        levels.set(&[set("chronik", Some(LogLevel::Error))]);
        assert_eq!(level(&levels, "chronik_storage"), LogLevel::Error);
        assert_eq!(level(&levels, "root"), LogLevel::Warn);
    }

    #[test]
    fn what_is_not_named_is_off() {
        assert_eq!(levels("chronik_broker=debug").in_force()["root"], LogLevel::Off);
    }

    #[test]
    fn a_level_is_in_force_at_once() {
        let (log, filter) = Log::new(levels("info"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filter), || {
            // One place in the code, whose interest in the filter is kept from the first time on.
            let writes = || tracing::enabled!(target: "chronik_broker::recovery", Level::DEBUG);
            for (level, expected) in [(None, false), (Some(LogLevel::Debug), true), (Some(LogLevel::Warn), false)] {
                log.set(&[("chronik_broker".to_owned(), level)]);
                assert_eq!(writes(), expected, "{level:?}");
            }
            log.set(&[("chronik_broker".to_owned(), None), (ROOT_LOGGER.to_owned(), Some(LogLevel::Trace))]);
            assert!(writes());
        });
    }

    /// The table holds the modules that write to the log, and no others.
    #[test]
    fn every_logger_is_in_the_table() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of all crates");
        let mut found = BTreeSet::from(["chronik".to_owned()]);
        for name in ["chronik", "broker", "quorum", "storage"] {
            let target = if name == "chronik" { name.to_owned() } else { format!("chronik_{name}") };
            let src = crates.join(name).join("src");
            visit(&src, &mut |path, text| {
                if text.contains("use tracing::") || text.contains(" tracing::") {
                    let module = path.strip_prefix(&src).expect("below it").with_extension("");
                    let parts = module.iter().map(|part| part.to_string_lossy().into_owned());
                    let parts = parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str()));
                    found.insert(std::iter::once(target.clone()).chain(parts).collect::<Vec<_>>().join("."));
                    found.insert(target.clone());
                }
            });
        }
        found.remove("chronik.logging");
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), LOGGERS);
    }

    fn visit(dir: &Path, look: &mut impl FnMut(&Path, &str)) {
        for entry in fs::read_dir(dir).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => visit(&path, look),
                false => look(&path, &fs::read_to_string(&path).expect("a source file")),
            }
        }
    }
}
