//! The cluster seen from a client: where to begin, who leads what, and a connection to each broker spoken to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::net::Net;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
use chronik_protocol::request::{Message, Request};
use tokio::time::{Instant, sleep};

use crate::address::HostPort;
use crate::broker::{BrokerConnection, ClientOptions};
use crate::error::{ApiError, ClientError, check};
use crate::metadata::{Metadata, TopicInfo, text, topic_name};

/// Between questions for a coordinator that is not there yet.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// A client of one cluster. Connections are opened on first use and again after each failure.
pub struct Client {
    pub(crate) net: Arc<dyn Net>,
    pub(crate) options: ClientOptions,
    bootstrap: Vec<HostPort>,
    /// The bootstrap server that answered.
    entry: Option<BrokerConnection>,
    brokers: BTreeMap<i32, HostPort>,
    controller_id: i32,
    connections: BTreeMap<i32, BrokerConnection>,
}

impl Client {
    /// Connects to nothing yet.
    pub fn new(net: Arc<dyn Net>, bootstrap: Vec<HostPort>, options: ClientOptions) -> Self {
        let (brokers, connections) = (BTreeMap::new(), BTreeMap::new());
        Client { net, options, bootstrap, entry: None, brokers, controller_id: -1, connections }
    }

    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub fn net(&self) -> &dyn Net {
        &*self.net
    }

    /// The first bootstrap server that can be used.
    pub async fn any(&mut self) -> Result<&mut BrokerConnection, ClientError> {
        if self.entry.is_none() {
            let mut failures = Vec::new();
            for address in &self.bootstrap {
                match BrokerConnection::open(&*self.net, address, &self.options).await {
                    Ok(connection) => {
                        self.entry = Some(connection);
                        break;
                    }
                    Err(e) => failures.push(e.to_string()),
                }
            }
            if self.entry.is_none() {
                return Err(ClientError::NoBroker(failures));
            }
        }
        self.entry.as_mut().ok_or(ClientError::NoBroker(Vec::new()))
    }

    /// A broker by its id, at the address it advertises.
    pub async fn broker(&mut self, id: i32) -> Result<&mut BrokerConnection, ClientError> {
        if !self.connections.contains_key(&id) {
            if !self.brokers.contains_key(&id) {
                self.metadata(Some(&[]), false).await?;
            }
            let address = self.brokers.get(&id).ok_or(ClientError::UnknownBroker(id))?;
            let connection = BrokerConnection::open(&*self.net, address, &self.options).await?;
            self.connections.insert(id, connection);
        }
        self.connections.get_mut(&id).ok_or(ClientError::UnknownBroker(id))
    }

    /// Closes the connections, so that the next calls begin anew.
    pub fn disconnect(&mut self) {
        self.entry = None;
        self.connections.clear();
    }

    /// Where administrative requests go. A cluster without a controller that clients can reach takes them anywhere.
    pub async fn controller(&mut self) -> Result<&mut BrokerConnection, ClientError> {
        if self.controller_id < 0 {
            self.metadata(Some(&[]), false).await?;
        }
        match self.controller_id {
            id if id >= 0 => self.broker(id).await,
            _ => self.any().await,
        }
    }

    /// Asks the controller.
    pub async fn administer<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.controller().await?.call(request).await
    }

    /// The broker that coordinates a group. A cluster that makes its topic of offsets only now is waited for.
    pub async fn coordinator(&mut self, group: &str) -> Result<i32, ClientError> {
        let deadline = Instant::now() + self.options.request_timeout;
        loop {
            match self.ask_for_coordinator(group).await {
                Err(e) if e.code() == Some(ErrorCode::CoordinatorNotAvailable) && Instant::now() < deadline => {
                    sleep(RETRY_AFTER).await;
                }
                result => return result,
            }
        }
    }

    async fn ask_for_coordinator(&mut self, group: &str) -> Result<i32, ClientError> {
        let key = text(group);
        let ours = <FindCoordinatorRequest as Message>::VERSIONS;
        let request = |version: i16| match version {
            0..=3 => FindCoordinatorRequest::default().with_key(key),
            _ => FindCoordinatorRequest::default().with_coordinator_keys(vec![key]),
        };
        let response = self.any().await?.call_with(ours.min..=ours.max, request).await?;
        let (code, message, id, host, port) = match response.coordinators.into_iter().next() {
            Some(c) => (c.error_code, c.error_message, c.node_id, c.host, c.port),
            None => (response.error_code, response.error_message, response.node_id, response.host, response.port),
        };
        check(code, message.as_ref())?;
        let port = u16::try_from(port).unwrap_or(0);
        self.learn(id.0, HostPort { host: host.to_string(), port });
        Ok(id.0)
    }

    /// The cluster and the topics named; all topics when `None`. Who leads what is remembered.
    pub async fn metadata(&mut self, topics: Option<&[&str]>, auto_create: bool) -> Result<Metadata, ClientError> {
        let ours = <MetadataRequest as Message>::VERSIONS;
        let named = topics.map(|names| {
            let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            names.iter().map(named).collect::<Vec<_>>()
        });
        // Older versions cannot say that topics are not to be made.
        let request = |version: i16| {
            MetadataRequest::default().with_topics(named).with_allow_auto_topic_creation(auto_create || version < 4)
        };
        let response = self.any().await?.call_with(1.max(ours.min)..=ours.max, request).await?;
        let metadata = Metadata::from(response);
        for broker in &metadata.brokers {
            self.learn(broker.id, broker.address.clone());
        }
        self.controller_id = metadata.controller_id;
        Ok(metadata)
    }

    /// One topic, which must exist.
    pub async fn topic(&mut self, name: &str) -> Result<TopicInfo, ClientError> {
        let metadata = self.metadata(Some(&[name]), false).await?;
        let found = metadata.topics.into_iter().find(|(found, _)| found == name);
        let (_, topic) = found.ok_or(ClientError::Unanswered("Metadata"))?;
        topic.map_err(|e| ApiError { message: e.message.or_else(|| Some(format!("topic {name}"))), ..e }.into())
    }

    fn learn(&mut self, id: i32, address: HostPort) {
        let known = self.brokers.insert(id, address.clone());
        if known.is_some_and(|known| known != address) {
            self.connections.remove(&id);
        }
    }

    /// Closes the connection to a broker, after a call on it failed half way.
    pub(crate) fn drop_broker(&mut self, id: i32) {
        self.connections.remove(&id);
    }
}
