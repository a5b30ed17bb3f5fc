//! The API versions this broker speaks: one table, from which decoding, dispatch and the ApiVersions answer come.

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, HeaderVersion};

/// One API: its key and the versions spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersions {
    pub key: i16,
    pub name: &'static str,
    /// The lowest version a client is told of. Below `min` for Produce only: librdkafka switches its compression off unless it
    /// is told of version 0 (KAFKA-18659).
    pub advertised_min: i16,
    /// The lowest version answered.
    pub min: i16,
    pub max: i16,
}

macro_rules! apis {
    ($($name:ident, $request:ident, $response:ident, $key:literal, $advertised:literal, $min:literal..=$max:literal;)*) => {
        /// The APIs spoken, by key.
        pub const TABLE: &[ApiVersions] = &[
            $(ApiVersions { key: $key, name: stringify!($name), advertised_min: $advertised, min: $min, max: $max },)*
        ];

        /// A decoded request of an API in [`TABLE`], in its newest shape.
        #[derive(Clone, Debug, PartialEq)]
        pub enum RequestBody { $($name($request),)* }

        impl RequestBody {
            /// Decodes the body of a request whose key and version are in [`TABLE`]. Trailing bytes stay in `bytes`.
            pub(crate) fn decode(key: i16, version: i16, bytes: &mut Bytes) -> Result<Self, String> {
                match key {
                    $($key => $request::decode(bytes, version).map(RequestBody::$name).map_err(|e| e.to_string()),)*
                    _ => Err(format!("unknown api key {key}")),
                }
            }
        }

        /// The header version of a request; `None` for an API not in [`TABLE`].
        pub fn request_header_version(key: i16, version: i16) -> Option<i16> {
            Some(match key { $($key => $request::header_version(version),)* _ => return None })
        }

        /// The header version of a response; `None` for an API not in [`TABLE`].
        pub fn response_header_version(key: i16, version: i16) -> Option<i16> {
            Some(match key { $($key => $response::header_version(version),)* _ => return None })
        }
    };
}

apis! {
    Produce, ProduceRequest, ProduceResponse, 0, 0, 3..=13;
    Fetch, FetchRequest, FetchResponse, 1, 4, 4..=18;
    ListOffsets, ListOffsetsRequest, ListOffsetsResponse, 2, 1, 1..=10;
    Metadata, MetadataRequest, MetadataResponse, 3, 0, 0..=13;
    OffsetCommit, OffsetCommitRequest, OffsetCommitResponse, 8, 2, 2..=9;
    OffsetFetch, OffsetFetchRequest, OffsetFetchResponse, 9, 1, 1..=9;
    FindCoordinator, FindCoordinatorRequest, FindCoordinatorResponse, 10, 0, 0..=6;
    JoinGroup, JoinGroupRequest, JoinGroupResponse, 11, 0, 0..=9;
    Heartbeat, HeartbeatRequest, HeartbeatResponse, 12, 0, 0..=4;
    LeaveGroup, LeaveGroupRequest, LeaveGroupResponse, 13, 0, 0..=5;
    SyncGroup, SyncGroupRequest, SyncGroupResponse, 14, 0, 0..=5;
    DescribeGroups, DescribeGroupsRequest, DescribeGroupsResponse, 15, 0, 0..=6;
    ListGroups, ListGroupsRequest, ListGroupsResponse, 16, 0, 0..=5;
    ApiVersions, ApiVersionsRequest, ApiVersionsResponse, 18, 0, 0..=4;
    CreateTopics, CreateTopicsRequest, CreateTopicsResponse, 19, 2, 2..=7;
    DeleteTopics, DeleteTopicsRequest, DeleteTopicsResponse, 20, 1, 1..=6;
    DeleteRecords, DeleteRecordsRequest, DeleteRecordsResponse, 21, 0, 0..=2;
    InitProducerId, InitProducerIdRequest, InitProducerIdResponse, 22, 0, 0..=5;
    OffsetForLeaderEpoch, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, 23, 2, 2..=4;
    DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResponse, 32, 1, 1..=4;
    AlterConfigs, AlterConfigsRequest, AlterConfigsResponse, 33, 0, 0..=2;
    DescribeLogDirs, DescribeLogDirsRequest, DescribeLogDirsResponse, 35, 1, 1..=4;
    CreatePartitions, CreatePartitionsRequest, CreatePartitionsResponse, 37, 0, 0..=3;
    DeleteGroups, DeleteGroupsRequest, DeleteGroupsResponse, 42, 0, 0..=2;
    ElectLeaders, ElectLeadersRequest, ElectLeadersResponse, 43, 0, 0..=2;
    IncrementalAlterConfigs, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, 44, 0, 0..=1;
    AlterPartitionReassignments, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, 45, 0, 0..=1;
    ListPartitionReassignments, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, 46, 0, 0..=0;
    OffsetDelete, OffsetDeleteRequest, OffsetDeleteResponse, 47, 0, 0..=0;
    DescribeClientQuotas, DescribeClientQuotasRequest, DescribeClientQuotasResponse, 48, 0, 0..=1;
    AlterClientQuotas, AlterClientQuotasRequest, AlterClientQuotasResponse, 49, 0, 0..=1;
    DescribeQuorum, DescribeQuorumRequest, DescribeQuorumResponse, 55, 0, 0..=2;
    UpdateFeatures, UpdateFeaturesRequest, UpdateFeaturesResponse, 57, 0, 0..=2;
    DescribeCluster, DescribeClusterRequest, DescribeClusterResponse, 60, 0, 0..=2;
    DescribeProducers, DescribeProducersRequest, DescribeProducersResponse, 61, 0, 0..=0;
    UnregisterBroker, UnregisterBrokerRequest, UnregisterBrokerResponse, 64, 0, 0..=0;
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, 68, 0, 0..=1;
    ConsumerGroupDescribe, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, 69, 0, 0..=1;
    ListConfigResources, ListConfigResourcesRequest, ListConfigResourcesResponse, 74, 0, 0..=1;
    DescribeTopicPartitions, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, 75, 0, 0..=0;
}

/// The largest request of an API, in bytes. Decoding lists costs many times what they take on the wire, so only requests that carry
/// records are bounded by `socket.request.max.bytes` alone.
pub fn max_request_bytes(key: i16) -> usize {
    const PRODUCE: i16 = 0;
    const BY_PARTITION: [i16; 8] = [1, 2, 8, 9, 11, 14, 21, 23];
    match key {
        PRODUCE => usize::MAX,
        // A hundred thousand partitions and more.
        key if BY_PARTITION.contains(&key) => 16 * 1024 * 1024,
        _ => 2 * 1024 * 1024,
    }
}

/// The row of an API key.
pub fn versions_of(key: i16) -> Option<&'static ApiVersions> {
    TABLE.iter().find(|api| api.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_sane() {
        assert!(TABLE.windows(2).all(|w| w[0].key < w[1].key));
        for api in TABLE {
            assert!(api.advertised_min <= api.min && api.min <= api.max, "{api:?}");
        }
    }
}
