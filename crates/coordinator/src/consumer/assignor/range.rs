//! Of each topic a range to each of its subscribers, in one order of subscribers for all topics: static members by
//! instance id, then the others by member id.

use std::collections::BTreeMap;

use chronik_protocol::types::TopicId;

use super::{Assignment, Subscriber};

pub(super) fn assign(subscribers: &[Subscriber]) -> BTreeMap<String, Assignment> {
    let mut in_order: Vec<&Subscriber> = subscribers.iter().collect();
    in_order.sort_by_key(|one| (one.instance_id.is_none(), one.instance_id.unwrap_or(one.member_id)));
    let mut of_topic: BTreeMap<TopicId, (i32, Vec<&str>)> = BTreeMap::new();
    for one in in_order {
        for (topic_id, partitions) in &one.topics {
            of_topic.entry(*topic_id).or_insert((*partitions, Vec::new())).1.push(one.member_id);
        }
    }
    let mut assignments: BTreeMap<String, Assignment> = BTreeMap::new();
    for (topic_id, (partitions, members)) in of_topic {
        let count = members.len() as i32;
        let (each, extra) = (partitions / count, partitions % count);
        let mut next = 0;
        for (index, member_id) in members.into_iter().enumerate() {
            let end = next + each + i32::from((index as i32) < extra);
            if next < end {
                assignments.entry(member_id.to_owned()).or_default().insert(topic_id, (next..end).collect());
            }
            next = end;
        }
    }
    assignments
}
