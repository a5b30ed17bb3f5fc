//! The body of every advertised request version. What decodes must encode again, and decode to the same.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_protocol::api::{self, RequestBody, TABLE};
use chronik_protocol::frame::{self, Frame};
use chronik_protocol::messages::*;
use chronik_protocol::{Encodable, StrBytes, Uuid};

use super::frame::{FIXED, PER_BYTE};
use super::steer;
use crate::budget;

/// Every key with every version answered.
pub(super) fn versions() -> Vec<(i16, i16)> {
    TABLE.iter().flat_map(|api| (api.min..=api.max).map(|version| (api.key, version))).collect()
}

/// A frame without its length around a body: correlation id 7, client id `f`.
pub(super) fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(body.len() + 12);
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(7);
    frame.put_i16(1);
    frame.put_u8(b'f');
    if api::request_header_version(key, version) == Some(2) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    frame
}

/// What became of a message in a version.
pub(super) enum Encoded {
    /// The version has no room for one of its fields.
    Impossible,
    /// The codec counts a tagged field it does not know, and then leaves it out: one whose number does not fit 31 bits. Such a message
    /// came from a peer and is never sent on.
    Partial,
    Whole(Bytes),
}

pub(super) fn encoded<M: Encodable>(message: &M, version: i16) -> Encoded {
    let mut bytes = BytesMut::new();
    match (message.encode(&mut bytes, version), message.compute_size(version)) {
        (Ok(()), Ok(size)) if size == bytes.len() => Encoded::Whole(bytes.freeze()),
        (Ok(()), Ok(_)) => Encoded::Partial,
        _ => Encoded::Impossible,
    }
}

macro_rules! bodies {
    ($($name:ident)*) => {
        fn encode(body: &RequestBody, version: i16) -> Encoded {
            match body { $(RequestBody::$name(request) => encoded(request, version),)* }
        }

        fn key_of(body: &RequestBody) -> i16 {
            let name = match body { $(RequestBody::$name(_) => stringify!($name),)* };
            TABLE.iter().find(|api| api.name == name).map_or(-1, |api| api.key)
        }
    };
}

bodies! {
    Produce Fetch ListOffsets Metadata FindCoordinator ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch
    DescribeConfigs CreatePartitions DescribeCluster DescribeTopicPartitions
    OffsetCommit OffsetFetch JoinGroup Heartbeat LeaveGroup SyncGroup DescribeGroups ListGroups
    AlterConfigs DescribeLogDirs DeleteGroups ElectLeaders IncrementalAlterConfigs AlterPartitionReassignments
    ListPartitionReassignments OffsetDelete DescribeQuorum DescribeProducers UnregisterBroker
    ConsumerGroupHeartbeat ConsumerGroupDescribe ListConfigResources
    DescribeClientQuotas AlterClientQuotas UpdateFeatures
}

fn quota_entry() -> alter_client_quotas_request::EntryData {
    alter_client_quotas_request::EntryData::default()
        .with_entity(vec![Default::default()])
        .with_ops(vec![Default::default()])
}

