//! The process's log, as far as its levels are changed by request (KIP-412). The binary owns it and hands it in.

use std::collections::BTreeMap;

/// The logger that every other one inherits from.
pub const ROOT_LOGGER: &str = "root";

/// What a logger writes: this and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// By the names Kafka takes. There is nothing worse than an error here: `FATAL` is one, too.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "TRACE" => LogLevel::Trace,
            "DEBUG" => LogLevel::Debug,
            "INFO" => LogLevel::Info,
            "WARN" => LogLevel::Warn,
            "ERROR" | "FATAL" => LogLevel::Error,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "OFF",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }
}

/// The loggers of the process. A logger without a level of its own has that of the longest name that its own begins with, and
/// at last that of [`ROOT_LOGGER`].
pub trait Loggers: Send + Sync {
    /// Every logger with the level in force, the root among them.
    fn levels(&self) -> BTreeMap<String, LogLevel>;

    /// Gives loggers levels of their own, or with `None` takes them away. In force when it returns, and until the process ends.
    fn set(&self, changes: &[(String, Option<LogLevel>)]);
}

/// A process whose log stays as it is: it has no loggers to ask for.
pub struct NoLoggers;

impl Loggers for NoLoggers {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        BTreeMap::new()
    }

    fn set(&self, _: &[(String, Option<LogLevel>)]) {}
}
