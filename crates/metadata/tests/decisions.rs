//! What the controller answers, request by request, with Kafka's codes.

mod common;

use chronik_metadata::controller::Controller;
use chronik_metadata::error::*;
use chronik_metadata::image::Image;
use chronik_metadata::record::{BrokerList, PartitionChange, ProducerIds, TopicPartitions};
use chronik_metadata::request::*;
use chronik_metadata::{Record, placement};
use common::*;
use uuid::Uuid;

/// The error of creating one topic on three brokers where `orders.eu` exists.
fn refused(topic: NewTopic) -> CreateTopicError {
    let mut controller = with_brokers(1, 3, false);
    make(&mut controller, new_topic("orders.eu", 1, 1));
    let decision = controller.handle(5, create(vec![topic]));
    assert!(decision.records.is_empty(), "a refused topic leaves nothing: {:?}", decision.records);
    created(decision).remove(0).result.expect_err("the topic is refused")
}

#[test]
fn refusals_have_kafkas_codes() {
    let named = |name: &str| refused(new_topic(name, 1, 1)).code();
    for bad in ["", ".", "..", "/", "a b", "ä", &"x".repeat(250)] {
        assert_eq!(named(bad), 17, "{bad}");
    }
    assert_eq!(named("orders_eu"), 17, "differs only in '.' and '_'");
    assert_eq!(named("orders.eu"), 36);
    assert_eq!(named("__meta"), 29);
    assert_eq!(named("__cluster_metadata"), 29);
    for partitions in [0, -2, i32::MIN] {
        assert_eq!(refused(new_topic("t", partitions, 1)).code(), 37);
    }
    for replication_factor in [0, -2, i16::MIN, 4, i16::MAX] {
        assert_eq!(refused(new_topic("t", 1, replication_factor)).code(), 38);
    }
    assert_eq!(refused(new_topic("t", 10_001, 1)).code(), 44);
    assert_eq!(refused(new_topic("t", i32::MAX, 1)).code(), 44, "and at once");
    let twice = vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
    assert_eq!(refused(NewTopic { configs: twice, ..new_topic("t", 1, 1) }).code(), 40);
    let large = vec![("k".to_owned(), "v".repeat(100_000))];
    assert_eq!(refused(NewTopic { configs: large, ..new_topic("t", 1, 1) }).code(), 40);
}

#[test]
fn manual_assignments_are_checked() {
    let assigned = |assignments: &[(i32, &[i32])]| {
        let assignments = assignments.iter().map(|(index, replicas)| (*index, replicas.to_vec())).collect();
        refused(NewTopic { assignments, ..new_topic("t", -1, -1) })
    };
    use AssignmentError as E;
    assert_eq!(assigned(&[(1, &[1])]), E::Gaps { first: 0, last: 0 }.into());
    assert_eq!(assigned(&[(0, &[1]), (0, &[2])]), E::Gaps { first: 0, last: 1 }.into());
    assert_eq!(assigned(&[(0, &[])]), E::NoReplicas(0).into());
    assert_eq!(assigned(&[(0, &[1, 1])]), E::Twice { partition: 0, broker: 1 }.into());
    assert_eq!(assigned(&[(0, &[1, 9])]), E::UnknownBroker { partition: 0, broker: 9 }.into());
    let uneven = assigned(&[(0, &[1, 2]), (1, &[1])]);
    assert_eq!(uneven, E::Uneven { partition: 1, found: 1, expected: 2 }.into());
    assert_eq!(uneven.code(), 39);
    let numbers = NewTopic { assignments: vec![(0, vec![1])], ..new_topic("t", 1, -1) };
    assert_eq!(refused(numbers).code(), 42);

    let mut controller = with_brokers(1, 3, false);
    let assignments = vec![(1, vec![2, 3]), (0, vec![3, 1])];
    let topic = make(&mut controller, NewTopic { assignments, ..new_topic("t", -1, -1) });
    assert_eq!((topic.num_partitions, topic.replication_factor), (2, 2));
    let topic = controller.tip().topic("t").expect("made");
    let places: Vec<_> = topic.partitions().iter().map(|p| (p.leader, p.replicas())).collect();
    assert_eq!(places, [(3, &[3, 1][..]), (2, &[2, 3])]);
}

