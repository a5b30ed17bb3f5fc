//! Listeners, connections and requests.

use crate::key::Dynamic::{ClusterWide, PerBroker, ReadOnly};
use crate::key::Importance::{High, Low, Medium};
use crate::key::Key;
use crate::key::Kind::{Boolean, Int, List, Long, String};
use crate::key::Status::{Honoured, Own};
use crate::key::Validator::{Any, AtLeast, Distinct};

use super::broker;

/// Sorted by name.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    broker("advertised.listeners", List, None, Distinct, High, ReadOnly,
        "Addresses that clients are told to connect to, one per listener. Without it a client is told \
         the address that it dialed.").is(Honoured),
    broker("allow.insecure.listeners", Boolean, Some("false"), Any, High, ReadOnly,
        "Serve clients and HTTP on addresses beyond loopback although nobody is authenticated. \
         Without it such a listener is refused at start. The flag --insecure sets it.").is(Own),
    broker("connections.max.idle.ms", Long, Some("600000"), Any, Medium, ReadOnly,
        "A connection without traffic for this long is closed; -1 never closes one.").is(Honoured),
    broker("fetch.max.bytes", Int, Some("57671680"), AtLeast(1_024), Medium, ReadOnly,
        "Most bytes in one fetch answer, whatever the client asks for. The first batch is sent whole \
         even if it is larger.").is(Honoured),
    broker("fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any, Medium, ReadOnly,
        "Finished fetch requests that may wait in memory before they are dropped."),
    broker("http.listener", String, Some("127.0.0.1:9644"), Any, High, ReadOnly,
        "Address of the HTTP server for health, metrics and administration as host:port; empty \
         switches it off.").is(Own),
    broker("inter.broker.listener.name", String, None, Any, Medium, ReadOnly,
        "Listener that brokers use among themselves."),
    broker("listener.security.protocol.map", String, Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
        Any, Low, PerBroker,
        "Protocol of each listener, as NAME:PROTOCOL pairs. A listener named after a protocol needs \
         no entry, nor does a controller's where the map is not set. Only PLAINTEXT is offered now.").is(Honoured),
    broker("listeners", List, Some("PLAINTEXT://127.0.0.1:9092"), Distinct, High, PerBroker,
        "Sockets to open, as NAME://host:port. No host means all interfaces. Kafka's default is \
         PLAINTEXT://:9092, that is all interfaces.").is(Honoured),
    broker("max.connection.creation.rate", Int, Some("2147483647"), AtLeast(0), Medium, ClusterWide,
        "New connections a second that the broker accepts."),
    broker("max.connections", Int, Some("2147483647"), AtLeast(0), Medium, ClusterWide,
        "Connections open at once, over all listeners. Beyond it new ones wait or are closed.").is(Honoured),
    broker("max.connections.per.ip", Int, Some("2147483647"), AtLeast(0), Medium, ClusterWide,
        "Connections open at once from one address.").is(Honoured),
    broker("max.connections.per.ip.overrides", String, Some(""), Any, Medium, ClusterWide,
        "Other limits for single addresses, as address:number pairs."),
    broker("max.in.flight.requests.per.connection", Int, Some("64"), AtLeast(1), Medium, ReadOnly,
        "Requests of one connection that are handled at once. Beyond it the connection is not read \
         from.").is(Own),
    broker("max.incremental.fetch.session.cache.slots", Int, Some("1000"), AtLeast(0), Medium, ReadOnly,
        "Fetch sessions kept at once (KIP-227). Clients beyond it send full fetch requests.").is(Honoured),
    broker("max.request.partition.size.limit", Int, Some("2000"), AtLeast(1), Medium, ReadOnly,
        "Most partitions in one answer to DescribeTopicPartitions.").is(Honoured),
    broker("num.io.threads", Int, Some("8"), AtLeast(1), High, ClusterWide,
        "Threads that handle requests."),
    broker("num.network.threads", Int, Some("3"), AtLeast(1), High, ClusterWide,
        "Threads that read and write sockets, for each listener."),
    broker("queued.max.request.bytes", Long, Some("536870912"), AtLeast(-1), Medium, ReadOnly,
        "Bytes of requests that are read or handled at once, over all connections. Beyond it \
         connections wait. -1 means no limit, which is Kafka's default.").is(Honoured),
    broker("queued.max.requests", Int, Some("500"), AtLeast(1), High, ReadOnly,
        "Requests that are handled at once, over all connections. Beyond it connections wait."),
    broker("request.timeout.ms", Int, Some("30000"), Any, High, ReadOnly,
        "Time limit of the broker's own requests to others."),
    broker("socket.connection.setup.timeout.max.ms", Long, Some("30000"), Any, Medium, ReadOnly,
        "Longest time to wait for an outgoing connection."),
    broker("socket.connection.setup.timeout.ms", Long, Some("10000"), Any, Medium, ReadOnly,
        "First time to wait for an outgoing connection."),
    broker("socket.listen.backlog.size", Int, Some("1024"), AtLeast(1), Medium, ReadOnly,
        "Connections that the operating system holds until the broker accepts them. Kafka's default is 50, \
         and a client beyond it waits for a second.").is(Honoured),
    broker("socket.receive.buffer.bytes", Int, Some("-1"), Any, High, ReadOnly,
        "Receive buffer of a client's socket. -1 leaves it to the operating system, which fits it to the \
         connection; Kafka's default is 102400.").is(Honoured),
    broker("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1), High, ReadOnly,
        "Largest request. A connection that announces a larger one is closed.").is(Honoured),
    broker("socket.send.buffer.bytes", Int, Some("-1"), Any, High, ReadOnly,
        "Send buffer of a client's socket. -1 leaves it to the operating system, which fits it to the \
         connection; Kafka's default is 102400.").is(Honoured),
];
