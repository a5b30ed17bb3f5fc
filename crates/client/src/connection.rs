//! One connection to a broker.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use chronik_env::net::{Net, Stream};
use chronik_protocol::request::{self, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The largest response taken, in bytes: a broker is trusted no more than a client.
const MAX_RESPONSE: usize = 256 * 1024 * 1024;

/// Why a call has no response. After any of these the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the request cannot be encoded: {0}")]
    Encode(String),
    #[error("the response cannot be decoded: {0}")]
    Decode(String),
    #[error("a response of {0} bytes")]
    Length(i32),
    #[error("the response answers request {found}, not {expected}")]
    Order { expected: i32, found: i32 },
    #[error("nothing was asked")]
    NothingAsked,
}

/// A connection. Requests are answered in their order.
pub struct Connection {
    stream: Box<dyn Stream>,
    client_id: String,
    next_correlation_id: i32,
    asked: VecDeque<i32>,
}

impl Connection {
    pub async fn connect(net: &dyn Net, address: SocketAddr, client_id: &str) -> io::Result<Self> {
        let stream = net.connect(address).await?;
        Ok(Connection { stream, client_id: client_id.to_owned(), next_correlation_id: 1, asked: VecDeque::new() })
    }

    /// Asks and waits for the answer.
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, CallError> {
        self.send(request, version).await?;
        self.receive::<R>(version).await
    }

    /// Sends a request whose answer is taken later with [`Connection::receive`].
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), CallError> {
        self.send_unanswered(request, version).await?;
        self.asked.push_back(self.next_correlation_id.wrapping_sub(1));
        Ok(())
    }

    /// Sends a request that is not answered: a produce with acks=0.
    pub async fn send_unanswered<R: Request>(&mut self, request: &R, version: i16) -> Result<(), CallError> {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1);
        let frame =
            request::encode(request, version, id, &self.client_id).map_err(|e| CallError::Encode(e.to_string()))?;
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The answer to the oldest request not yet answered, which was an `R` of this version.
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, CallError> {
        let expected = self.asked.pop_front().ok_or(CallError::NothingAsked)?;
        let frame = self.frame().await?;
        let (found, response) =
            request::decode_response::<R>(frame, version).map_err(|e| CallError::Decode(e.to_string()))?;
        if found == expected { Ok(response) } else { Err(CallError::Order { expected, found }) }
    }

    /// The next frame, without its length.
    async fn frame(&mut self) -> Result<Bytes, CallError> {
        let length = self.stream.read_i32().await?;
        let size = usize::try_from(length)
            .ok()
            .filter(|size| (4..=MAX_RESPONSE).contains(size))
            .ok_or(CallError::Length(length))?;
        let mut frame = BytesMut::new();
        // Grows with what arrives.
        while frame.len() < size {
            let rest = size - frame.len();
            frame.reserve(rest.min(1 << 20));
            let mut limited = (&mut self.stream).take(rest as u64);
            if limited.read_buf(&mut frame).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(frame.freeze())
    }
}