#[test]
fn a_name_given_twice_is_refused_once_and_the_rest_is_made() {
    let mut controller = with_brokers(1, 1, false);
    let topics = ["a", "b", "a", "c.d", "c_d"].map(|name| new_topic(name, 1, 1)).to_vec();
    let results = created(controller.handle(5, create(topics)));
    let codes: Vec<_> =
        results.iter().map(|r| (r.name.as_str(), r.result.as_ref().map_or_else(|e| e.code(), |_| 0))).collect();
    assert_eq!(codes, [("a", 42), ("b", 0), ("c.d", 0), ("c_d", 17)], "the request's own topics collide too");
}

/// One topic with its partitions and configs is one decision, so that no crash leaves it without leaders; the caller's
/// configs and replication factor are kept as given.
#[test]
fn a_topic_is_one_batch_with_leaders_configs_and_replicas() {
    let mut controller = with_brokers(1, 3, false);
    let before = controller.tip().offset();
    let configs =
        vec![("cleanup.policy".to_owned(), "compact".to_owned()), ("retention.ms".to_owned(), "-1".to_owned())];
    let decision = controller.handle(77, create(vec![NewTopic { configs: configs.clone(), ..new_topic("t", 4, 3) }]));
    let kinds: Vec<_> = decision.records.iter().map(Record::name).collect();
    assert_eq!(kinds, ["Topic", "Partition", "Partition", "Partition", "Partition", "Config", "Config"]);
    let topic = controller.tip().topic("t").expect("made");
    assert_eq!(topic.created_ms, 77, "the time is in the record");
    for partition in topic.partitions() {
        assert_eq!(partition.replicas().len(), 3);
        assert_eq!(partition.isr(), partition.replicas());
        assert_eq!(partition.leader, partition.replicas()[0]);
        assert_eq!((partition.leader_epoch, partition.partition_epoch, partition.log_start_offset), (0, 0, 0));
    }
    assert!(controller.tip().topic_configs("t").iter().map(|(k, v)| (k.clone(), v.clone())).eq(configs));
    assert_eq!(controller.tip().offset(), before + 7);
}

#[test]
fn defaults_stand_in_for_minus_one() {
    let mut controller = with_brokers(1, 3, false);
    let defaults = TopicDefaults { num_partitions: 5, replication_factor: 2 };
    let request = CreateTopics { topics: vec![new_topic("t", -1, -1)], validate_only: false, defaults };
    let made = created(controller.handle(1, Request::CreateTopics(request))).remove(0).result.expect("made");
    assert_eq!((made.num_partitions, made.replication_factor), (5, 2));
}

#[test]
fn validate_only_answers_and_changes_nothing() {
    let mut controller = with_brokers(1, 1, false);
    let hash = controller.tip().hash();
    let topics = vec![new_topic("a.b", 2, 1), new_topic("a_b", 1, 1)];
    let decision =
        controller.handle(1, Request::CreateTopics(CreateTopics { topics, validate_only: true, defaults: DEFAULTS }));
    assert!(decision.records.is_empty());
    let results = created(decision);
    let expected = CreatedTopic { topic_id: Uuid::nil(), num_partitions: 2, replication_factor: 1 };
    assert_eq!(results[0].result, Ok(expected));
    assert_eq!(results[1].result.as_ref().map_err(CreateTopicError::code), Err(17));
    assert_eq!((controller.tip().hash(), controller.tip().topic_count()), (hash, 0));
}

#[test]
fn limits_hold() {
    let limits = Limits {
        max_topics: 2,
        max_partitions: 5,
        max_partitions_per_topic: 4,
        max_batch_bytes: 700,
        ..Limits::default()
    };
    let image = Image::clone(with_brokers(1, 1, false).tip());
    let mut controller = Controller::new(1, 1, image, limits);
    let mut code = |topics: Vec<NewTopic>| {
        let results = created(controller.handle(1, create(topics)));
        results.iter().map(|r| r.result.as_ref().map_or_else(|e| e.code(), |_| 0)).collect::<Vec<_>>()
    };
    assert_eq!(code(vec![new_topic("a", 5, 1)]), [44], "partitions of a topic");
    let configs = vec![("k".to_owned(), "v".repeat(800))];
    assert_eq!(code(vec![NewTopic { configs, ..new_topic("a", 1, 1) }]), [44], "bytes of a batch");
    assert_eq!(code(vec![new_topic("a", 4, 1)]), [0]);
    assert_eq!(code(vec![new_topic("b", 2, 1)]), [44], "partitions in all");
    assert_eq!(code(vec![new_topic("b", 1, 1), new_topic("c", 1, 1)]), [0, 44], "topics");
}

