//! The command line, each call a process: what it prints, and with which code it ends.
//!
//! Runs against brokers it starts, or with `CHRONIK_WIRE_BOOTSTRAP` set against Apache Kafka.

mod cli;
mod cluster;
mod configs;
mod environment;
mod groups;
mod kafka_tools;
mod offline;
mod records;
mod topics;
