//! Errors in the words of Kafka's Java client.

use chronik_client::{ApiError, ClientError};
use chronik_protocol::error::ErrorCode;

use crate::failure::Failure;

/// The text of an exception: the broker's own, else what Java's `Errors` says where that is short and known here.
pub fn message(error: &ApiError) -> String {
    if let Some(message) = error.message.as_ref().filter(|message| !message.is_empty()) {
        return message.clone();
    }
    let known = match ErrorCode::from_code(error.code) {
        Some(ErrorCode::UnknownTopicOrPartition) => "This server does not host this topic-partition.",
        Some(ErrorCode::GroupIdNotFound) => "The group id does not exist.",
        Some(ErrorCode::NonEmptyGroup) => "The group is not empty.",
        Some(ErrorCode::OffsetOutOfRange) => {
            "The requested offset is not within the range of offsets maintained by the server."
        }
        Some(ErrorCode::GroupSubscribedToTopic) => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        Some(ErrorCode::UnknownMemberId) => "The coordinator is not aware of this member.",
        _ => return error.name(),
    };
    known.to_owned()
}

/// `org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.`
pub fn exception(error: &ApiError) -> String {
    format!("org.apache.kafka.common.errors.{}: {}", class(error), message(error))
}

fn class(error: &ApiError) -> String {
    match ErrorCode::from_code(error.code) {
        Some(ErrorCode::TopicAlreadyExists) => "TopicExistsException".into(),
        Some(ErrorCode::InvalidConfig) => "InvalidConfigurationException".into(),
        Some(ErrorCode::NonEmptyGroup) => "GroupNotEmptyException".into(),
        Some(ErrorCode::RequestTimedOut) => "TimeoutException".into(),
        Some(ErrorCode::GroupSubscribedToTopic) => "GroupSubscribedToTopicException".into(),
        Some(ErrorCode::InvalidTopicException) => "InvalidTopicException".into(),
        _ => {
            let mut class: String = error.name().split('_').map(capitalised).collect();
            class.push_str("Exception");
            class
        }
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_string() + &chars.as_str().to_lowercase()).unwrap_or_default()
}

/// What an exception would say of a failure.
pub fn text(failure: &Failure) -> String {
    match failure {
        Failure::Client(ClientError::Api(e)) => message(e),
        other => other.to_string(),
    }
}

/// As [`text`], with the exception's name where there is one.
pub fn text_with_class(failure: &Failure) -> String {
    match failure {
        Failure::Client(ClientError::Api(e)) => exception(e),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_named_as_in_java() {
        let of = |code: ErrorCode| exception(&code.into());
        assert_eq!(
            of(ErrorCode::GroupIdNotFound),
            "org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist."
        );
        assert_eq!(
            of(ErrorCode::UnknownTopicOrPartition),
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic-partition."
        );
        let exists = ApiError { code: 36, message: Some("Topic 't' already exists.".into()) };
        assert_eq!(
            exception(&exists),
            "org.apache.kafka.common.errors.TopicExistsException: Topic 't' already exists."
        );
    }
}