pub(super) fn run(input: &[u8]) {
    let ([selector], body) = steer(input);
    let versions = versions();
    let (key, version) = versions[usize::from(selector) % versions.len()];
    let bytes = Bytes::from(frame(key, version, body));
    let parsed = budget::proportional(input.len(), PER_BYTE, FIXED, || frame::parse_request(bytes));
    let Ok(Frame::Request(parsed)) = parsed else { return };
    let (header, request) = *parsed;
    assert_eq!((header.api_key, header.api_version, header.correlation_id), (key, version, 7));
    let again = match encode(&request, version) {
        Encoded::Whole(again) => again,
        Encoded::Partial => return,
        Encoded::Impossible => panic!("{request:?} was decoded from version {version} and cannot be said in it"),
    };
    match frame::parse_request(frame(key, version, &again).into()) {
        Ok(Frame::Request(parsed)) => assert_eq!(parsed.1, request, "api key {key} version {version}"),
        other => panic!("api key {key} version {version}: encoded again it is {other:?}"),
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let versions = versions();
    let selector = |key, version| versions.iter().position(|v| *v == (key, version)).map(|at| at as u8);
    samples().filter_map(|(key, version, body)| Some([&[selector(key, version)?], &body[..]].concat())).collect()
}

/// Key, version and body of a few requests in every version that can say them.
pub(super) fn samples() -> impl Iterator<Item = (i16, i16, Vec<u8>)> {
    let bodies = requests();
    versions().into_iter().flat_map(move |(key, version)| {
        let of_version = bodies.iter().filter(move |body| key_of(body) == key);
        let encoded = of_version.filter_map(move |body| match encode(body, version) {
            Encoded::Whole(bytes) => Some((key, version, bytes.to_vec())),
            Encoded::Partial | Encoded::Impossible => None,
        });
        encoded.collect::<Vec<_>>()
    })
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic() -> TopicName {
    TopicName(text("topic"))
}

fn id() -> Uuid {
    Uuid::from_u128(0x0123_4567_89ab_4cde_8fed_cba9_8765_4321)
}

/// Each API empty, and where it carries more, filled.
fn requests() -> Vec<RequestBody> {
    let mut bodies = vec![
        RequestBody::Produce(ProduceRequest::default()),
        RequestBody::Fetch(FetchRequest::default()),
        RequestBody::ListOffsets(ListOffsetsRequest::default()),
        RequestBody::Metadata(MetadataRequest::default()),
        RequestBody::Metadata(MetadataRequest::default().with_topics(None)),
        RequestBody::FindCoordinator(FindCoordinatorRequest::default()),
        RequestBody::FindCoordinator(FindCoordinatorRequest::default().with_key(text("group"))),
        RequestBody::FindCoordinator(
            FindCoordinatorRequest::default().with_coordinator_keys(vec![text("a"), text("b")]),
        ),
        RequestBody::ApiVersions(ApiVersionsRequest::default()),
        RequestBody::ApiVersions(
            ApiVersionsRequest::default()
                .with_client_software_name(text("kcat"))
                .with_client_software_version(text("1.7")),
        ),
        RequestBody::CreateTopics(CreateTopicsRequest::default()),
        RequestBody::DeleteTopics(DeleteTopicsRequest::default()),
        RequestBody::DeleteRecords(DeleteRecordsRequest::default()),
        RequestBody::InitProducerId(InitProducerIdRequest::default().with_transactional_id(None)),
        RequestBody::InitProducerId(
            InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text("t")))),
        ),
        RequestBody::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest::default()),
        RequestBody::DescribeConfigs(DescribeConfigsRequest::default()),
        RequestBody::CreatePartitions(CreatePartitionsRequest::default()),
        RequestBody::DescribeCluster(DescribeClusterRequest::default()),
        RequestBody::DescribeTopicPartitions(DescribeTopicPartitionsRequest::default()),
        RequestBody::OffsetCommit(OffsetCommitRequest::default()),
        RequestBody::OffsetFetch(OffsetFetchRequest::default()),
        RequestBody::JoinGroup(JoinGroupRequest::default()),
        RequestBody::Heartbeat(HeartbeatRequest::default()),
        RequestBody::LeaveGroup(LeaveGroupRequest::default()),
        RequestBody::SyncGroup(SyncGroupRequest::default()),
        RequestBody::DescribeGroups(DescribeGroupsRequest::default()),
        RequestBody::ListGroups(ListGroupsRequest::default()),
        RequestBody::AlterConfigs(AlterConfigsRequest::default()),
        RequestBody::DescribeLogDirs(DescribeLogDirsRequest::default()),
        RequestBody::DeleteGroups(DeleteGroupsRequest::default()),
        RequestBody::ElectLeaders(ElectLeadersRequest::default()),
        RequestBody::IncrementalAlterConfigs(IncrementalAlterConfigsRequest::default()),
        RequestBody::AlterPartitionReassignments(AlterPartitionReassignmentsRequest::default()),
        RequestBody::ListPartitionReassignments(ListPartitionReassignmentsRequest::default()),
        RequestBody::OffsetDelete(OffsetDeleteRequest::default()),
        RequestBody::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest::default()),
        RequestBody::ConsumerGroupDescribe(ConsumerGroupDescribeRequest::default()),
        RequestBody::ListConfigResources(ListConfigResourcesRequest::default()),
        RequestBody::DescribeQuorum(DescribeQuorumRequest::default()),
        RequestBody::DescribeClientQuotas(
            DescribeClientQuotasRequest::default().with_components(vec![Default::default()]),
        ),
        RequestBody::AlterClientQuotas(AlterClientQuotasRequest::default().with_entries(vec![quota_entry()])),
        RequestBody::DescribeProducers(DescribeProducersRequest::default()),
        RequestBody::UnregisterBroker(UnregisterBrokerRequest::default()),
        RequestBody::UpdateFeatures(UpdateFeaturesRequest::default().with_feature_updates(vec![Default::default()])),
    ];
    bodies.extend(produce_and_fetch());
    bodies.extend(topics());
    bodies.extend(offsets_and_configs());
    bodies.extend(groups());
    bodies
}

