//! Listening sockets: bound at the start, accepting once the broker is ready, within the limits on connections.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use chronik_config::{BrokerConfig, HostPort};
use chronik_env::Env;
use chronik_env::block::BlockPool;
use chronik_env::net::{self, ListenOptions};
use parking_lot::Mutex;
use tracing::{debug, warn};

use crate::broker::{Broker, StartError};
use crate::connection::{self, Origin};

/// How long accepting rests after an error such as "too many open files".
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A bound socket that does not accept yet.
pub(crate) struct Bound {
    /// The index of the listener in the configuration.
    listener: usize,
    pub(crate) address: SocketAddr,
    socket: Box<dyn net::Listener>,
}

/// Binds every configured listener.
pub(crate) async fn bind_all(env: &Env, config: &BrokerConfig) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::with_capacity(config.listeners.len());
    for (index, listener) in config.listeners.iter().enumerate() {
        let options = ListenOptions {
            backlog: Some(config.socket_listen_backlog),
            send_buffer_bytes: config.socket_send_buffer_bytes,
            receive_buffer_bytes: config.socket_receive_buffer_bytes,
        };
        let (address, socket) = bind(env, "listeners", &listener.address, options).await?;
        bound.push(Bound { listener: index, address, socket });
    }
    Ok(bound)
}

/// Binds the HTTP listener, if there is to be one.
pub(crate) async fn bind_http(env: &Env, config: &BrokerConfig) -> Result<Option<Box<dyn net::Listener>>, StartError> {
    match &config.http_listener {
        Some(address) => Ok(Some(bind(env, "http.listener", address, ListenOptions::default()).await?.1)),
        None => Ok(None),
    }
}

async fn bind(
    env: &Env,
    key: &'static str,
    address: &HostPort,
    options: ListenOptions,
) -> Result<(SocketAddr, Box<dyn net::Listener>), StartError> {
    let error = |source| StartError::Bind { key, address: address.to_string(), source };
    let resolved = (address.host.as_str(), address.port).to_socket_addrs().map_err(error)?;
    let first = resolved.into_iter().next().ok_or_else(|| error(std::io::ErrorKind::AddrNotAvailable.into()))?;
    let socket = env.net.bind(first, options).await.map_err(error)?;
    Ok((socket.local_addr().map_err(error)?, socket))
}

/// Who is connected. Shared by all listeners of a broker.
#[derive(Default)]
pub(crate) struct Connections(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    total: usize,
    by_ip: HashMap<IpAddr, usize, foldhash::fast::FixedState>,
}

/// Counts one connection until dropped.
struct Guard {
    broker: Arc<Broker>,
    ip: IpAddr,
}

impl Connections {
    pub(crate) fn total(&self) -> usize {
        self.0.lock().total
    }

    /// Counts a connection, unless a limit is reached; the text names it.
    fn admit(&self, ip: IpAddr, config: &BrokerConfig) -> Result<(), String> {
        let mut counts = self.0.lock();
        if counts.total >= config.max_connections {
            return Err(format!("max.connections={} is reached", config.max_connections));
        }
        let of_ip = counts.by_ip.entry(ip).or_default();
        if *of_ip >= config.max_connections_per_ip {
            return Err(format!("max.connections.per.ip={} is reached", config.max_connections_per_ip));
        }
        *of_ip += 1;
        counts.total += 1;
        Ok(())
    }

    fn release(&self, ip: IpAddr) {
        let mut counts = self.0.lock();
        counts.total -= 1;
        if let Some(of_ip) = counts.by_ip.get_mut(&ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                counts.by_ip.remove(&ip);
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.broker.connections().release(self.ip);
    }
}

/// Accepts connections from now on and spreads them over the workers in turn.
pub(crate) fn accept(broker: &Arc<Broker>, mut bound: Bound) {
    let pools: Arc<Vec<BlockPool>> =
        Arc::new((0..broker.env().tasks.workers()).map(|_| BlockPool::default()).collect());
    let tasks = broker.env().tasks.clone();
    let broker = broker.clone();
    tasks.spawn_control(Box::pin(async move {
        let mut stop = broker.stopping();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.wait() => return,
                accepted = bound.socket.accept() => accepted,
            };
            match accepted {
                Ok(incoming) => admit(&broker, incoming, bound.listener, &pools),
                Err(e) => {
                    warn!(listener = %bound.address, "cannot accept a connection: {e}");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }));
}

/// How long a new connection from an address is to be kept waiting; 0 when it may come in.
fn throttle_ms(broker: &Broker, ip: IpAddr) -> i64 {
    let image = broker.image();
    if image.quotas().is_empty() {
        return 0;
    }
    broker.quotas().connect(image.quotas(), &ip.to_canonical().to_string(), broker.monotonic_ms() as i64)
}

fn admit(broker: &Arc<Broker>, incoming: Box<dyn net::Incoming>, listener: usize, pools: &Arc<Vec<BlockPool>>) {
    let peer = incoming.peer();
    if let Err(reason) = broker.connections().admit(peer.ip(), &broker.config()) {
        warn!(%peer, "connection refused: {reason}");
        return;
    }
    let guard = Guard { broker: broker.clone(), ip: peer.ip() };
    let throttle_ms = throttle_ms(broker, peer.ip());
    if throttle_ms > 0 {
        debug!(%peer, throttle_ms, "connection refused: connection_creation_rate is reached");
        // Held for a while and counted meanwhile, as Kafka does, so that a client that tries again at once gains nothing.
        broker.env().tasks.spawn_control(Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(throttle_ms as u64)).await;
            drop((incoming, guard));
        }));
        return;
    }
    let origin = Origin { peer, local: incoming.local(), listener, connection_id: broker.next_connection_id() };
    let worker = origin.connection_id as usize;
    let pool = pools[worker % pools.len()].clone();
    let shared = broker.clone();
    broker.env().tasks.spawn_on(
        worker,
        Box::pin(async move {
            let _guard = guard;
            match incoming.into_stream() {
                Ok(stream) => connection::serve(shared, stream, origin, pool).await,
                Err(e) => warn!(%peer, "connection lost: {e}"),
            }
        }),
    );
}
