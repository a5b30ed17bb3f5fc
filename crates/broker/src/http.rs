//! The HTTP listener: health checks and metrics.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use chronik_env::net::{self, Stream};
use tracing::warn;

use crate::broker::Broker;

/// What Prometheus scrapes: the OpenMetrics text format.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves HTTP until the broker stops.
pub(crate) fn serve(broker: &Arc<Broker>, listener: Box<dyn net::Listener>) {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(broker.clone());
    let mut stop = broker.stopping();
    broker.env().tasks.spawn_control(Box::pin(async move {
        tokio::select! {
            biased;
            () = stop.wait() => {}
            served = axum::serve(Sockets(listener), routes).into_future() => if let Err(e) = served {
                warn!("HTTP ended: {e}");
            },
        }
    }));
}

/// Alive as long as it answers.
async fn livez() -> &'static str {
    "ok\n"
}

/// Ready once recovered and serving, and as long as writes are accepted.
async fn readyz(State(broker): State<Arc<Broker>>) -> (StatusCode, &'static str) {
    if broker.has_failed() {
        (StatusCode::SERVICE_UNAVAILABLE, "the data directory has failed\n")
    } else if !broker.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "recovering\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn metrics(State(broker): State<Arc<Broker>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], broker.metrics().render(&broker))
}

/// The world's sockets as axum wants them.
struct Sockets(Box<dyn net::Listener>);

impl axum::serve::Listener for Sockets {
    type Io = Box<dyn Stream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok(incoming) => {
                    let peer = incoming.peer();
                    match incoming.into_stream() {
                        Ok(stream) => return (stream, peer),
                        Err(e) => warn!(%peer, "connection lost: {e}"),
                    }
                }
                Err(e) => {
                    warn!("cannot accept an HTTP connection: {e}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
