//! Properties files: the operator's settings and the stamp of a data directory share the syntax.

use chronik_config::{
    BrokerConfig, Layer, Origin, Settings, TopicConfig, parse_properties, validate_dynamic, validate_topic_overrides,
};

use crate::budget;

/// An entry of two bytes is two strings and a place in memory.
const PER_BYTE: usize = 512;
const FIXED: usize = 512 * 1024;

pub(super) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    budget::proportional(input.len(), PER_BYTE, FIXED, || settings(&text));
}

fn settings(text: &str) {
    let entries = match parse_properties(text) {
        Ok(entries) => entries,
        Err(error) => return drop(error.to_string()),
    };
    assert!(entries.iter().all(|entry| !entry.key.is_empty()), "an entry without a key");
    let pairs = || entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()));
    for (key, value) in pairs().take(1) {
        for for_all_brokers in [false, true] {
            if let Err(error) = validate_dynamic(key, Some(value), for_all_brokers) {
                drop(error.to_string());
            }
        }
    }
    let defaults = Settings::defaults();
    if validate_topic_overrides(&defaults, pairs()).is_ok() {
        TopicConfig::resolve(&defaults, pairs());
    }
    drop(defaults.with_dynamic(pairs(), pairs()));
    match Settings::parse(&[Layer::new(Origin::File("server.properties".to_owned()), entries.clone())]) {
        Ok((settings, warnings)) => {
            drop(warnings.iter().map(ToString::to_string).collect::<Vec<_>>());
            if let Err(error) = BrokerConfig::resolve(&settings) {
                drop(error.to_string());
            }
        }
        Err(error) => drop(error.to_string()),
    }
}

const SERVER: &str = "\
# a broker
node.id=1
listeners=PLAINTEXT://127.0.0.1:9092,OTHER://[::1]:19092
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT
advertised.listeners = PLAINTEXT://localhost:9092
log.dirs : /var/lib/chronik\\
  /data
num.partitions 3
flush.mode=async
log.retention.hours=168
broker.rack=r\\u00e4ck \\uD83D\\uDE00
";
const TOPIC: &str = "cleanup.policy=compact,delete\nretention.ms=-1\nsegment.bytes=1048576\ncompression.type=zstd\n";
const META: &str =
    "version=1\ncluster.id=AAECAwQFBgcICQoLDA0ODw\nnode.id=1\ndirectory.id=EBESExQVFhcYGRobHB0eHw\nchronik.format=1\n";
const DYNAMIC: &str =
    "message.max.bytes=1000000\nmax.connections=5\nlog.cleaner.threads=2\nunclean.leader.election.enable=true\n";

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [SERVER, TOPIC, META, DYNAMIC].iter().map(|text| text.as_bytes().to_vec()).collect();
    seeds.extend(SERVER.lines().map(|line| line.as_bytes().to_vec()));
    seeds.push(b"\xef\xbb\xbf!comment\r\na\\=b=c\\\r\n  d\\te\n".to_vec());
    seeds
}
