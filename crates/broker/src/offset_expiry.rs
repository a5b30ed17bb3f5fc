//! Offsets of groups that nobody uses any more expire (`offsets.retention.minutes`, KIP-211).

use std::collections::BTreeSet;

use chronik_metadata::Image;
use chronik_metadata::image::{CommittedOffset, Group};
use chronik_metadata::record::TopicPartitions;

/// How the offsets of a group are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// No members.
    Empty,
    /// Members subscribe to these topics and no others.
    Subscribed(BTreeSet<String>),
    /// Members may use any of them.
    Unknown,
}

/// The offsets of a group that have expired, by topic, each topic with the time when the last of them was committed.
/// `used` says how the group is now; `retention_ms` is how long offsets are kept after they, or their
/// group, were last used.
pub(crate) fn expired(
    image: &Image,
    group: &Group,
    used: &Use,
    now_ms: i64,
    retention_ms: i64,
) -> Vec<(i64, TopicPartitions)> {
    let since = |offset: &CommittedOffset| match (used, &group.generation) {
        (Use::Empty, Some(generation)) => Some(generation.changed_ms.max(offset.committed_ms)),
        // Members assigned themselves, or by the consumer protocol: each commit counts for itself.
        (Use::Empty, None) => Some(offset.committed_ms),
        // What no member subscribes to any more.
        (Use::Subscribed(topics), _) => {
            let topic = image.topic_by_id(offset.topic_id)?;
            (!topics.contains(topic.name())).then_some(offset.committed_ms)
        }
        (Use::Unknown, _) => None,
    };
    let is_expired = |offset: &&CommittedOffset| match since(offset) {
        None => false,
        Some(_) if offset.expires_ms >= 0 => now_ms >= offset.expires_ms,
        Some(since_ms) => now_ms.saturating_sub(since_ms) >= retention_ms,
    };
    let expired: Vec<&CommittedOffset> = group.offsets().iter().filter(is_expired).collect();
    let by_topic = expired.chunk_by(|a, b| a.topic_id == b.topic_id).map(|of_topic| {
        let committed_until_ms = of_topic.iter().map(|offset| offset.committed_ms).max().unwrap_or(0);
        let partitions = of_topic.iter().map(|offset| offset.partition).collect();
        (committed_until_ms, TopicPartitions { topic_id: of_topic[0].topic_id.into(), partitions })
    });
    by_topic.collect()
}

#[cfg(test)]
mod tests {
    use chronik_metadata::Record;
    use chronik_metadata::record::{GroupRecord, OffsetCommit, PartitionOffset, TopicOffsets, TopicRecord};
    use chronik_protocol::types::TopicId;

    use super::*;

    const T: TopicId = TopicId::from_u128(1);
    const U: TopicId = TopicId::from_u128(2);

    fn offset(partition: i32, committed_ms: i64, expires_ms: Option<i64>) -> PartitionOffset {
        PartitionOffset { partition, offset: 5, committed_ms, expires_ms, ..PartitionOffset::default() }
    }

    /// A group `g` with offsets in `t` committed at 100 and 500, one that expires at 300 by its own word, and one in `u`
    /// committed at 100.
    fn image(generation: Option<GroupRecord>) -> Image {
        let topic = |id: TopicId, name: &str| {
            Record::Topic(TopicRecord { topic_id: id.into(), name: name.into(), created_ms: 0 })
        };
        let offsets = |id: TopicId, partitions| TopicOffsets { topic_id: id.into(), partitions };
        let commit = OffsetCommit {
            group_id: "g".into(),
            topics: vec![
                offsets(T, vec![offset(0, 100, None), offset(1, 500, None), offset(2, 500, Some(300))]),
                offsets(U, vec![offset(0, 100, None)]),
            ],
        };
        let mut image = Image::default();
        let records = [topic(T, "t"), topic(U, "u"), Record::OffsetCommit(commit)];
        for record in records.into_iter().chain(generation.map(Record::Group)) {
            image.apply(image.offset() + 1, 1, &record);
        }
        image
    }

    fn of(image: &Image, used: Use, now_ms: i64) -> Vec<(i64, TopicId, Vec<i32>)> {
        let group = image.group("g").expect("it has offsets");
        let expired = expired(image, group, &used, now_ms, 1000);
        expired.into_iter().map(|(until_ms, topic)| (until_ms, topic.topic_id.uuid(), topic.partitions)).collect()
    }

    #[test]
    fn offsets_of_a_group_nobody_joined_expire_each_for_itself() {
        let image = image(None);
        assert_eq!(of(&image, Use::Empty, 299), []);
        assert_eq!(of(&image, Use::Empty, 300), [(500, T, vec![2])]);
        assert_eq!(of(&image, Use::Empty, 1100), [(500, T, vec![0, 2]), (100, U, vec![0])]);
        assert_eq!(of(&image, Use::Empty, 1500), [(500, T, vec![0, 1, 2]), (100, U, vec![0])]);
    }

    #[test]
    fn offsets_of_an_empty_group_expire_after_its_last_member() {
        let image = image(Some(GroupRecord { group_id: "g".into(), changed_ms: 700, ..GroupRecord::default() }));
        assert_eq!(of(&image, Use::Empty, 1699), [(500, T, vec![2])]);
        assert_eq!(of(&image, Use::Empty, 1700), [(500, T, vec![0, 1, 2]), (100, U, vec![0])]);
    }

    #[test]
    fn with_members_only_what_none_subscribes_to_expires() {
        let image = image(Some(GroupRecord { group_id: "g".into(), changed_ms: 700, ..GroupRecord::default() }));
        assert_eq!(of(&image, Use::Subscribed(["t".to_owned()].into()), 9000), [(100, U, vec![0])]);
        assert_eq!(of(&image, Use::Unknown, 9000), [], "no consumers, or they do not say");
    }
}