#[test]
fn deletions_cascade_and_a_namesake_inherits_nothing() {
    let mut controller = with_brokers(1, 1, false);
    let old = make(&mut controller, new_topic("t", 3, 1));
    let topic = ConfigResource::Topic("t".to_owned());
    controller.handle(1, set(topic.clone(), &[("retention.ms", Some("1"))]));
    let start = ChangeLogStart { topic_id: old.topic_id, partition: 0, offset: 50 };
    controller.handle(1, Request::ChangeLogStart(start));
    assert_eq!(controller.tip().topic_configs("t").len(), 1);

    let Response::DeleteTopics(results) = controller.handle(2, delete(vec![by_name("t")])).response else { panic!() };
    assert_eq!(
        results[0].result,
        Ok(DeletedTopic { topic_id: old.topic_id, name: "t".to_owned(), partitions: old.num_partitions })
    );
    let image = controller.tip();
    assert_eq!((image.topic_count(), image.partition_count(), image.load(1).replicas), (0, 0, 0));
    assert!(
        image.topic("t").is_none() && image.topic_by_id(old.topic_id).is_none() && image.topic_configs("t").is_empty()
    );

    let new = make(&mut controller, new_topic("t", 1, 1));
    assert_ne!(new.topic_id, old.topic_id);
    let image = controller.tip();
    assert!(image.topic_by_id(old.topic_id).is_none());
    assert!(image.configs(&topic).is_empty());
    let partitions = image.topic("t").expect("made").partitions();
    assert_eq!((partitions.len(), partitions[0].log_start_offset), (1, 0));
    let stale = controller.handle(3, Request::ChangeLogStart(start));
    assert_eq!(stale.response, Response::ChangeLogStart(Err(ChangeLogStartError::UnknownTopic(old.topic_id))));
}

#[test]
fn deletion_refusals_have_kafkas_codes() {
    let mut controller = with_brokers(1, 1, false);
    let ids = ["a", "b", "c"].map(|name| make(&mut controller, new_topic(name, 1, 1)).topic_id);
    let unknown = Uuid::from_u128(9);
    let topics = vec![
        by_name("nobody"),
        TopicRef::Id(unknown),
        by_name("__meta"),
        by_name("a"),
        TopicRef::Id(ids[0]),
        by_name("b"),
        by_name("b"),
        TopicRef::Id(ids[2]),
    ];
    let Response::DeleteTopics(results) = controller.handle(1, delete(topics)).response else { panic!() };
    let codes: Vec<_> = results.iter().map(|r| r.result.as_ref().map_or_else(|e| e.code(), |_| 0)).collect();
    assert_eq!(codes, [3, 100, 29, 42, 42, 42, 0], "the same topic by name and by id, or twice by name, is refused");
    assert!(controller.tip().topics().map(|topic| topic.name()).eq(["a", "b"]));
}

#[test]
fn partitions_only_grow() {
    let mut controller = with_brokers(1, 3, false);
    make(&mut controller, new_topic("t", 2, 2));
    let mut grow = |name: &str, count, assignments: Option<Vec<Vec<i32>>>, validate_only| {
        let topics = vec![NewPartitions { name: name.to_owned(), count, assignments }];
        let decision = controller.handle(1, Request::CreatePartitions(CreatePartitions { topics, validate_only }));
        let Response::CreatePartitions(results) = decision.response else { panic!() };
        (results[0].result.as_ref().map_or_else(|e| e.code(), |()| 0), controller.tip().partition_count())
    };
    assert_eq!(grow("nobody", 2, None, false), (3, 2));
    for count in [-1, 0, 1, 2] {
        assert_eq!(grow("t", count, None, false), (37, 2), "{count}");
    }
    assert_eq!(grow("t", 10_001, None, false), (44, 2));
    assert_eq!(grow("t", 3, Some(vec![]), false), (39, 2));
    assert_eq!(grow("t", 3, Some(vec![vec![1]]), false), (39, 2), "the replication factor stays");
    assert_eq!(grow("t", 4, None, true), (0, 2), "validated only");
    assert_eq!(grow("t", 3, Some(vec![vec![3, 1]]), false), (0, 3));
    assert_eq!(grow("t", 5, None, false), (0, 5));
    let partitions = controller.tip().topic("t").expect("made").partitions();
    assert_eq!(partitions[2].replicas(), [3, 1]);
    assert!(partitions.iter().all(|p| p.replicas().len() == 2 && p.leader == p.replicas()[0]));
}

