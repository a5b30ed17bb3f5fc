//! A seeded generator and requests made of it.
#![allow(dead_code, reason = "each test file uses a part")]

use chronik_metadata::controller::{Controller, Decision};
use chronik_metadata::record::{
    ConsumerGroupRecord, ConsumerMember, ConsumerTarget, Endpoint, GroupMember, GroupRecord, OwnedPartitions,
    TopicPartitions,
};
use chronik_metadata::request::*;
use chronik_metadata::{Image, Record};
use uuid::Uuid;

pub const DEFAULTS: TopicDefaults = TopicDefaults { num_partitions: 1, replication_factor: 1 };

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

pub fn controller(seed: u64) -> Controller {
    let mut controller = Controller::new(seed, 1, Image::default(), Limits::default());
    let activated = controller.handle(1, Request::Activate(Activate { node_id: 1, cluster_id: "cluster".to_owned() }));
    assert_eq!(activated.response, Response::Activate(Ok(())));
    controller
}

/// A controller with brokers 1..=`brokers`, on racks a, b, c in turn when `racks`.
pub fn with_brokers(seed: u64, brokers: i32, racks: bool) -> Controller {
    let mut controller = controller(seed);
    for id in 1..=brokers {
        let rack = racks.then(|| ["a", "b", "c"][id as usize % 3].to_owned());
        let response = controller.handle(2, Request::RegisterBroker(register(id, id as u128, rack))).response;
        assert!(matches!(response, Response::RegisterBroker(Ok(_))), "{response:?}");
    }
    controller
}

pub fn register(broker_id: i32, incarnation: u128, rack: Option<String>) -> RegisterBroker {
    let endpoint =
        Endpoint { listener: "PLAINTEXT".to_owned(), host: format!("h{broker_id}"), port: 9092, security_protocol: 0 };
    RegisterBroker { broker_id, incarnation_id: Uuid::from_u128(incarnation), endpoints: vec![endpoint], rack }
}

pub fn new_topic(name: &str, num_partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { name: name.to_owned(), num_partitions, replication_factor, ..NewTopic::default() }
}

pub fn create(topics: Vec<NewTopic>) -> Request {
    Request::CreateTopics(CreateTopics { topics, validate_only: false, defaults: DEFAULTS })
}

pub fn delete(topics: Vec<TopicRef>) -> Request {
    Request::DeleteTopics(DeleteTopics { topics })
}

pub fn by_name(name: &str) -> TopicRef {
    TopicRef::Name(name.to_owned())
}

pub fn created(decision: Decision) -> Vec<CreateTopicResult> {
    match decision.response {
        Response::CreateTopics(results) => results,
        other => panic!("{other:?}"),
    }
}

/// Creates one topic, which must succeed.
pub fn make(controller: &mut Controller, topic: NewTopic) -> CreatedTopic {
    created(controller.handle(10, create(vec![topic]))).remove(0).result.expect("the topic is created")
}

pub fn set(resource: ConfigResource, changes: &[(&str, Option<&str>)]) -> Request {
    let changes = changes.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
    let resources = vec![ResourceChanges { resource, changes, replace: false }];
    Request::SetConfigs(SetConfigs { resources, validate_only: false })
}

