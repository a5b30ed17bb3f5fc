//! How the process ends: one line for the operator, and an exit code by sysexits' numbers.

use std::fmt;

/// Why the process ends other than by a clean stop.
#[derive(Debug)]
pub enum Failure {
    /// The command line cannot be understood: exit 2.
    Usage(String),
    /// The settings are wrong: exit 78.
    Config(String),
    /// The data directory is locked, damaged, full or of a newer format: exit 74.
    Storage(String),
    /// Anything else: exit 1.
    Fatal(String),
}

impl Failure {
    pub fn code(&self) -> u8 {
        match self {
            Failure::Fatal(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Storage(_) => 74,
            Failure::Config(_) => 78,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Config(text) | Failure::Storage(text) | Failure::Fatal(text) => {
                f.write_str(text)
            }
        }
    }
}
