//! Listeners and the addresses they advertise.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::error::ListenerError;
use crate::layer::{Origin, SetAt};
use crate::settings::Settings;

/// Host and port. Displayed so that it can be dialed: an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// Reads `host:port`, `[ipv6]:port` or `:port`; no host means all interfaces, given as `0.0.0.0`.
    pub fn parse(text: &str) -> Option<HostPort> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => {
                bracketed.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?
            }
            None if host.contains(':') => return None,
            None => host,
        };
        if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/[]@".contains(c)) || host.len() > 253 {
            return None;
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Some(HostPort { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// Whether only this machine can reach it: `localhost` or an address in the loopback range.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// Whether it stands for all interfaces.
    pub fn is_unspecified(&self) -> bool {
        self.host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified())
    }
}

/// How clients speak to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum SecurityProtocol {
    Plaintext = 0,
    Ssl = 1,
    SaslPlaintext = 2,
    SaslSsl = 3,
}

impl SecurityProtocol {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    fn parse(text: &str) -> Option<SecurityProtocol> {
        use SecurityProtocol::*;
        [Plaintext, Ssl, SaslPlaintext, SaslSsl].into_iter().find(|p| p.name().eq_ignore_ascii_case(text))
    }
}

/// A socket that clients or other brokers connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Upper case, unique within the broker.
    pub name: String,
    /// Host name or address to bind; `0.0.0.0` for all interfaces. Port 0 lets the system choose.
    pub address: HostPort,
    pub security_protocol: SecurityProtocol,
    /// Whether it is named in `controller.listener.names`: not for clients.
    pub controller: bool,
    /// What `advertised.listeners` says of it. `None`: nothing, so a client is told the address that it dialed.
    pub advertised: Option<HostPort>,
}

/// Reads `listeners`, `advertised.listeners`, `listener.security.protocol.map` and `controller.listener.names`.
///
/// # Errors
/// As Kafka at start, and for a protocol that is not offered.
pub(crate) fn resolve(settings: &Settings) -> Result<Vec<Listener>, ListenerError> {
    let at = Box::new(settings.set_at("listeners"));
    let named = parse_list(settings, "listeners")?;
    let protocols = protocol_map(settings)?;
    let controllers: Vec<String> =
        settings.list("controller.listener.names").unwrap_or_default().iter().map(|n| n.to_ascii_uppercase()).collect();
    let mut advertised: BTreeMap<String, HostPort> = advertised(settings)?;
    let mut listeners = Vec::new();
    for (name, address) in named {
        let controller = controllers.contains(&name);
        let security_protocol = protocols.of(&name, controller).ok_or_else(|| {
            let at = at.clone();
            ListenerError::NoProtocol { name: name.clone(), at }
        })?;
        if security_protocol != SecurityProtocol::Plaintext {
            let protocol = security_protocol.name();
            return Err(ListenerError::UnsupportedProtocol { name, protocol, at });
        }
        let advertised = advertised.remove(&name);
        listeners.push(Listener { name, address, security_protocol, controller, advertised });
    }
    if let Some((name, _)) = advertised.pop_first() {
        return Err(ListenerError::AdvertisedUnknown { name, at: settings.set_at("advertised.listeners").into() });
    }
    if listeners.iter().all(|listener| listener.controller) {
        return Err(ListenerError::None { at });
    }
    Ok(listeners)
}

fn advertised(settings: &Settings) -> Result<BTreeMap<String, HostPort>, ListenerError> {
    let list = parse_list(settings, "advertised.listeners")?;
    match list.iter().find(|(_, address)| address.is_unspecified() || address.port == 0) {
        None => Ok(list.into_iter().collect()),
        Some((_, address)) => {
            let at = settings.set_at("advertised.listeners").into();
            Err(ListenerError::AdvertisedUnroutable { address: address.to_string(), at })
        }
    }
}

fn parse_list(settings: &Settings, key: &'static str) -> Result<Vec<(String, HostPort)>, ListenerError> {
    let at = || Box::new(settings.set_at(key));
    let mut list: Vec<(String, HostPort)> = Vec::new();
    for text in settings.list(key).unwrap_or_default() {
        let Some((name, address)) = parse_one(&text) else {
            return Err(ListenerError::Malformed { key, value: text, at: at() });
        };
        if list.iter().any(|(other, _)| *other == name) {
            return Err(ListenerError::NameTwice { key, name, at: at() });
        }
        // Behind a proxy several names may be advertised under one port, on different hosts; sockets may not clash.
        let clash = |other: &HostPort| {
            let one_is_wide = key == "listeners" && (other.is_unspecified() || address.is_unspecified());
            other.port == address.port && address.port != 0 && (other.host == address.host || one_is_wide)
        };
        if list.iter().any(|(_, other)| clash(other)) {
            return Err(ListenerError::PortTwice { key, port: address.port, at: at() });
        }
        list.push((name, address));
    }
    Ok(list)
}

fn parse_one(text: &str) -> Option<(String, HostPort)> {
    let (name, address) = text.split_once("://")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.is_empty() || !name.bytes().all(allowed) {
        return None;
    }
    Some((name.to_ascii_uppercase(), HostPort::parse(address)?))
}

struct ProtocolMap {
    by_name: BTreeMap<String, SecurityProtocol>,
    given: bool,
}

impl ProtocolMap {
    /// A controller's listener is PLAINTEXT where no map was given, as in Kafka.
    fn of(&self, name: &str, controller: bool) -> Option<SecurityProtocol> {
        let assumed = (controller && !self.given).then_some(SecurityProtocol::Plaintext);
        self.by_name.get(name).copied().or(assumed)
    }
}

fn protocol_map(settings: &Settings) -> Result<ProtocolMap, ListenerError> {
    const KEY: &str = "listener.security.protocol.map";
    let text = settings.text(KEY).unwrap_or_default();
    let pair = |pair: &str| {
        let (name, protocol) = pair.trim().rsplit_once(':')?;
        Some((name.trim().to_ascii_uppercase(), SecurityProtocol::parse(protocol.trim())?))
    };
    let pairs = text.split(',').filter(|part| !part.trim().is_empty()).map(pair);
    let at = Box::new(settings.set_at(KEY));
    let given = at.origin != Origin::Default;
    match pairs.collect::<Option<BTreeMap<_, _>>>() {
        Some(by_name) => Ok(ProtocolMap { by_name, given }),
        None => Err(ListenerError::MalformedMap { value: text, at }),
    }
}

/// Refuses an address that would serve anyone on the network without authentication.
pub(crate) fn refuse_exposed(
    key: &'static str,
    address: &HostPort,
    at: impl FnOnce() -> SetAt,
) -> Result<(), ListenerError> {
    if address.is_loopback() {
        return Ok(());
    }
    Err(ListenerError::Exposed { key, address: address.to_string(), at: Box::new(at()) })
}
