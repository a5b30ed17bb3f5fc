//! TCP sockets of the operating system.

use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::net::{BoxFuture, Incoming, ListenOptions, Listener, Net, Stream};

/// Connections that may wait to be accepted where nothing else is said.
const BACKLOG: u32 = 1024;

/// TCP with `TCP_NODELAY` on every connection, accepted or made: frames are written whole, so waiting for more only
/// delays them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealNet;

impl Net for RealNet {
    /// Binds with `SO_REUSEADDR`, so that a restart need not wait for old connections to time out. Must be called on a
    /// runtime.
    fn bind(&self, addr: SocketAddr, options: ListenOptions) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            // Connections inherit both; the receive buffer bounds the window that is agreed on when they are made.
            if let Some(bytes) = options.send_buffer_bytes {
                socket.set_send_buffer_size(bytes as usize)?;
            }
            if let Some(bytes) = options.receive_buffer_bytes {
                socket.set_recv_buffer_size(bytes as usize)?;
            }
            socket.bind(&addr.into())?;
            socket.listen(i32::try_from(options.backlog.unwrap_or(BACKLOG)).unwrap_or(i32::MAX))?;
            socket.set_nonblocking(true)?;
            Ok(Box::new(RealListener(TcpListener::from_std(socket.into())?)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

struct RealListener(TcpListener);

impl Listener for RealListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The next connection. One that died before it could be set up is passed over. An error, such as too many open
    /// files, is about this call only: the listener goes on.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn Incoming>>> {
        Box::pin(async move {
            loop {
                match self.0.accept().await {
                    Ok((stream, peer)) => {
                        if let Ok(incoming) = RealIncoming::new(stream, peer) {
                            return Ok(Box::new(incoming) as Box<dyn Incoming>);
                        }
                    }
                    Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(e) => return Err(e),
                }
            }
        })
    }
}

struct RealIncoming {
    stream: StdStream,
    peer: SocketAddr,
    local: SocketAddr,
}

impl RealIncoming {
    fn new(stream: TcpStream, peer: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        // Leaves the runtime of the listener; the socket stays non-blocking.
        Ok(RealIncoming { stream: stream.into_std()?, peer, local })
    }
}

impl Incoming for RealIncoming {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TcpStream::from_std(self.stream)?))
    }
}