#[test]
fn configs_are_set_unset_and_replaced() {
    let mut controller = with_brokers(1, 1, false);
    make(&mut controller, new_topic("t", 1, 1));
    let topic = ConfigResource::Topic("t".to_owned());
    let mut change = |changes: &[(&str, Option<&str>)], replace| {
        let Request::SetConfigs(mut request) = set(topic.clone(), changes) else { panic!() };
        request.resources[0].replace = replace;
        let decision = controller.handle(1, Request::SetConfigs(request));
        let now =
            controller.tip().configs(&topic).iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
        (decision.records.len(), now)
    };
    assert_eq!(change(&[("a", Some("1")), ("b", Some("2"))], false), (2, "a=1 b=2".to_owned()));
    assert_eq!(
        change(&[("a", Some("1")), ("c", None)], false),
        (0, "a=1 b=2".to_owned()),
        "nothing new, nothing written"
    );
    assert_eq!(change(&[("a", None), ("c", Some("3"))], false), (2, "b=2 c=3".to_owned()));
    assert_eq!(change(&[("c", Some("3")), ("d", Some("4"))], true), (2, "c=3 d=4".to_owned()));
    assert_eq!(change(&[], true), (2, String::new()));
}

#[test]
fn config_refusals_have_kafkas_codes() {
    let mut controller = with_brokers(1, 1, false);
    make(&mut controller, new_topic("t", 1, 1));
    let changes = |resource: ConfigResource, keys: &[&str]| ResourceChanges {
        resource,
        changes: keys.iter().map(|key| ((*key).to_owned(), Some("v".repeat(40_000)))).collect(),
        replace: false,
    };
    let topic = |name: &str| ConfigResource::Topic(name.to_owned());
    let resources = vec![
        changes(topic("nobody"), &["a"]),
        changes(ConfigResource::Broker(Some(9)), &["a"]),
        changes(ConfigResource::Broker(Some(1)), &["a"]),
        changes(ConfigResource::Broker(None), &["a", "a"]),
        changes(topic("t"), &["a", "b"]),
    ];
    let request = SetConfigs { resources, validate_only: false };
    let Response::SetConfigs(results) = controller.handle(1, Request::SetConfigs(request)).response else { panic!() };
    let codes: Vec<_> = results.iter().map(|r| r.result.as_ref().map_or_else(|e| e.code(), |()| 0)).collect();
    assert_eq!(codes, [3, 42, 0, 42, 40]);
    assert_eq!(controller.tip().broker_configs(Some(1)).len(), 1);
}

#[test]
fn broker_epochs_rise_with_each_incarnation() {
    let mut controller = controller(1);
    let mut register = |incarnation| {
        let decision = controller.handle(1, Request::RegisterBroker(register(1, incarnation, None)));
        let Response::RegisterBroker(Ok(registered)) = decision.response else { panic!() };
        assert_eq!(controller.tip().broker(1).map(|broker| broker.epoch), Some(registered.broker_epoch));
        registered.broker_epoch
    };
    let first = register(1);
    assert_eq!(register(1), first, "the same process again");
    let second = register(2);
    assert!(second > first && register(3) > second);

    let mut ids = |broker_epoch| {
        let request = AllocateProducerIds { broker_id: 1, broker_epoch, count: 1000 };
        let Response::AllocateProducerIds(result) =
            controller.handle(1, Request::AllocateProducerIds(request)).response
        else {
            panic!()
        };
        result.map_err(|e| e.code())
    };
    assert_eq!(ids(second), Err(77), "a stale broker gets no producer ids");
    let newest = second + 1;
    assert_eq!(ids(newest), Ok(ProducerIdBlock { first: 0, count: 1000 }));
    assert_eq!(ids(newest), Ok(ProducerIdBlock { first: 1000, count: 1000 }), "ids are given out once");
}

