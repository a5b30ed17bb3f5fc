//! What goes wrong between a client and a cluster.

use std::fmt;
use std::time::Duration;

use chronik_protocol::StrBytes;
use chronik_protocol::error::{ErrorCode, name_of};

use crate::address::HostPort;
use crate::connection::CallError;

/// Why a call to the cluster has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach {address}: {reason}")]
    Unreachable { address: HostPort, reason: String },
    /// None of the bootstrap servers can be used; the reasons, one for each.
    #[error("no broker can be reached: {}", .0.join("; "))]
    NoBroker(Vec<String>),
    #[error("{address} did not answer {api} within {} ms", .within.as_millis())]
    Timeout { address: HostPort, api: &'static str, within: Duration },
    #[error("{address}: {api}: {source}")]
    Call { address: HostPort, api: &'static str, source: CallError },
    #[error("{address} answers no version of {api} that this client asks for")]
    Version { address: HostPort, api: &'static str },
    #[error("the cluster does not know broker {0}")]
    UnknownBroker(i32),
    #[error("partition {partition} of topic {topic} has no leader")]
    NoLeader { topic: String, partition: i32 },
    #[error("the answer to {0} does not speak of what was asked")]
    Unanswered(&'static str),
    #[error("{0}")]
    Records(String),
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ClientError {
    /// The broker's error code, where it answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Api(error) => ErrorCode::from_code(error.code),
            _ => None,
        }
    }

    /// Whether the connection was lost, or never was.
    pub fn is_disconnect(&self) -> bool {
        use ClientError::{Call, NoBroker, Timeout, Unreachable};
        matches!(self, Unreachable { .. } | NoBroker(_) | Timeout { .. } | Call { .. })
    }
}

/// An error code a broker answered with, and what it said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: i16,
    pub message: Option<String>,
}

impl ApiError {
    pub fn name(&self) -> String {
        name_of(self.code)
    }

    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.code()
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        ApiError { code: code.code(), message: None }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        match &self.message {
            Some(message) if !message.is_empty() => write!(f, ": {message}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

/// The result of one item of a response: an error unless its code is 0.
pub(crate) fn check(code: i16, message: Option<&StrBytes>) -> Result<(), ApiError> {
    match code {
        0 => Ok(()),
        code => Err(ApiError { code, message: message.map(|m| m.to_string()) }),
    }
}
