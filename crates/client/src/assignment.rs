//! The consumer protocol inside group messages: what members want, what they are given, and the range assignor.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronik_protocol::messages::consumer_protocol_assignment::TopicPartition;
use chronik_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use chronik_protocol::{Decodable, Encodable};

use crate::fetch::Position;
use crate::metadata::{text, topic_name};

/// Understood by every client, whatever it knows besides.
const VERSION: i16 = 0;

/// What a member that wants `topics` says when it joins.
pub(crate) fn encode_subscription(topics: &[String]) -> Bytes {
    let subscription =
        ConsumerProtocolSubscription::default().with_topics(topics.iter().map(|topic| text(topic)).collect());
    versioned(&subscription)
}

/// Messages of a version that any message can be written in.
fn versioned<M: Encodable>(message: &M) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    match message.encode(&mut bytes, VERSION) {
        Ok(()) => bytes.freeze(),
        // Only a name beyond 32 KiB cannot be written, and no topic has one: the broker refuses what is empty.
        Err(_) => Bytes::new(),
    }
}

/// The topics a member wants. `None` for bytes that are not a subscription.
pub(crate) fn decode_subscription(mut bytes: Bytes) -> Option<Vec<String>> {
    let version = version_of(&mut bytes)?;
    let subscription = ConsumerProtocolSubscription::decode(&mut bytes, version.min(3)).ok()?;
    Some(subscription.topics.iter().map(|topic| topic.to_string()).collect())
}

pub(crate) fn encode_assignment(partitions: &[Position]) -> Bytes {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let entry = |(topic, partitions): (&str, Vec<i32>)| {
        TopicPartition::default().with_topic(topic_name(topic)).with_partitions(partitions)
    };
    versioned(&ConsumerProtocolAssignment::default().with_assigned_partitions(topics.into_iter().map(entry).collect()))
}

/// What a member was given; empty bytes are nothing. `None` for bytes that are not an assignment.
pub(crate) fn decode_assignment(mut bytes: Bytes) -> Option<Vec<Position>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let version = version_of(&mut bytes)?;
    let assignment = ConsumerProtocolAssignment::decode(&mut bytes, version.min(3)).ok()?;
    let each = assignment.assigned_partitions.into_iter();
    Some(each.flat_map(|t| t.partitions.into_iter().map(move |p| (t.topic.to_string(), p))).collect())
}

fn version_of(bytes: &mut Bytes) -> Option<i16> {
    (bytes.len() >= 2).then(|| bytes.get_i16()).filter(|version| *version >= 0)
}

/// Kafka's range assignor: of each topic every member that wants it gets a run of partitions, the first members one more.
/// `members`: id and topics wanted. `partitions`: how many each topic has.
pub(crate) fn assign_ranges(
    members: &[(String, Vec<String>)],
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, Vec<Position>> {
    let mut given: BTreeMap<String, Vec<Position>> =
        members.iter().map(|(member, _)| (member.clone(), Vec::new())).collect();
    for (topic, count) in partitions {
        let mut wanting: Vec<&String> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        wanting.sort();
        let Ok(consumers) = i32::try_from(wanting.len()) else { continue };
        if consumers == 0 {
            continue;
        }
        let (each, more) = (count / consumers, count % consumers);
        let mut next = 0;
        for (at, member) in (0..).zip(wanting) {
            let take = each + i32::from(at < more);
            let mine = given.entry(member.clone()).or_default();
            mine.extend((next..next + take).map(|partition| (topic.clone(), partition)));
            next += take;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        let topics = ["a".to_owned(), "b".to_owned()];
        assert_eq!(decode_subscription(encode_subscription(&topics)).as_deref(), Some(&topics[..]));
        let partitions = [("a".to_owned(), 0), ("a".to_owned(), 2), ("b".to_owned(), 1)];
        assert_eq!(decode_assignment(encode_assignment(&partitions)).as_deref(), Some(&partitions[..]));
        assert_eq!(decode_assignment(Bytes::new()), Some(Vec::new()));
        assert_eq!(decode_assignment(Bytes::from_static(&[0])), None);
    }

    #[test]
    fn ranges_are_runs_and_the_first_get_more() {
        let members =
            [("m2".to_owned(), vec!["t".to_owned()]), ("m1".to_owned(), vec!["t".to_owned(), "u".to_owned()])];
        let partitions = BTreeMap::from([("t".to_owned(), 3), ("u".to_owned(), 1)]);
        let given = assign_ranges(&members, &partitions);
        let of = |member: &str| given[member].iter().map(|(t, p)| format!("{t}{p}")).collect::<Vec<_>>();
        assert_eq!(of("m1"), ["t0", "t1", "u0"]);
        assert_eq!(of("m2"), ["t2"]);
    }
}