#[test]
fn a_broker_leaves_when_it_holds_nothing() {
    let mut controller = with_brokers(1, 2, false);
    let first = controller.tip().broker(1).map(|broker| broker.epoch);
    make(&mut controller, NewTopic { assignments: vec![(0, vec![2])], ..new_topic("t", -1, -1) });
    controller.handle(1, set(ConfigResource::Broker(Some(1)), &[("k", Some("v"))]));
    let mut leave =
        |broker_id| controller.handle(1, Request::UnregisterBroker(UnregisterBroker { broker_id })).response;
    assert_eq!(leave(2), Response::UnregisterBroker(Err(UnregisterBrokerError::HoldsReplicas(2))));
    assert_eq!(leave(1), Response::UnregisterBroker(Ok(())));
    assert_eq!(leave(1), Response::UnregisterBroker(Err(UnregisterBrokerError::Unknown(1))));
    assert!(controller.tip().broker_configs(Some(1)).is_empty(), "its configs went with it");
    controller.handle(1, Request::RegisterBroker(register(1, 1, None)));
    assert!(
        controller.tip().broker(1).map(|broker| broker.epoch) > first,
        "a registration after a removal is a new one"
    );
}

#[test]
fn log_start_never_goes_back() {
    let mut controller = with_brokers(1, 1, false);
    let topic_id = make(&mut controller, new_topic("t", 1, 1)).topic_id;
    let mut change = |partition, offset| {
        let decision = controller.handle(1, Request::ChangeLogStart(ChangeLogStart { topic_id, partition, offset }));
        let Response::ChangeLogStart(result) = decision.response else { panic!() };
        (result.map_err(|e| e.code()), decision.records.len())
    };
    assert_eq!(change(0, 10), (Ok(10), 1));
    assert_eq!(change(0, 5), (Ok(10), 0));
    assert_eq!(change(0, 11), (Ok(11), 1));
    assert_eq!(change(0, -1), (Err(1), 0));
    assert_eq!(change(1, 5), (Err(3), 0));
}

/// Not even by a record that says so: decided by a stale leader, say.
#[test]
fn apply_never_moves_a_log_start_or_producer_ids_back() {
    let mut controller = with_brokers(1, 1, false);
    let topic_id = make(&mut controller, new_topic("t", 1, 1)).topic_id;
    let mut image = controller.tip().clone();
    for (offset, log_start_offset) in (100..).zip([20, 10]) {
        let change = PartitionChange {
            topic_id: topic_id.into(),
            log_start_offset: Some(log_start_offset),
            ..PartitionChange::default()
        };
        image.apply(offset, 1, &Record::PartitionChange(change));
        image.apply(offset, 1, &Record::ProducerIds(ProducerIds { broker_id: 1, next_producer_id: log_start_offset }));
    }
    assert_eq!(image.partition(topic_id, 0).map(|partition| partition.log_start_offset), Some(20));
    assert_eq!(image.next_producer_id(), 20);
}

/// A change touches what it names and nothing else.
#[test]
fn a_partition_change_leaves_the_rest() {
    let mut controller = with_brokers(1, 3, false);
    let topic_id = make(&mut controller, new_topic("t", 2, 3)).topic_id;
    let mut image = controller.tip().clone();
    let before = image.partition(topic_id, 1).expect("made").clone();
    let followers: Vec<_> = before.replicas().iter().copied().filter(|id| *id != before.leader).collect();
    let change = PartitionChange {
        topic_id: topic_id.into(),
        partition: 1,
        isr: Some(BrokerList { ids: followers.clone() }),
        leader: Some(followers[0]),
        leader_epoch: Some(1),
        partition_epoch: Some(1),
        ..PartitionChange::default()
    };
    image.apply(100, 1, &Record::PartitionChange(change));
    let after = image.partition(topic_id, 1).expect("made");
    assert_eq!((after.replicas(), after.isr()), (before.replicas(), &followers[..]));
    assert_eq!((after.leader, after.leader_epoch, after.partition_epoch), (followers[0], 1, 1));
    assert_eq!(image.partition(topic_id, 0), controller.tip().partition(topic_id, 0));
    let leaders = |image: &Image| (1..=3).map(|id| image.load(id).leaders).sum::<u64>();
    assert_eq!(
        (leaders(&image), image.load(before.leader).leaders),
        (2, controller.tip().load(before.leader).leaders - 1)
    );
}

