//! What a person sees when the broker is up: at most eight lines.

use std::io::{self, Write};
use std::net::SocketAddr;

use chronik_broker::Broker;
use chronik_config::{BrokerConfig, FlushMode};

/// Prints it; nobody may be reading.
pub fn print(broker: &Broker, config: &BrokerConfig, took_ms: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let bootstrap = broker.addresses().first().copied().map(reachable).unwrap_or_default();
    let durability = match config.flush_mode {
        FlushMode::Sync => "synced before acknowledged",
        FlushMode::Async => "page cache (flush.mode=async)",
    };
    writeln!(out, "Chronik {} is ready after {took_ms} ms", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  bootstrap.servers  {bootstrap}")?;
    if let Some(http) = &config.http_listener {
        writeln!(out, "  health, metrics    http://{http}/readyz  http://{http}/metrics")?;
    }
    writeln!(out, "  data               {}  ({durability})", config.data_dir.display())?;
    writeln!(out, "  cluster            {}  node {}", broker.identity().cluster_id, config.node_id)?;
    writeln!(out, "Try: echo hello | kcat -b {bootstrap} -t greetings -P && kcat -b {bootstrap} -t greetings -C -e")?;
    out.flush()
}

/// An address a client on this machine can use.
fn reachable(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address.to_string()
}
