//! The HTTP listener: health checks and metrics.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chronik_env::net::{self, Stream};
use chronik_env::task;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tracing::warn;

use crate::broker::Broker;
use crate::metrics::Format;

/// Connections served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(60);

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
            served = axum::serve(Sockets { listener, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }, routes).into_future() => if let Err(e) = served {
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

async fn metrics(State(broker): State<Arc<Broker>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let work = {
        let broker = broker.clone();
        move || broker.metrics().render(&broker, format)
    };
    match task::blocking(&*broker.env().tasks, work).await {
        Some(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The world's sockets as axum wants them.
struct Sockets {
    listener: Box<dyn net::Listener>,
    room: Arc<Semaphore>,
}

/// A connection that makes room for another one when it ends, and ends when its peer says nothing for too long.
struct Socket {
    stream: Box<dyn Stream>,
    idle: Pin<Box<Sleep>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut *self.stream).poll_read(cx, buf) {
            Poll::Pending => self.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            read => {
                self.idle.as_mut().reset(Instant::now() + IDLE);
                read
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

impl axum::serve::Listener for Sockets {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed.
        let mut room = self.room.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok(incoming) => {
                    let peer = incoming.peer();
                    match incoming.into_stream() {
                        Ok(stream) => {
                            let idle = Box::pin(tokio::time::sleep(IDLE));
                            return (Socket { stream, idle, _room: room.take() }, peer);
                        }
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
        self.listener.local_addr()
    }
}
