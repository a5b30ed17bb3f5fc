//! Request frames in, response frames out.
//!
//! A frame is a 4-byte length and that many bytes: a header (key, version, correlation id, client id, tagged fields from header
//! version 2 on) and a body. Nothing here allocates more than a small multiple of the bytes that arrived.

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::buf::SegmentedBuf;
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::api::{self, RequestBody};

/// A request's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// What a frame holds.
#[derive(Debug)]
pub enum Frame {
    Request(Box<(RequestHeader, RequestBody)>),
    /// An ApiVersions request of a version above ours: answered with version 0 and UNSUPPORTED_VERSION (KIP-511).
    NewerApiVersions {
        correlation_id: i32,
    },
}

/// Why a frame closes its connection. The text goes to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the request ends inside its header")]
    ShortHeader,
    #[error("unknown api key {0}")]
    UnknownApi(i16),
    #[error("{name} version {version} is not one of {min} to {max}")]
    UnsupportedVersion { name: &'static str, version: i16, min: i16, max: i16 },
    #[error("a {name} request of {size} bytes is larger than the {max} that it may have")]
    TooLarge { name: &'static str, size: usize, max: usize },
    #[error("the header's {0} is malformed")]
    MalformedHeader(&'static str),
    #[error("malformed {name} version {version}: {reason}")]
    MalformedBody { name: &'static str, version: i16, reason: String },
}

/// The most tagged fields a request header may carry, as Kafka's own decoder allows.
const MAX_HEADER_TAGS: u32 = 10_000;

/// Reads a request out of a frame (without its length). Bytes after the request are ignored, as Kafka does.
pub fn parse_request(mut frame: Bytes) -> Result<Frame, FrameError> {
    if frame.len() < 8 {
        return Err(FrameError::ShortHeader);
    }
    let api_key = frame.get_i16();
    let api_version = frame.get_i16();
    let correlation_id = frame.get_i32();
    let Some(row) = api::versions_of(api_key) else {
        return Err(FrameError::UnknownApi(api_key));
    };
    const API_VERSIONS: i16 = 18;
    if api_key == API_VERSIONS && api_version > row.max {
        return Ok(Frame::NewerApiVersions { correlation_id });
    }
    let unsupported =
        FrameError::UnsupportedVersion { name: row.name, version: api_version, min: row.min, max: row.max };
    if api_version < row.advertised_min || api_version > row.max {
        return Err(unsupported);
    }
    let (size, max) = (frame.len(), api::max_request_bytes(api_key));
    if size > max {
        return Err(FrameError::TooLarge { name: row.name, size, max });
    }
    let Some(header_version) = api::request_header_version(api_key, api_version) else {
        return Err(FrameError::UnknownApi(api_key));
    };
    let client_id = client_id(&mut frame)?;
    if header_version >= 2 {
        skip_tagged_fields(&mut frame)?;
    }
    if api_version < row.min {
        return Err(unsupported);
    }
    let header = RequestHeader { api_key, api_version, correlation_id, client_id };
    let body = RequestBody::decode(api_key, api_version, &mut frame).map_err(|reason| FrameError::MalformedBody {
        name: row.name,
        version: api_version,
        reason,
    })?;
    Ok(Frame::Request(Box::new((header, body))))
}

/// A non-compact nullable string, in header version 2 as well.
fn client_id(frame: &mut Bytes) -> Result<Option<StrBytes>, FrameError> {
    const WHAT: FrameError = FrameError::MalformedHeader("client id");
    if frame.len() < 2 {
        return Err(FrameError::ShortHeader);
    }
    match frame.get_i16() {
        -1 => Ok(None),
        len => {
            let len = usize::try_from(len).map_err(|_| WHAT)?;
            if frame.len() < len {
                return Err(WHAT);
            }
            StrBytes::from_utf8(frame.split_to(len)).map(Some).map_err(|_| WHAT)
        }
    }
}

fn skip_tagged_fields(frame: &mut Bytes) -> Result<(), FrameError> {
    let count = unsigned_varint(frame)?;
    if count > MAX_HEADER_TAGS {
        return Err(FrameError::MalformedHeader("tagged field count"));
    }
    for _ in 0..count {
        unsigned_varint(frame)?;
        let len = unsigned_varint(frame)? as usize;
        if frame.len() < len {
            return Err(FrameError::MalformedHeader("tagged field"));
        }
        frame.advance(len);
    }
    Ok(())
}

fn unsigned_varint(frame: &mut Bytes) -> Result<u32, FrameError> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        if frame.is_empty() {
            return Err(FrameError::ShortHeader);
        }
        let byte = frame.get_u8();
        if shift == 28 && byte > 0x0f {
            break;
        }
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(FrameError::MalformedHeader("varint"))
}

/// A response frame, length included, ready for vectored writes; large byte fields are shared, not copied.
pub type ResponseFrame = SegmentedBuf;

/// A response that cannot be expressed in the version asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode the response to api key {api_key} version {version}: {reason}")]
pub struct EncodeError {
    pub api_key: i16,
    pub version: i16,
    pub reason: String,
}

/// Encodes a response with its header and length.
pub fn encode_response<R: Encodable>(
    api_key: i16,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<ResponseFrame, EncodeError> {
    let error = |reason: String| EncodeError { api_key, version, reason };
    let header_version =
        api::response_header_version(api_key, version).ok_or_else(|| error("unknown api key".into()))?;
    let mut frame = ResponseFrame::new();
    frame.put_i32(0);
    let mut header = ResponseHeader::default();
    header.correlation_id = correlation_id;
    header.encode(&mut frame, header_version).map_err(|e| error(e.to_string()))?;
    response.encode(&mut frame, version).map_err(|e| error(e.to_string()))?;
    let len = frame.remaining() - 4;
    let len = i32::try_from(len).map_err(|_| error(format!("{len} bytes do not fit a frame")))?;
    frame.patch_i32(0, len).map_err(|e| error(e.to_string()))?;
    Ok(frame)
}
