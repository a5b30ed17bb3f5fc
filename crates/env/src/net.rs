//! Sockets as byte streams, real or simulated.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connected stream. Vectored writes reach the kernel as one call where the platform has them.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An accepted connection that is not yet bound to a runtime: it becomes a stream on the runtime that will serve it.
pub trait Incoming: Send {
    fn peer(&self) -> SocketAddr;
    /// The local address the peer reached.
    fn local(&self) -> SocketAddr;
    /// Registers the connection with the runtime that calls this.
    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>>;
}

pub trait Listener: Send {
    fn local_addr(&self) -> io::Result<SocketAddr>;
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn Incoming>>>;
}

/// What the kernel is told about a listener and the connections it accepts. The default leaves all to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: Option<u32>,
    /// Bytes of the send buffer of each connection.
    pub send_buffer_bytes: Option<u32>,
    /// Bytes of the receive buffer of each connection.
    pub receive_buffer_bytes: Option<u32>,
}

pub trait Net: Send + Sync + 'static {
    fn bind(&self, addr: SocketAddr, options: ListenOptions) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;
    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
    /// The addresses of a host, best first, each with `port`. A network without a name service knows literal addresses only.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let ip: IpAddr = host.parse().map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
            Ok(vec![SocketAddr::new(ip, port)])
        })
    }
}