/// A request of any kind, about few names so that they meet.
pub fn random_request(rng: &mut Rng, image: &Image) -> Request {
    const NAMES: &[&str] = &[
        "a",
        "b",
        "orders.eu",
        "orders_eu",
        "orders",
        "a-name-of-more-than-22-bytes",
        "..",
        "__meta",
        "x.y_z",
        "x_y_z",
        "q",
    ];
    let name = |rng: &mut Rng| (*rng.pick(NAMES)).to_owned();
    let topic_id = |rng: &mut Rng| {
        let ids: Vec<_> = image.topics().map(|topic| topic.id).chain([Uuid::from_u128(77)]).collect();
        *rng.pick(&ids)
    };
    let validate_only = rng.below(8) == 0;
    match rng.below(27) {
        0..=4 => {
            let topics = (0..1 + rng.below(3)).map(|_| random_topic(rng, name)).collect();
            Request::CreateTopics(CreateTopics { topics, validate_only, defaults: DEFAULTS })
        }
        5 | 6 => {
            let reference =
                |rng: &mut Rng| if rng.below(2) == 0 { TopicRef::Name(name(rng)) } else { TopicRef::Id(topic_id(rng)) };
            delete((0..1 + rng.below(2)).map(|_| reference(rng)).collect())
        }
        7 | 8 => {
            let (name, count) = (name(rng), rng.below(6) as i32);
            let assignments = (rng.below(3) == 0).then(|| vec![vec![1 + rng.below(4) as i32]]);
            Request::CreatePartitions(CreatePartitions {
                topics: vec![NewPartitions { name, count, assignments }],
                validate_only,
            })
        }
        9..=11 => {
            let resource = match rng.below(4) {
                0 => ConfigResource::Broker(None),
                1 => ConfigResource::Broker(Some(rng.below(5) as i32)),
                _ => ConfigResource::Topic(name(rng)),
            };
            let value = |rng: &mut Rng| (rng.below(3) > 0).then(|| rng.below(100).to_string());
            let changes =
                vec![("k1".to_owned(), value(rng)), ((*rng.pick(&["k1", "k2", "k3"])).to_owned(), value(rng))];
            let resources = vec![ResourceChanges { resource, changes, replace: rng.below(4) == 0 }];
            Request::SetConfigs(SetConfigs { resources, validate_only })
        }
        12 => Request::RegisterBroker(register(rng.below(5) as i32 - 1, rng.below(3).into(), Some("a".to_owned()))),
        13 => Request::UnregisterBroker(UnregisterBroker { broker_id: rng.below(5) as i32 }),
        14 => {
            let broker_id = rng.below(4) as i32;
            let broker_epoch = image.broker(broker_id).map_or(0, |broker| broker.epoch) + (rng.below(4) == 0) as i64;
            Request::AllocateProducerIds(AllocateProducerIds { broker_id, broker_epoch, count: rng.below(1000) as i32 })
        }
        15 => store_group((*rng.pick(GROUPS)).to_owned(), rng.below(9) as i32),
        16..=18 => Request::CommitOffsets(CommitOffsets {
            group_id: (*rng.pick(GROUPS)).to_owned(),
            topics: (0..1 + rng.below(2))
                .map(|_| (topic_id(rng), vec![new_offset(rng.below(3) as i32, rng.below(99) as i64)]))
                .collect(),
            retention_ms: (rng.below(3) == 0).then_some(1000),
        }),
        19 => Request::RemoveGroups(RemoveGroups {
            group_ids: vec![(*rng.pick(GROUPS)).to_owned()],
            only_without_offsets: rng.below(2) == 0,
        }),
        20 => Request::DeleteOffsets(DeleteOffsets {
            group_id: (*rng.pick(GROUPS)).to_owned(),
            topics: vec![TopicPartitions { topic_id: topic_id(rng).into(), partitions: vec![0, 1] }],
            committed_until_ms: i64::MAX,
        }),
        21 | 22 => {
            let topic_id = topic_id(rng);
            store_consumer_group(rng, topic_id)
        }
        23 | 24 => {
            let name = |rng: &mut Rng| (rng.below(3) > 0).then(|| (*rng.pick(&["a", "b", "10.0.0.1"])).to_owned());
            let kind = |rng: &mut Rng| (*rng.pick(&["user", "client-id", "ip"])).to_owned();
            let entity = (0..1 + rng.below(2)).map(|_| (kind(rng), name(rng))).collect();
            let key = *rng.pick(&["producer_byte_rate", "request_percentage", "connection_creation_rate"]);
            let value = (rng.below(3) > 0).then(|| (rng.below(50) as f64) / 2.0);
            let entries = vec![QuotaChanges { entity, changes: vec![(key.to_owned(), value)] }];
            Request::AlterQuotas(AlterQuotas { entries, validate_only })
        }
        25 => {
            let types = [UpgradeType::Upgrade, UpgradeType::SafeDowngrade, UpgradeType::UnsafeDowngrade];
            let update = FeatureUpdate {
                feature: (*rng.pick(&["group.version", "group.version", "other"])).to_owned(),
                level: rng.below(2) as i16,
                upgrade_type: Some(*rng.pick(&types)),
            };
            Request::UpdateFeatures(UpdateFeatures { updates: vec![update], validate_only })
        }
        _ => Request::ChangeLogStart(ChangeLogStart {
            topic_id: topic_id(rng),
            partition: rng.below(3) as i32,
            offset: rng.below(1000) as i64 - 10,
        }),
    }
}

const GROUPS: &[&str] = &["g", "h", "readers"];

/// A generation with one member.
pub fn store_group(group_id: String, generation: i32) -> Request {
    let member = GroupMember { member_id: "m".into(), metadata: "subscription".into(), ..GroupMember::default() };
    let protocol = Some("range".to_owned());
    let members = vec![member];
    Request::StoreGroup(StoreGroup {
        group: GroupRecord { group_id, generation, protocol, members, ..GroupRecord::default() },
    })
}

/// Some change of a consumer group.
fn store_consumer_group(rng: &mut Rng, topic_id: Uuid) -> Request {
    let group_id = (*rng.pick(GROUPS)).to_owned();
    let member_id = |rng: &mut Rng| (*rng.pick(&["m", "n", "o"])).to_owned();
    let owned = OwnedPartitions { topic_id: topic_id.into(), partitions: vec![0], epochs: vec![rng.below(9) as i32] };
    let member = ConsumerMember {
        group_id: group_id.clone(),
        member_id: member_id(rng),
        subscribed_names: vec!["a".into()],
        assigned: vec![owned],
        ..ConsumerMember::default()
    };
    let topics = vec![TopicPartitions { topic_id: topic_id.into(), partitions: vec![0, 1] }];
    let target = ConsumerTarget { group_id: group_id.clone(), member_id: member.member_id.clone(), topics };
    Request::StoreConsumerGroup(StoreConsumerGroup {
        epochs: ConsumerGroupRecord { group_id, epoch: rng.below(9) as i32, ..ConsumerGroupRecord::default() },
        removed: (0..rng.below(2)).map(|_| member_id(rng)).collect(),
        members: vec![member],
        targets: vec![target],
    })
}

pub fn new_offset(partition: i32, offset: i64) -> NewOffset {
    NewOffset { partition, offset, leader_epoch: 2, metadata: "words".into() }
}

fn random_topic(rng: &mut Rng, name: impl Fn(&mut Rng) -> String) -> NewTopic {
    let mut topic = new_topic(&name(rng), rng.below(5) as i32 - 1, rng.below(4) as i16 - 1);
    if rng.below(4) == 0 {
        topic = NewTopic { num_partitions: -1, replication_factor: -1, ..topic };
        topic.assignments = (0..1 + rng.below(3) as i32).map(|index| (index, vec![1 + rng.below(4) as i32])).collect();
    }
    topic.configs = (0..rng.below(3)).map(|_| (format!("k{}", rng.below(3)), "v".to_owned())).collect();
    topic
}

/// The image that records make, applied one by one from offset 0.
pub fn replay<'a>(log: impl IntoIterator<Item = &'a Record>, epoch: i32) -> Image {
    let mut image = Image::default();
    for (offset, record) in (0..).zip(log) {
        image.apply(offset, epoch, record);
    }
    image
}
