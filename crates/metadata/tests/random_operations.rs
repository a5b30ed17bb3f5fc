//! Whatever the requests: live image, replayed log and loaded snapshot are one and the same.

mod common;

use std::collections::BTreeMap;

use chronik_metadata::controller::Controller;
use chronik_metadata::image::Load;
use chronik_metadata::request::{Activate, Limits, Request};
use chronik_metadata::{Image, Record, snapshot};
use chronik_protocol::types::TopicId;
use common::{Rng, random_request, replay};

/// Runs random requests on a new controller and returns it with its log.
fn run(seed: u64, requests: usize, mut visit: impl FnMut(&Image, &[Record])) -> (Controller, Vec<Record>) {
    let mut rng = Rng(seed);
    let mut controller = Controller::new(seed, 1, Image::default(), Limits::default());
    let activate = Request::Activate(Activate { node_id: 1, cluster_id: "c".to_owned() });
    let mut log = controller.handle(0, activate).records;
    for now_ms in 1..=requests {
        let request = random_request(&mut rng, controller.tip());
        let decision = controller.handle(now_ms as i64, request);
        log.extend(decision.records);
        visit(controller.tip(), &log);
    }
    (controller, log)
}

#[test]
fn replay_snapshot_and_live_image_are_equal() {
    let mut records = 0;
    for seed in 0..3000 {
        let (controller, log) = run(seed, 40, |_, _| {});
        let live = controller.tip();
        let replayed = replay(&log, 1);
        let bytes = snapshot::encode(live);
        let loaded = snapshot::decode(&bytes).expect("a snapshot loads");
        for other in [&replayed, &loaded] {
            assert_eq!((other.offset(), other.epoch()), (live.offset(), live.epoch()), "seed {seed}");
            assert_eq!(other.hash(), live.hash(), "seed {seed}");
            assert_eq!(snapshot::encode(other), bytes, "seed {seed}");
            assert!(loads_are_counted(other), "seed {seed}");
            assert_eq!(known_groups_by_topic(other), groups_by_topic(live), "seed {seed}");
        }
        records += log.len();
    }
    assert!(records > 30_000, "only {records} records: the requests do too little");
}

/// A snapshot anywhere and the log after it lead to the same state as the whole log.
#[test]
fn snapshot_and_tail_equal_the_whole_log() {
    for seed in 0..300 {
        let mut rng = Rng(seed ^ 0xabcdef);
        let (controller, log) = run(seed, 60, |_, _| {});
        let cut = rng.below(log.len() as u64 + 1) as usize;
        let mut image = snapshot::decode(&snapshot::encode(&replay(&log[..cut], 1))).expect("a snapshot loads");
        for (offset, record) in (cut as i64..).zip(&log[cut..]) {
            image.apply(offset, 1, record);
        }
        assert_eq!(snapshot::encode(&image), snapshot::encode(controller.tip()), "seed {seed}, cut at {cut}");
    }
}

/// A published image never changes, whatever is decided after it.
#[test]
fn older_images_stay_as_they_were() {
    for seed in 0..100 {
        let mut kept = Vec::new();
        run(seed, 50, |image, _| kept.push((image.clone(), image.hash())));
        for (image, hash) in kept {
            assert_eq!(image.hash(), hash, "seed {seed}");
        }
    }
}

/// Ids come from the seed and times from the caller, so the same requests give the same records. (Random ids or the
/// clock inside apply were a cause of diverging replicas elsewhere.)
#[test]
fn decisions_replay_from_the_seed() {
    for seed in 0..50 {
        assert_eq!(run(seed, 60, |_, _| {}).1, run(seed, 60, |_, _| {}).1);
    }
}

/// Records in any order, even ones no controller would write, leave a state that survives a snapshot.
#[test]
fn apply_is_total() {
    for seed in 0..2000 {
        let mut rng = Rng(seed);
        let (_, mut log) = run(seed, 30, |_, _| {});
        let len = log.len() as u64;
        for _ in 0..len {
            log.swap(rng.below(len) as usize, rng.below(len) as usize);
        }
        let image = replay(&log, 1);
        let loaded = snapshot::decode(&snapshot::encode(&image)).expect("a snapshot loads");
        assert_eq!(loaded.hash(), image.hash(), "seed {seed}");
        assert!(loads_are_counted(&image), "seed {seed}");
        assert_eq!(known_groups_by_topic(&image), groups_by_topic(&image), "seed {seed}");
    }
}

/// Offsets come and go with commits, deletions, groups and topics; after each, every topic names the groups that have
/// offsets in it and no others. So does what a snapshot loads.
#[test]
fn topics_know_the_groups_with_offsets_in_them() {
    let mut seen = 0;
    for seed in 0..500 {
        let (controller, _) = run(seed, 80, |image, _| {
            let counted = groups_by_topic(image);
            let known = known_groups_by_topic(image);
            assert_eq!(known, counted, "seed {seed}");
            seen += counted.len();
        });
        let loaded = snapshot::decode(&snapshot::encode(controller.tip())).expect("a snapshot loads");
        assert_eq!(known_groups_by_topic(&loaded), groups_by_topic(controller.tip()), "seed {seed}");
    }
    assert!(seen > 10_000, "only {seen} topics with offsets: the requests do too little");
}

/// The topics in which groups have offsets, with those groups.
fn groups_by_topic(image: &Image) -> BTreeMap<TopicId, Vec<&str>> {
    let mut counted = BTreeMap::<TopicId, Vec<&str>>::new();
    for (group_id, group) in image.groups() {
        for of_topic in group.offsets().chunk_by(|a, b| a.topic_id == b.topic_id) {
            counted.entry(of_topic[0].topic_id).or_default().push(group_id);
        }
    }
    counted
}

/// The same as the image says it of each topic.
fn known_groups_by_topic(image: &Image) -> BTreeMap<TopicId, Vec<&str>> {
    let of = |topic_id| (topic_id, image.groups_of_topic(topic_id).collect::<Vec<_>>());
    image.topics().map(|topic| of(topic.id)).filter(|(_, groups)| !groups.is_empty()).collect()
}

/// Load and partition count are what a count of the partitions gives.
fn loads_are_counted(image: &Image) -> bool {
    let mut loads = BTreeMap::<i32, Load>::new();
    let mut partitions = 0;
    for partition in image.topics().flat_map(|topic| topic.partitions()) {
        partitions += 1;
        for replica in partition.replicas() {
            loads.entry(*replica).or_default().replicas += 1;
        }
        if partition.leader >= 0 {
            loads.entry(partition.leader).or_default().leaders += 1;
        }
    }
    let counted = |id: i32| loads.get(&id).copied().unwrap_or_default();
    partitions == image.partition_count() && (-1..10).all(|id| image.load(id) == counted(id))
}

#[test]
fn names_and_ids_find_the_same_topics() {
    for seed in 0..200 {
        run(seed, 50, |image, _| {
            let names: Vec<_> = image.topics().map(|topic| topic.name().to_owned()).collect();
            assert!(names.is_sorted());
            assert_eq!(names.len() as u64, image.topic_count());
            for topic in image.topics() {
                assert_eq!(image.topic(topic.name()).map(|found| found.id), Some(topic.id));
                assert_eq!(image.topic_by_id(topic.id).map(|found| found.name()), Some(topic.name()));
            }
        });
    }
}
