//! A connection to one broker that knows which versions the broker answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::RangeInclusive;
use std::time::Duration;

use chronik_env::net::Net;
use chronik_protocol::StrBytes;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use chronik_protocol::request::{Message, Request};

use crate::address::HostPort;
use crate::connection::{CallError, Connection};
use crate::error::{ClientError, check};

/// How a client presents itself and how patient it is.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    pub client_id: String,
    /// For reaching a broker: its name, its port and its versions.
    pub connect_timeout: Duration,
    /// For the answer to one request, over what the request itself allows the broker.
    pub request_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let (connect_timeout, request_timeout) = (Duration::from_secs(10), Duration::from_secs(30));
        ClientOptions { client_id: "chronik".into(), connect_timeout, request_timeout }
    }
}

/// A connection over which each request goes in the highest version that both sides know.
pub struct BrokerConnection {
    address: HostPort,
    connection: Connection,
    versions: ApiVersionsResponse,
    ranges: BTreeMap<i16, (i16, i16)>,
    request_timeout: Duration,
}

impl BrokerConnection {
    /// Resolves the name, connects to the first address that answers, and asks for the versions.
    pub async fn open(net: &dyn Net, address: &HostPort, options: &ClientOptions) -> Result<Self, ClientError> {
        let open = async {
            let (connection, versions) = negotiate(net, address, options).await?;
            let ranges = versions.api_keys.iter().map(|v| (v.api_key, (v.min_version, v.max_version))).collect();
            let (address, request_timeout) = (address.clone(), options.request_timeout);
            Ok(BrokerConnection { address, connection, versions, ranges, request_timeout })
        };
        match tokio::time::timeout(options.connect_timeout, open).await {
            Ok(result) => result,
            Err(_) => {
                let reason = format!("no answer within {} ms", options.connect_timeout.as_millis());
                Err(ClientError::Unreachable { address: address.clone(), reason })
            }
        }
    }

    pub fn address(&self) -> &HostPort {
        &self.address
    }

    /// What the broker said about its APIs and features.
    pub fn versions(&self) -> &ApiVersionsResponse {
        &self.versions
    }

    /// The highest version of an API both sides know.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let ours = <R as Message>::VERSIONS;
        self.version_within::<R>(ours.min..=ours.max)
    }

    fn version_within<R: Request>(&self, ours: RangeInclusive<i16>) -> Result<i16, ClientError> {
        let none = || ClientError::Version { address: self.address.clone(), api: api_name::<R>() };
        let &(min, max) = self.ranges.get(&R::KEY).ok_or_else(none)?;
        let version = max.min(*ours.end());
        if version >= min && version >= *ours.start() { Ok(version) } else { Err(none()) }
    }

    /// Asks in the highest common version and waits for the answer.
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.version_of::<R>()?;
        self.call_at(request, version, self.request_timeout).await
    }

    /// As [`BrokerConnection::call`], with a request that depends on the version, of those in `versions`.
    pub async fn call_with<R: Request>(
        &mut self,
        versions: RangeInclusive<i16>,
        request: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let version = self.version_within::<R>(versions)?;
        self.call_at(&request(version), version, self.request_timeout).await
    }

    /// As [`BrokerConnection::call`] in a given version. `patience` is the time until the answer.
    pub async fn call_at<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        patience: Duration,
    ) -> Result<R::Response, ClientError> {
        let BrokerConnection { address, connection, .. } = self;
        within::<R, _>(address, patience, connection.call(request, version)).await
    }

    /// Sends a request whose answer is taken later, in order.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        let BrokerConnection { address, connection, request_timeout, .. } = self;
        within::<R, _>(address, *request_timeout, connection.send(request, version)).await
    }

    /// Sends a request that is never answered.
    pub async fn send_unanswered<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        let BrokerConnection { address, connection, request_timeout, .. } = self;
        within::<R, _>(address, *request_timeout, connection.send_unanswered(request, version)).await
    }

    /// The answer to the oldest request sent with [`BrokerConnection::send`]. Not to be dropped half way.
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, ClientError> {
        let BrokerConnection { address, connection, request_timeout, .. } = self;
        within::<R, _>(address, *request_timeout, connection.receive::<R>(version)).await
    }
}

/// The name of a request's API: `CreateTopics` of `CreateTopicsRequest`.
fn api_name<R>() -> &'static str {
    let path = std::any::type_name::<R>();
    let name = path.rsplit("::").next().unwrap_or(path);
    name.strip_suffix("Request").unwrap_or(name)
}

async fn within<R: Request, T>(
    address: &HostPort,
    patience: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, ClientError> {
    let api = api_name::<R>();
    match tokio::time::timeout(patience, call).await {
        Ok(result) => result.map_err(|source| ClientError::Call { address: address.clone(), api, source }),
        Err(_) => Err(ClientError::Timeout { address: address.clone(), api, within: patience }),
    }
}

async fn connect(net: &dyn Net, address: &HostPort, client_id: &str) -> Result<Connection, ClientError> {
    let unreachable = |reason: String| ClientError::Unreachable { address: address.clone(), reason };
    let found = net.resolve(&address.host, address.port).await;
    let found = found.map_err(|e| unreachable(format!("the name cannot be resolved: {e}")))?;
    let mut last = unreachable("the name has no address".into());
    for socket_address in found {
        match Connection::connect(net, socket_address, client_id).await {
            Ok(connection) => return Ok(connection),
            Err(e) => last = unreachable(e.to_string()),
        }
    }
    Err(last)
}

/// A broker that does not know the newest ApiVersions answers in version 0, and is asked again in that.
async fn negotiate(
    net: &dyn Net,
    address: &HostPort,
    options: &ClientOptions,
) -> Result<(Connection, ApiVersionsResponse), ClientError> {
    let failed = |source| ClientError::Call { address: address.clone(), api: "ApiVersions", source };
    let newest = <ApiVersionsRequest as Message>::VERSIONS.max;
    let mut connection = connect(net, address, &options.client_id).await?;
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("chronik"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let response = match connection.call(&request, newest).await {
        Ok(response) if response.error_code != ErrorCode::UnsupportedVersion.code() => response,
        Ok(_) | Err(CallError::Decode(_)) => {
            connection = connect(net, address, &options.client_id).await?;
            connection.call(&ApiVersionsRequest::default(), 0).await.map_err(failed)?
        }
        Err(e) => return Err(failed(e)),
    };
    check(response.error_code, None)?;
    Ok((connection, response))
}
