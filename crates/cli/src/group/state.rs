//! Where a group is, and where a reset would put it. Shared with the tool of Kafka's name.

use std::collections::BTreeMap;

use chronik_client::{ApiError, Client, GroupDescription, MemberDescription, OffsetSpec};

use crate::failure::Failure;
use crate::topic::ask_offsets;

/// One partition a group reads or has committed for.
#[derive(Clone, Debug)]
pub struct Progress {
    pub topic: String,
    pub partition: i32,
    /// What is read next; `None` where nothing is committed.
    pub current: Option<i64>,
    pub end: Result<i64, ApiError>,
    /// Who reads it.
    pub member: Option<MemberDescription>,
}

impl Progress {
    pub fn lag(&self) -> Option<i64> {
        Some((*self.end.as_ref().ok()? - self.current?).max(0))
    }
}

/// The partitions of a group, committed or assigned, by topic and partition.
pub async fn progress_of(client: &mut Client, group: &GroupDescription) -> Result<Vec<Progress>, Failure> {
    let mut partitions: BTreeMap<(String, i32), (Option<i64>, Option<MemberDescription>)> = BTreeMap::new();
    for committed in client.committed_offsets(&group.group, None).await? {
        let current = (committed.offset >= 0).then_some(committed.offset);
        partitions.entry((committed.topic, committed.partition)).or_default().0 = current;
    }
    for member in &group.members {
        for position in &member.assignment {
            partitions.entry(position.clone()).or_default().1 = Some(member.clone());
        }
    }
    let asked: Vec<(String, i32)> = partitions.keys().cloned().collect();
    let ends = ask_offsets(client, &asked, OffsetSpec::Latest).await?;
    let with_end = |((topic, partition), (current, member)): ((String, i32), _)| {
        let end = ends.get(&(topic.clone(), partition)).cloned()?;
        Some(Progress { topic, partition, current, end, member })
    };
    Ok(partitions.into_iter().filter_map(with_end).collect())
}

/// Where partitions are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Earliest,
    Latest,
    Offset(i64),
    Time(i64),
    /// So far from where the group is.
    Shift(i64),
    /// Where the group is.
    Current,
}

/// The new offset of one partition, within what its log holds.
pub type NewOffset = (String, i32, Result<i64, ApiError>);

/// What a reset would commit. Offsets outside the log are brought to its nearest end, as Kafka's tool does.
pub async fn new_offsets(
    client: &mut Client,
    group: &str,
    partitions: &[(String, i32)],
    target: Target,
) -> Result<Vec<NewOffset>, Failure> {
    let first = ask_offsets(client, partitions, OffsetSpec::Earliest).await?;
    let ends = ask_offsets(client, partitions, OffsetSpec::Latest).await?;
    let at = match target {
        Target::Time(timestamp_ms) => ask_offsets(client, partitions, OffsetSpec::At(timestamp_ms)).await?,
        _ => BTreeMap::new(),
    };
    let committed: BTreeMap<(String, i32), i64> = match target {
        Target::Shift(_) | Target::Current => {
            let committed = client.committed_offsets(group, None).await?;
            committed.into_iter().map(|c| ((c.topic, c.partition), c.offset)).collect()
        }
        _ => BTreeMap::new(),
    };
    let new = |key: &(String, i32)| -> Result<i64, ApiError> {
        let of = |offsets: &BTreeMap<(String, i32), Result<i64, ApiError>>| match offsets.get(key) {
            Some(offset) => offset.clone(),
            None => Err(chronik_protocol::error::ErrorCode::UnknownTopicOrPartition.into()),
        };
        let (first, end) = (of(&first)?, of(&ends)?);
        let current = committed.get(key).copied().filter(|offset| *offset >= 0);
        let wanted = match target {
            Target::Earliest => first,
            Target::Latest => end,
            Target::Offset(offset) => offset,
            // No record is that young.
            Target::Time(_) => Some(of(&at)?).filter(|offset| *offset >= 0).unwrap_or(end),
            Target::Shift(by) => {
                let none =
                    || ApiError { code: -1, message: Some("no offset is committed that could be shifted".into()) };
                current.ok_or_else(none)?.saturating_add(by)
            }
            Target::Current => current.unwrap_or(end),
        };
        Ok(wanted.clamp(first, end.max(first)))
    };
    Ok(partitions.iter().map(|key| (key.0.clone(), key.1, new(key))).collect())
}
