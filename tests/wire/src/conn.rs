//! One TCP connection to a broker: frames out, frames in, each wait bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::api::flexible_from;
use crate::dec::DecError;
use crate::enc::Enc;

/// How long an answer may take before a test calls it missing.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The largest answer a test will hold, bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// Why no frame came back.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the broker closed the connection")]
    Closed,
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("refused with error code {0}")]
    Refused(i16),
    #[error("an answer of {0} bytes")]
    Length(i32),
    #[error(transparent)]
    Malformed(#[from] DecError),
    #[error(transparent)]
    Io(std::io::Error),
}

/// A whole frame: length, then payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    Enc::new(false).i32(payload.len() as i32).raw(payload).done()
}

/// A request header of the version that `api` and `version` call for (1, or 2 from the first flexible version).
pub fn header(api: i16, version: i16, correlation: i32) -> Enc {
    let flexible = version >= flexible_from(api);
    let h = Enc::new(false).i16(api).i16(version).i32(correlation).str("wire-tests");
    if flexible { h.uvarint(0) } else { h }
}

/// A framed request.
pub fn request(api: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    frame(&header(api, version, correlation).raw(body).done())
}

/// A blocking connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    next_correlation: i32,
    /// How long [`Conn::recv`] waits.
    pub patience: Duration,
}

impl Conn {
    /// Connects, waiting at most [`PATIENCE`].
    pub fn open(to: SocketAddr) -> Result<Conn, WireError> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).map_err(WireError::Io)?;
        stream.set_nodelay(true).map_err(WireError::Io)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(WireError::Io)?;
        Ok(Conn { stream, next_correlation: 1, patience: PATIENCE })
    }

    /// This end's address, as the broker names the peer.
    pub fn local(&self) -> Result<SocketAddr, WireError> {
        self.stream.local_addr().map_err(WireError::Io)
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.stream.write_all(bytes).map_err(from_io(self.patience))
    }

    /// The payload of the next frame.
    pub fn recv(&mut self) -> Result<Vec<u8>, WireError> {
        let deadline = Instant::now() + self.patience;
        let mut length = [0; 4];
        self.fill(&mut length, deadline)?;
        let length = i32::from_be_bytes(length);
        let size = usize::try_from(length).ok().filter(|n| *n <= LARGEST_ANSWER).ok_or(WireError::Length(length))?;
        let mut payload = vec![0; size];
        self.fill(&mut payload, deadline)?;
        Ok(payload)
    }

    fn fill(&mut self, buf: &mut [u8], deadline: Instant) -> Result<(), WireError> {
        let mut got = 0;
        while got < buf.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WireError::TimedOut(self.patience));
            }
            self.stream.set_read_timeout(Some(left)).map_err(WireError::Io)?;
            match self.stream.read(&mut buf[got..]) {
                Ok(0) => return Err(WireError::Closed),
                Ok(n) => got += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(from_io(self.patience)(e)),
            }
        }
        Ok(())
    }

    /// Sends a request without waiting; returns its correlation id.
    pub fn post(&mut self, api: i16, version: i16, body: &[u8]) -> Result<i32, WireError> {
        let correlation = self.next_correlation;
        self.next_correlation += 1;
        self.send(&request(api, version, correlation, body))?;
        Ok(correlation)
    }

    /// The answer to `correlation`, which must be the next frame: the body behind the response header.
    pub fn answer(&mut self, api: i16, version: i16, correlation: i32) -> Result<Vec<u8>, WireError> {
        let payload = self.recv()?;
        Ok(body_of(&payload, api, version, correlation)?.to_vec())
    }

    /// One request, one answer.
    pub fn call(&mut self, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>, WireError> {
        let correlation = self.post(api, version, body)?;
        self.answer(api, version, correlation)
    }
}

/// Splits the response header off a payload and checks its correlation id.
pub fn body_of(payload: &[u8], api: i16, version: i16, correlation: i32) -> Result<&[u8], DecError> {
    // ApiVersions answers carry header 0 whatever the version, so that any client can read them (KIP-511).
    let tagged = api != crate::api::API_VERSIONS && version >= flexible_from(api);
    let mut dec = crate::dec::Dec::new(payload, tagged);
    let got = dec.i32()?;
    if got != correlation {
        return Err(DecError::Correlation { got, wanted: correlation });
    }
    dec.end()?;
    let left = dec.left();
    Ok(&payload[payload.len() - left..])
}

fn from_io(patience: Duration) -> impl Fn(std::io::Error) -> WireError {
    move |e| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => WireError::TimedOut(patience),
        ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::UnexpectedEof => WireError::Closed,
        _ => WireError::Io(e),
    }
}
