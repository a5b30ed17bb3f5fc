//! What a person sees when the broker is up: at most eight lines.

use std::net::SocketAddr;

use chronik_broker::Broker;
use chronik_config::{BrokerConfig, FlushMode};

pub fn print(broker: &Broker, config: &BrokerConfig, took_ms: u64) {
    let bootstrap = broker.addresses().first().copied().map(reachable).unwrap_or_default();
    let durability = match config.flush_mode {
        FlushMode::Sync => "synced before acknowledged",
        FlushMode::Async => "page cache (flush.mode=async)",
    };
    println!("Chronik {} is ready after {took_ms} ms", env!("CARGO_PKG_VERSION"));
    println!("  bootstrap.servers  {bootstrap}");
    if let Some(http) = &config.http_listener {
        println!("  health, metrics    http://{http}/readyz  http://{http}/metrics");
    }
    println!("  data               {}  ({durability})", config.data_dir.display());
    println!("  cluster            {}  node {}", broker.identity().cluster_id, config.node_id);
    println!("Try: echo hello | kcat -b {bootstrap} -t greetings -P && kcat -b {bootstrap} -t greetings -C -e");
}

/// An address a client on this machine can use.
fn reachable(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address.to_string()
}
