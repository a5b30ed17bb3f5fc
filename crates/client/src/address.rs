//! Where a broker is, as clients are told.

use std::fmt;
use std::str::FromStr;

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

/// Why a text is not `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not HOST:PORT")]
pub struct InvalidHostPort(pub String);

impl FromStr for HostPort {
    type Err = InvalidHostPort;

    /// An IPv6 address stands in brackets: `[::1]:9092`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHostPort(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(invalid)?,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        if host.is_empty() { Err(invalid()) } else { Ok(HostPort { host: host.to_owned(), port }) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for good in ["localhost:9092", "10.0.0.1:1", "[::1]:9092", "a.b-c:65535"] {
            assert_eq!(good.parse::<HostPort>().map(|a| a.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "localhost", ":9092", "a:0", "a:65536", "::1:9092", "[::1:9092", "a:b"] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