#[test]
fn activation_keeps_the_cluster_id() {
    let mut controller = controller(1);
    let other = Request::Activate(Activate { node_id: 1, cluster_id: "other".to_owned() });
    let decision = controller.handle(1, other);
    let (found, asked) = ("cluster".to_owned(), "other".to_owned());
    assert_eq!(decision.response, Response::Activate(Err(ActivateError::OtherCluster { found, asked })));
    assert!(decision.records.is_empty());
    let again = controller.handle(1, Request::Activate(Activate { node_id: 4, cluster_id: "cluster".to_owned() }));
    assert_eq!(again.records.iter().map(Record::name).collect::<Vec<_>>(), ["ControllerElected"]);
    assert_eq!((controller.tip().cluster_id(), controller.tip().controller()), (Some("cluster"), Some(4)));
}

/// Leaders and replicas spread evenly, and over racks; what is placed follows from the image alone.
#[test]
fn placement_balances_brokers_and_racks() {
    for racks in [false, true] {
        let mut controller = with_brokers(1, 6, racks);
        for (index, partitions) in [1, 7, 30, 4, 120, 18].into_iter().enumerate() {
            make(&mut controller, new_topic(&format!("t{index}"), partitions, 3));
        }
        let image = controller.tip();
        for id in 1..=6 {
            assert_eq!((image.load(id).leaders, image.load(id).replicas), (30, 90), "broker {id} of 180 partitions");
        }
        for partition in image.topics().flat_map(|topic| topic.partitions()) {
            let mut places = partition.replicas().to_vec();
            if racks {
                places.iter_mut().for_each(|id| *id %= 3);
            }
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), 3, "{partition:?}");
        }
        assert_eq!(placement::place(image, 50, 3), placement::place(&image.clone(), 50, 3));
    }
}

#[test]
fn without_brokers_nothing_is_placed() {
    let mut controller = controller(1);
    let result = created(controller.handle(1, create(vec![new_topic("t", 1, 1)]))).remove(0).result;
    assert_eq!(result.map_err(|e| e.code()), Err(38));
}

