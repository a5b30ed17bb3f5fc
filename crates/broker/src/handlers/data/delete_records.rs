//! DeleteRecords (21): raises the first readable offset, durably, through the metadata log.

use std::sync::Arc;

use chronik_env::task::blocking;
use chronik_metadata::Image;
use chronik_metadata::error::ChangeLogStartError;
use chronik_metadata::request::ChangeLogStart;
use chronik_protocol::Uuid;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use chronik_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use chronik_quorum::SubmitError;
use tracing::warn;

use crate::api::RequestContext;
use crate::broker::submit_error_code;
use crate::partition::Partition;
use crate::topics::{self, Found};

/// Delete up to the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle(cx: &RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let answer = match delete(cx, &topic.name, asked.partition_index, asked.offset).await {
                Ok(low_watermark) => DeleteRecordsPartitionResult::default().with_low_watermark(low_watermark),
                Err(e) => DeleteRecordsPartitionResult::default().with_low_watermark(-1).with_error_code(e.code()),
            };
            partitions.push(answer.with_partition_index(asked.partition_index));
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    DeleteRecordsResponse::default().with_topics(topics)
}

async fn delete(cx: &RequestContext, topic: &str, index: i32, offset: i64) -> Result<i64, ErrorCode> {
    let image = cx.broker.image();
    let (partition, topic_id) = find(cx, &image, topic, index)?;
    if !partition.config().cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let offsets = partition.offsets();
    let offset = if offset == HIGH_WATERMARK { offsets.high_watermark } else { offset };
    if offset < 0 || offset > offsets.high_watermark {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    if offset > offsets.log_start {
        let request = ChangeLogStart { topic_id, partition: index, offset };
        match raise(cx, partition.clone(), request).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError)),
            Err(e) => {
                warn!(topic, partition = index, "cannot delete records: {e}");
                return Err(submit_error_code(&e));
            }
        }
    }
    Ok(partition.offsets().log_start)
}

/// Goes on to its end when the client that asked goes away: what is committed must take effect.
async fn raise(
    cx: &RequestContext,
    partition: Arc<Partition>,
    request: ChangeLogStart,
) -> Result<Result<(), ChangeLogStartError>, SubmitError> {
    let broker = cx.broker.clone();
    let raised = cx.broker.carry_through(async move {
        let decided = broker.controller().change_log_start(request).await?;
        if let Ok(offset) = decided {
            // It waits for what is being done to the log.
            blocking(&*broker.env().tasks, move || partition.advance_log_start(offset)).await;
        }
        Ok(decided.map(drop))
    });
    raised.await.unwrap_or(Err(SubmitError::Stopping))
}

fn find(cx: &RequestContext, image: &Image, topic: &str, index: i32) -> Result<(Arc<Partition>, Uuid), ErrorCode> {
    match topics::find_by_name(image, topic)? {
        Found::Topic(found) => {
            Ok((cx.broker.partitions().leader(found, index).map_err(|e| topics::gone(e, false))?, found.id))
        }
        Found::Meta => Err(ErrorCode::InvalidTopicException),
    }
}