/// By name for the older versions, by id for the newer ones.
fn produce_and_fetch() -> Vec<RequestBody> {
    let records = Some(Bytes::from_static(b"not a batch"));
    let produce = |topic| {
        RequestBody::Produce(ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]))
    };
    let data = |topic: produce_request::TopicProduceData| {
        let partition = produce_request::PartitionProduceData::default().with_index(1).with_records(records.clone());
        topic.with_partition_data(vec![partition, produce_request::PartitionProduceData::default()])
    };
    let fetch = |topic: fetch_request::FetchTopic| {
        let partition = fetch_request::FetchPartition::default().with_partition(2).with_fetch_offset(3);
        let topic = topic.with_partitions(vec![partition.with_partition_max_bytes(1 << 20)]);
        RequestBody::Fetch(FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_topics(vec![topic]))
    };
    vec![
        produce(data(produce_request::TopicProduceData::default().with_name(topic()))),
        produce(data(produce_request::TopicProduceData::default().with_topic_id(id()))),
        fetch(fetch_request::FetchTopic::default().with_topic(topic())),
        fetch(fetch_request::FetchTopic::default().with_topic_id(id())),
    ]
}

fn topics() -> Vec<RequestBody> {
    let by_name = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
    let config =
        create_topics_request::CreatableTopicConfig::default().with_name(text("a")).with_value(Some(text("b")));
    let assignment = create_topics_request::CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    let new = create_topics_request::CreatableTopic::default()
        .with_name(topic())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(vec![config])
        .with_assignments(vec![assignment]);
    let growth = create_partitions_request::CreatePartitionsTopic::default().with_name(topic()).with_count(3);
    let cursor = describe_topic_partitions_request::Cursor::default().with_topic_name(topic()).with_partition_index(1);
    let wanted = describe_topic_partitions_request::TopicRequest::default().with_name(topic());
    let gone = delete_topics_request::DeleteTopicState::default().with_name(Some(topic()));
    vec![
        RequestBody::Metadata(MetadataRequest::default().with_topics(Some(vec![by_name]))),
        RequestBody::CreateTopics(CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(9)),
        RequestBody::DeleteTopics(DeleteTopicsRequest::default().with_topic_names(vec![topic(), topic()])),
        RequestBody::DeleteTopics(DeleteTopicsRequest::default().with_topics(vec![gone])),
        RequestBody::CreatePartitions(CreatePartitionsRequest::default().with_topics(vec![growth])),
        RequestBody::DescribeTopicPartitions(
            DescribeTopicPartitionsRequest::default().with_topics(vec![wanted]).with_cursor(Some(cursor)),
        ),
    ]
}