/// Collisions are found among many topics of like names without looking at all of them.
#[test]
fn collisions_are_found_anywhere() {
    let mut controller = with_brokers(1, 1, false);
    for name in ["_", "a_b", "a.b.c", "a_b-c", "x..y", "pre_1", "pre_10", "z_"] {
        make(&mut controller, new_topic(name, 1, 1));
    }
    for (name, existing) in [
        (".", None),
        ("a.b", Some("a_b")),
        ("a_b.c", Some("a.b.c")),
        ("x__y", Some("x..y")),
        ("pre.1", Some("pre_1")),
        ("z.", Some("z_")),
    ] {
        let result = created(controller.handle(1, create(vec![new_topic(name, 1, 1)]))).remove(0).result;
        match (result, existing) {
            (Err(CreateTopicError::Collision { existing: found, .. }), Some(existing)) => assert_eq!(found, existing),
            (Err(CreateTopicError::Name(_)), None) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    for free in ["a.b-d", "pre.100", "z", "ab", "a.b.c.d", "x.y"] {
        make(&mut controller, new_topic(free, 1, 1));
    }
}

#[test]
fn leader_epochs_are_raised_by_the_leader_only() {
    let mut controller = with_brokers(1, 2, false);
    make(&mut controller, new_topic("t", 2, 1));
    let topic = controller.tip().topic("t").expect("made").id;
    let leader = controller.tip().partition(topic, 0).expect("made").leader;
    let partitions = vec![(topic, 0), (topic, 9), (Uuid::from_u128(7), 0)];
    let raise = |broker_id| Request::RaiseLeaderEpochs(RaiseLeaderEpochs { broker_id, partitions: partitions.clone() });
    assert_eq!(controller.handle(5, raise(leader + 1)).response, Response::RaiseLeaderEpochs(Ok(0)));
    let decision = controller.handle(5, raise(leader));
    assert_eq!((decision.response, decision.records.len()), (Response::RaiseLeaderEpochs(Ok(1)), 1));
    let raised = controller.tip().partition(topic, 0).expect("still there");
    assert_eq!((raised.leader_epoch, raised.partition_epoch, raised.leader), (1, 1, leader));
}

fn commit(group_id: &str, topic_id: Uuid, offsets: &[(i32, i64)]) -> Request {
    let offsets = offsets.iter().map(|(partition, offset)| new_offset(*partition, *offset)).collect();
    Request::CommitOffsets(CommitOffsets {
        group_id: group_id.into(),
        topics: vec![(topic_id, offsets)],
        retention_ms: None,
    })
}

fn topic_id(controller: &Controller, name: &str) -> Uuid {
    controller.tip().topic(name).expect("it exists").id
}

#[test]
fn committed_offsets_are_kept_whole_and_by_partition() {
    let mut controller = with_brokers(1, 1, false);
    make(&mut controller, new_topic("t", 3, 1));
    let id = topic_id(&controller, "t");
    controller.handle(70, commit("g", id, &[(2, 20), (0, 5)]));
    controller.handle(80, commit("g", id, &[(0, 3)]));
    let group = controller.tip().group("g").expect("it exists by its offsets");
    assert!(group.generation.is_none());
    let kept: Vec<_> = group.offsets_of(id).iter().map(|o| (o.partition, o.offset, o.committed_ms)).collect();
    assert_eq!(kept, [(0, 3, 80), (2, 20, 70)], "the later commit holds, also when it goes back");
    let one = group.offset(id, 2).expect("committed");
    assert_eq!((one.leader_epoch, one.metadata(), one.expires_ms), (2, "words", -1));
    assert_eq!(controller.tip().committed_offset_count(), 2);
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut controller = with_brokers(1, 1, false);
    for name in ["t", "u"] {
        make(&mut controller, new_topic(name, 1, 1));
    }
    let (old, other) = (topic_id(&controller, "t"), topic_id(&controller, "u"));
    controller.handle(1, commit("only-t", old, &[(0, 5)]));
    controller.handle(1, commit("both", old, &[(0, 5)]));
    controller.handle(1, commit("both", other, &[(0, 7)]));
    controller.handle(2, delete(vec![TopicRef::Name("t".into())]));
    make(&mut controller, new_topic("t", 1, 1));
    let new = topic_id(&controller, "t");
    assert!(controller.tip().group("only-t").is_none(), "nothing is left of it");
    let both = controller.tip().group("both").expect("it has another offset");
    assert_eq!((both.offset(new, 0), both.offset(old, 0)), (None, None), "a namesake inherits nothing");
    assert_eq!(both.offset(other, 0).map(|known| known.offset), Some(7));
    let late = controller.handle(3, commit("only-t", old, &[(0, 6)]));
    assert_eq!(
        (late.records, late.response),
        (vec![], Response::CommitOffsets(Ok(()))),
        "a commit that comes too late"
    );
}

#[test]
fn groups_and_offsets_are_removed() {
    let mut controller = with_brokers(1, 1, false);
    make(&mut controller, new_topic("t", 3, 1));
    let id = topic_id(&controller, "t");
    controller.handle(1, store_group("g".into(), 4));
    controller.handle(1, commit("g", id, &[(0, 5), (1, 6)]));
    let topics = vec![TopicPartitions { topic_id: id.into(), partitions: vec![0, 2] }];
    let delete = |committed_until_ms| {
        Request::DeleteOffsets(DeleteOffsets { group_id: "g".into(), topics: topics.clone(), committed_until_ms })
    };
    assert_eq!(controller.handle(2, delete(0)).records, [], "they were committed after that");
    controller.handle(2, delete(1));
    let group = controller.tip().group("g").expect("it has members");
    assert_eq!((group.offsets().len(), group.offset(id, 1).map(|known| known.offset)), (1, Some(6)));
    assert_eq!(group.generation.as_ref().map(|stored| (stored.generation, stored.changed_ms)), Some((4, 1)));
    let mut remove = |only_without_offsets| {
        let group_ids = vec!["x".into(), "g".into()];
        controller.handle(3, Request::RemoveGroups(RemoveGroups { group_ids, only_without_offsets }))
    };
    assert_eq!(remove(true).records, []);
    let removed = remove(false);
    assert_eq!((removed.records.len(), controller.tip().group_count()), (1, 0));
    assert_eq!(controller.tip().committed_offset_count(), 0);
}

fn delete_offsets(group_id: &str, topic_id: Uuid, partitions: &[i32], committed_until_ms: i64) -> Request {
    let topics = vec![TopicPartitions { topic_id: topic_id.into(), partitions: partitions.to_vec() }];
    Request::DeleteOffsets(DeleteOffsets { group_id: group_id.into(), topics, committed_until_ms })
}

/// What has expired is found in an image, and deleted some decisions later.
#[test]
fn an_expiry_takes_nothing_that_was_committed_since() {
    let mut controller = with_brokers(1, 1, false);
    make(&mut controller, new_topic("t", 3, 1));
    let id = topic_id(&controller, "t");
    controller.handle(70, commit("g", id, &[(0, 5), (1, 6)]));
    let expire = delete_offsets("g", id, &[0, 1], 70);
    controller.handle(71, commit("g", id, &[(0, 5)]));
    controller.handle(72, expire.clone());
    let left = |controller: &Controller| {
        let group = controller.tip().group("g");
        group.map_or(vec![], |group| group.offsets().iter().map(|known| (known.partition, known.offset)).collect())
    };
    assert_eq!(left(&controller), [(0, 5)], "committed again, though to the same place");
    assert_eq!(controller.handle(73, expire).records, []);
    // A client deletes it, and it expires: whichever comes second finds nothing, and takes nothing of what comes after.
    let (deletion, expiry) = (delete_offsets("g", id, &[0], i64::MAX), delete_offsets("g", id, &[0], 71));
    for (first, second) in [(&deletion, &expiry), (&expiry, &deletion)] {
        let mut controller = Controller::new(1, 1, controller.tip().clone(), Limits::default());
        assert_eq!(controller.handle(80, first.clone()).records.len(), 1);
        assert_eq!(controller.handle(80, second.clone()).records, []);
        controller.handle(81, commit("g", id, &[(0, 9)]));
        assert_eq!(controller.handle(82, expiry.clone()).records, []);
        assert_eq!(left(&controller), [(0, 9)]);
    }
}

/// A client that deletes an offset means the one there is when its turn comes.
#[test]
fn a_deletion_takes_the_commits_decided_before_it_and_no_others() {
    let mut controller = with_brokers(1, 1, false);
    make(&mut controller, new_topic("t", 1, 1));
    let id = topic_id(&controller, "t");
    for offset in [5, 6] {
        controller.handle(70, commit("g", id, &[(0, offset)]));
    }
    assert_eq!(controller.handle(70, delete_offsets("g", id, &[0], i64::MAX)).records.len(), 1);
    assert!(controller.tip().group("g").is_none());
    controller.handle(70, commit("g", id, &[(0, 7)]));
    let group = controller.tip().group("g").expect("it has an offset again");
    assert_eq!(group.offset(id, 0).map(|known| known.offset), Some(7));
}

#[test]
fn groups_and_offsets_are_limited() {
    let limits = Limits { max_groups: 1, max_committed_offsets: 2, ..Limits::default() };
    let mut controller = Controller::new(1, 1, with_brokers(1, 1, false).tip().clone(), limits);
    make(&mut controller, new_topic("t", 9, 1));
    let id = topic_id(&controller, "t");
    let mut commits =
        |group: &str, offsets: &[(i32, i64)]| match controller.handle(1, commit(group, id, offsets)).response {
            Response::CommitOffsets(result) => result,
            other => panic!("{other:?}"),
        };
    assert_eq!(commits("g", &[(0, 1), (1, 1)]), Ok(()));
    assert_eq!(commits("g", &[(0, 2), (1, 2)]), Ok(()), "no more than before");
    assert_eq!(commits("g", &[(2, 1)]), Err(GroupError::CommittedOffsets(2)));
    assert_eq!(commits("h", &[(0, 1)]), Err(GroupError::Groups(1)));
}
