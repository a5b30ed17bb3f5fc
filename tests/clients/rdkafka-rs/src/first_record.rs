//! A record produced, and read back through a group, with the client's own settings.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::client::Outcome;

const DEADLINE: Duration = Duration::from_secs(30);

pub fn run(bootstrap: &str, topic: &str) -> Outcome<()> {
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
    producer.send(BaseRecord::<(), str>::to(topic).payload("first")).map_err(|(error, _)| error)?;
    producer.flush(DEADLINE)?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", format!("{topic}-group"))
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    // An error here is one that the client gets over by itself.
    while !consumer.poll(DEADLINE).is_some_and(|message| message.is_ok()) {}
    println!("record");
    Ok(())
}