fn groups() -> Vec<RequestBody> {
    let group = || GroupId(text("group"));
    let protocol =
        join_group_request::JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata("m".into());
    let join = JoinGroupRequest::default().with_group_id(group()).with_member_id(text("member"));
    let join = join.with_protocol_type(text("consumer")).with_protocols(vec![protocol]);
    let assignment = sync_group_request::SyncGroupRequestAssignment::default()
        .with_member_id(text("member"))
        .with_assignment("a".into());
    let sync = SyncGroupRequest::default().with_group_id(group()).with_assignments(vec![assignment]);
    let leaver = leave_group_request::MemberIdentity::default().with_member_id(text("member"));
    let offset = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(5);
    let offsets =
        offset_commit_request::OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(vec![offset]);
    let fetched =
        offset_fetch_request::OffsetFetchRequestTopic::default().with_name(topic()).with_partition_indexes(vec![0]);
    let of_group = offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    let deleted = offset_delete_request::OffsetDeleteRequestPartition::default().with_partition_index(1);
    let deletes =
        offset_delete_request::OffsetDeleteRequestTopic::default().with_name(topic()).with_partitions(vec![deleted]);
    vec![
        RequestBody::JoinGroup(join),
        RequestBody::SyncGroup(sync),
        RequestBody::LeaveGroup(LeaveGroupRequest::default().with_group_id(group()).with_members(vec![leaver])),
        RequestBody::LeaveGroup(LeaveGroupRequest::default().with_group_id(group()).with_member_id(text("member"))),
        RequestBody::OffsetCommit(OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![offsets])),
        RequestBody::OffsetFetch(OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![fetched]))),
        RequestBody::OffsetFetch(OffsetFetchRequest::default().with_groups(vec![of_group])),
        RequestBody::OffsetDelete(OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![deletes])),
        RequestBody::DescribeGroups(DescribeGroupsRequest::default().with_groups(vec![group(), group()])),
        RequestBody::DeleteGroups(DeleteGroupsRequest::default().with_groups_names(vec![group()])),
        RequestBody::ListGroups(ListGroupsRequest::default().with_states_filter(vec![text("Stable")])),
    ]
}

fn offsets_and_configs() -> Vec<RequestBody> {
    let asked = list_offsets_request::ListOffsetsPartition::default().with_partition_index(1).with_timestamp(-2);
    let list = list_offsets_request::ListOffsetsTopic::default().with_name(topic()).with_partitions(vec![asked]);
    let cut = delete_records_request::DeleteRecordsPartition::default().with_offset(5);
    let delete = delete_records_request::DeleteRecordsTopic::default().with_name(topic()).with_partitions(vec![cut]);
    let epoch = offset_for_leader_epoch_request::OffsetForLeaderPartition::default().with_leader_epoch(2);
    let epochs = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
        .with_topic(topic())
        .with_partitions(vec![epoch]);
    let resource = describe_configs_request::DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("topic"))
        .with_configuration_keys(Some(vec![text("retention.ms")]));
    vec![
        RequestBody::ListOffsets(ListOffsetsRequest::default().with_topics(vec![list])),
        RequestBody::DeleteRecords(DeleteRecordsRequest::default().with_topics(vec![delete])),
        RequestBody::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest::default().with_topics(vec![epochs])),
        RequestBody::DescribeConfigs(DescribeConfigsRequest::default().with_resources(vec![resource])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_seed_that_decodes() {
        for (key, version) in versions() {
            let mut bodies = samples().filter(|(k, v, _)| (*k, *v) == (key, version)).peekable();
            assert!(bodies.peek().is_some(), "api key {key} version {version}");
            for (_, _, body) in bodies {
                let parsed = frame::parse_request(frame(key, version, &body).into());
                assert!(matches!(parsed, Ok(Frame::Request(..))), "api key {key} version {version}: {parsed:?}");
            }
        }
    }
}
