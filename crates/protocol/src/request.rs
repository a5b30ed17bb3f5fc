//! The client's side of the wire: requests out, responses in.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

pub use kafka_protocol::protocol::{Message, Request};

/// A message that does not fit the version, or bytes that do not fit the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(String);

/// A request as a frame, length included.
pub fn encode<R: Request>(request: &R, version: i16, correlation_id: i32, client_id: &str) -> Result<Bytes, WireError> {
    let error = |e: kafka_protocol::ProtoError| WireError(e.to_string());
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_string(client_id.to_owned())));
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header.encode(&mut frame, R::header_version(version)).map_err(error)?;
    request.encode(&mut frame, version).map_err(error)?;
    let length =
        i32::try_from(frame.len() - 4).map_err(|_| WireError(format!("a request of {} bytes", frame.len())))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// A response frame, without its length: the correlation id and the response.
pub fn decode_response<R: Request>(mut frame: Bytes, version: i16) -> Result<(i32, R::Response), WireError> {
    let error = |e: kafka_protocol::ProtoError| WireError(e.to_string());
    let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version)).map_err(error)?;
    let response = R::Response::decode(&mut frame, version).map_err(error)?;
    Ok((header.correlation_id, response))
}
