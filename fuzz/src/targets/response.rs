//! The answer to every request version, as the client reads it. What decodes must encode again, and decode to the same.

use bytes::{Buf, Bytes};
use chronik_protocol::Decodable;
use chronik_protocol::messages::*;
use chronik_protocol::request::{Request, decode_response};

use super::frame::{FIXED, PER_BYTE};
use super::request::{self, Encoded, encoded};
use super::steer;
use crate::budget;

fn check<R: Request>(frame: Bytes, version: i16)
where
    R::Response: Clone + PartialEq + std::fmt::Debug,
{
    let length = frame.len();
    let decoded = budget::proportional(length, PER_BYTE, FIXED, || decode_response::<R>(frame, version));
    let Ok((_, response)) = decoded else { return };
    let mut again = match encoded(&response, version) {
        Encoded::Whole(again) => again,
        Encoded::Partial => return,
        Encoded::Impossible => panic!("{response:?} was decoded from version {version} and cannot be said in it"),
    };
    let decoded = R::Response::decode(&mut again, version).expect("what was encoded can be decoded");
    assert_eq!(decoded, response, "api key {} version {version}", R::KEY);
}

/// Correlation id 7, no tagged fields, and the default of a response.
fn sample<R: Request>(version: i16) -> Option<Vec<u8>>
where
    R::Response: Default,
{
    let mut frame = chronik_protocol::frame::encode_response(R::KEY, version, 7, &R::Response::default()).ok()?;
    // What follows is read without the length.
    frame.advance(4);
    Some(frame.copy_to_bytes(frame.remaining()).to_vec())
}

macro_rules! responses {
    ($($request:ident)*) => {
        pub(super) fn run(input: &[u8]) {
            let ([selector], frame) = steer(input);
            let versions = request::versions();
            let (key, version) = versions[usize::from(selector) % versions.len()];
            let frame = Bytes::copy_from_slice(frame);
            match key {
                $(<$request as Request>::KEY => check::<$request>(frame, version),)*
                _ => unreachable!("api key {key} is in the table and not here"),
            }
        }

        fn sample_of(key: i16, version: i16) -> Option<Vec<u8>> {
            match key { $(<$request as Request>::KEY => sample::<$request>(version),)* _ => None }
        }
    };
}

responses! {
    ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest FindCoordinatorRequest ApiVersionsRequest CreateTopicsRequest
    DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest DescribeConfigsRequest CreatePartitionsRequest
    DescribeClusterRequest DescribeTopicPartitionsRequest
    OffsetCommitRequest OffsetFetchRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest DescribeGroupsRequest
    ListGroupsRequest AlterConfigsRequest DescribeLogDirsRequest DeleteGroupsRequest ElectLeadersRequest IncrementalAlterConfigsRequest
    AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest OffsetDeleteRequest DescribeQuorumRequest DescribeProducersRequest UnregisterBrokerRequest
    DescribeClientQuotasRequest AlterClientQuotasRequest UpdateFeaturesRequest
    ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest ListConfigResourcesRequest
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let versions = request::versions().into_iter().enumerate();
    versions.filter_map(|(at, (key, version))| Some([&[at as u8], &sample_of(key, version)?[..]].concat())).collect()
}
