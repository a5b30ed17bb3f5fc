//! Questions about offsets, each put to the leader of its partition.

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_protocol::messages::{BrokerId, ListOffsetsRequest};

use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{ApiError, ClientError, check};
use crate::fetch::Isolation;
use crate::metadata::topic_name;

/// Partitions of a new topic have leaders that know it after this long.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(5);
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    Earliest,
    Latest,
    /// The record with the highest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after a time, in milliseconds.
    At(i64),
    /// A timestamp of the protocol that is none of the above, such as -4, the earliest local offset.
    Other(i64),
}

impl OffsetSpec {
    pub fn timestamp(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::At(timestamp_ms) | OffsetSpec::Other(timestamp_ms) => timestamp_ms,
        }
    }
}

/// An offset of a partition; -1 where there is none.
pub type PartitionOffset = (String, i32, Result<i64, ApiError>);

impl Client {
    /// The offsets of partitions, sorted by topic and partition. For [`Isolation::ReadCommitted`] the latest is the last stable one.
    /// A leader that has only just become one is asked again.
    pub async fn list_offsets(
        &mut self,
        partitions: &[(String, i32, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let results = self.ask_for_offsets(partitions, isolation).await?;
            let moving = |e: &ApiError| {
                e.is(ErrorCode::NotLeaderOrFollower)
                    || e.is(ErrorCode::LeaderNotAvailable)
                    || e.is(ErrorCode::UnknownLeaderEpoch)
            };
            let unsettled = results.iter().any(|(_, _, result)| result.as_ref().is_err_and(moving));
            if !unsettled || Instant::now() > deadline {
                return Ok(results);
            }
            sleep(RETRY_AFTER).await;
        }
    }

    async fn ask_for_offsets(
        &mut self,
        partitions: &[(String, i32, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let mut results = Vec::new();
        for (leader, mine) in self.by_leader(partitions, &mut results, |(topic, p, _)| (topic.as_str(), *p)).await? {
            let mut topics: Vec<ListOffsetsTopic> = Vec::new();
            for (topic, partition, spec) in mine {
                let entry = ListOffsetsPartition::default()
                    .with_partition_index(*partition)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(spec.timestamp());
                match topics.iter_mut().find(|t| t.name.as_str() == topic.as_str()) {
                    Some(known) => known.partitions.push(entry),
                    None => topics
                        .push(ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![entry])),
                }
            }
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_isolation_level(isolation as i8)
                .with_topics(topics);
            let response = self.broker(leader).await?.call(&request).await?;
            for topic in response.topics {
                for p in topic.partitions {
                    let result = check(p.error_code, None).map(|()| p.offset);
                    results.push((topic.name.to_string(), p.partition_index, result));
                }
            }
        }
        results.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        Ok(results)
    }

    /// Sorts items by the leader of their partition. Items whose partition does not exist or has no leader go to `results`.
    pub(crate) async fn by_leader<'a, T, V>(
        &mut self,
        items: &'a [T],
        results: &mut Vec<(String, i32, Result<V, ApiError>)>,
        partition_of: impl Fn(&T) -> (&str, i32),
    ) -> Result<BTreeMap<i32, Vec<&'a T>>, ClientError> {
        let mut names: Vec<&str> = items.iter().map(|item| partition_of(item).0).collect();
        names.sort_unstable();
        names.dedup();
        let metadata = self.metadata(Some(&names), false).await?;
        let mut by_leader: BTreeMap<i32, Vec<&T>> = BTreeMap::new();
        for item in items {
            let (topic, index) = partition_of(item);
            let known = metadata.topics.iter().find(|(name, _)| name == topic).map(|(_, topic)| topic);
            let failed = match known {
                Some(Ok(info)) => match info.leader(index) {
                    Ok(leader) => {
                        by_leader.entry(leader).or_default().push(item);
                        continue;
                    }
                    Err(_) if info.partition(index).is_some() => ErrorCode::LeaderNotAvailable.into(),
                    Err(_) => ErrorCode::UnknownTopicOrPartition.into(),
                },
                Some(Err(e)) => e.clone(),
                None => ErrorCode::UnknownTopicOrPartition.into(),
            };
            results.push((topic.to_owned(), index, Err(failed)));
        }
        Ok(by_leader)
    }
}
