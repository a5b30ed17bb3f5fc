//! The controller loop: answers come after commits, in order, and never without one.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use chronik_env::sim_disk::{Call, Cut, Failure, Rule};
use chronik_metadata::request::{ChangeLogStart, DeleteTopics, TopicRef};
use chronik_quorum::{ControllerOptions, StartError, StartOptions, SubmitError};
use common::*;

#[tokio::test]
async fn an_answered_topic_is_visible_at_once_and_after_a_restart() {
    let disk = new_disk(1);
    let handle = start(&disk).await;
    for number in 0..50 {
        let name = format!("t{number}");
        assert_eq!(code(&within(handle.create_topics(create(&name))).await.expect("submitted")), 0);
        let image = handle.image();
        let topic = image.topic(&name).expect("visible without waiting");
        assert_eq!((topic.partitions().len(), topic.partitions()[0].leader), (1, 1));
    }
    let hash = handle.image().hash();
    disk.crash(Cut::Nothing);
    let recovered = open_unclean(&disk).await.expect("opens");
    assert_eq!(
        chronik_quorum::MetadataLog::image(&*recovered).hash(),
        hash,
        "a power cut takes nothing that was answered"
    );
}

/// Each request is one batch, and those that arrive together share syncs: not one plus two writes a topic.
#[tokio::test]
async fn requests_at_once_are_all_answered_and_share_syncs() {
    let disk = new_disk(1);
    let handle = start(&disk).await;
    disk.record();
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let handle = handle.clone();
        waiting.spawn(async move { handle.create_topics(create(&format!("t{number}"))).await });
    }
    while let Some(answer) = within(waiting.join_next()).await {
        assert_eq!(code(&answer.expect("no panic").expect("submitted")), 0);
    }
    let image = handle.image();
    assert_eq!((image.topic_count(), image.partition_count()), (1000, 1000));
    let ids: BTreeSet<_> = image.topics().map(|topic| topic.id).collect();
    assert_eq!(ids.len(), 1000);
    let syncs =
        disk.history().ops().iter().filter(|op| matches!(op, chronik_env::sim_disk::Op::SyncData { .. })).count();
    assert!(syncs < 200, "{syncs} syncs for 1,000 topics");
}

#[tokio::test]
async fn of_two_creators_at_once_one_wins() {
    let handle = start(&new_disk(1)).await;
    let (a, b) = tokio::join!(handle.create_topics(create("t")), handle.create_topics(create("t")));
    assert_eq!((code(&a.expect("submitted")), code(&b.expect("submitted"))), (0, 36));
}

/// With a failing disk nothing is answered as done, nor as there already because of a topic that never was.
#[tokio::test]
async fn nothing_is_answered_on_records_that_did_not_commit() {
    let disk = new_disk(1);
    let handle = start(&disk).await;
    let hash = handle.image().hash();
    disk.fail(Rule {
        call: Call::SyncData,
        path_contains: ".log".to_owned(),
        after: 0,
        times: 1,
        failure: Failure::Eio,
    });
    let (a, b, c) = tokio::join!(
        handle.create_topics(create("t")),
        handle.create_topics(create("t")),
        handle.create_topics(create("u"))
    );
    assert_eq!(a, Err(SubmitError::OutcomeUnknown));
    assert!(b.is_err() && c.is_err(), "{b:?} {c:?}");
    assert_eq!(handle.image().hash(), hash);
    let later = within(handle.create_topics(create("v"))).await;
    assert!(matches!(&later, Err(error @ SubmitError::Failed { .. }) if error.code() == 56), "{later:?}");
    assert_eq!(handle.image().hash(), hash);
}

/// A full disk refuses what is asked while it is full, and nothing of it stays.
#[tokio::test]
async fn a_full_disk_is_a_retriable_error_and_the_log_goes_on() {
    for (call, after) in [(Call::Write, 0), (Call::Write, 3), (Call::Open, 0)] {
        let disk = new_disk(1);
        let handle = start(&disk).await;
        let hash = handle.image().hash();
        disk.fail(Rule { call, path_contains: ".log".to_owned(), after, times: 1, failure: Failure::NoSpace });
        let mut refused = 0;
        for n in 0..40 {
            let (name, before) = (format!("t{n}"), handle.image().hash());
            match within(handle.create_topics(create(&name))).await {
                Ok(results) => assert_eq!(code(&results), 0),
                Err(error) => {
                    assert!(matches!(error, SubmitError::NoRoom { .. }) && error.code() == 56, "{error:?}");
                    assert_eq!(handle.image().hash(), before);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "{call:?} is part of an append");
        assert!(!handle.log().has_failed());
        disk.heal();
        assert_eq!(code(&within(handle.create_topics(create("later"))).await.expect("there is room")), 0);
        assert_ne!(handle.image().hash(), hash);
        let image = handle.image();
        handle.shutdown().await;
        assert_eq!(start(&disk).await.image().topic_count(), image.topic_count(), "{call:?}");
    }
}

/// A batch that the log refuses is forgotten: the next decision does not rest on it.
#[tokio::test]
async fn a_refused_batch_is_not_decided_upon() {
    let disk = new_disk(1);
    let handle = start(&disk).await;
    let mut large = create("large");
    large.topics[0].num_partitions = 1000;
    let (refused, same, other) = tokio::join!(
        handle.create_topics(large.clone()),
        handle.create_topics(large),
        handle.create_topics(create("t"))
    );
    assert!(matches!(refused, Err(SubmitError::Failed { .. })), "larger than a segment: {refused:?}");
    assert!(same.is_err() && other.is_err(), "decided upon the refused batch: {same:?} {other:?}");
    assert_eq!(handle.image().topic_count(), 0);
    for name in ["large", "t"] {
        assert_eq!(code(&within(handle.create_topics(create(name))).await.expect("submitted")), 0, "{name}");
    }
}

#[tokio::test]
async fn a_full_queue_is_a_retriable_error() {
    let disk = new_disk(1);
    let options = StartOptions {
        controller: ControllerOptions { queue_limit: 2, ..ControllerOptions::default() },
        ..start_options()
    };
    let handle = within(chronik_quorum::start(&env_on(&disk), PathBuf::from(DATA_DIR), options)).await.expect("starts");
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..100 {
        let handle = handle.clone();
        waiting.spawn(async move { handle.create_topics(create(&format!("t{number}"))).await });
    }
    let (mut busy, mut answered) = (0, 0);
    while let Some(answer) = within(waiting.join_next()).await {
        match answer.expect("no panic") {
            Ok(_) => answered += 1,
            Err(error) => {
                assert_eq!((error.clone(), error.code()), (SubmitError::Busy, 7));
                busy += 1;
            }
        }
    }
    assert!(busy > 0 && answered >= 2, "{busy} busy, {answered} answered");
    assert!(within(handle.create_topics(create("later"))).await.is_ok());
}

#[tokio::test]
async fn a_restart_keeps_the_cluster_and_raises_the_epoch() {
    let disk = new_disk(1);
    let mut last = 0;
    for restart in 0..3 {
        let handle = start(&disk).await;
        let image = handle.image();
        assert_eq!((image.cluster_id(), image.controller(), handle.controller()), (Some("cluster"), Some(1), Some(1)));
        assert!(image.epoch() > last, "restart {restart}");
        assert_eq!(image.topic_count(), restart);
        last = image.epoch();
        within(handle.create_topics(create(&format!("t{restart}")))).await.expect("submitted");
        within(handle.shutdown()).await;
    }
    let options = StartOptions { cluster_id: "other".to_owned(), ..start_options() };
    let refused = within(chronik_quorum::start(&env_on(&disk), PathBuf::from(DATA_DIR), options)).await.err();
    assert!(
        matches!(&refused, Some(error @ StartError::Activate(_)) if error.to_string().contains("other")),
        "{refused:?}"
    );
    assert_eq!(start(&disk).await.image().topic_count(), 3);
}

#[tokio::test]
async fn a_recreated_topic_inherits_nothing_across_a_restart() {
    let disk = new_disk(1);
    let handle = start(&disk).await;
    within(handle.create_topics(create("t"))).await.expect("submitted");
    let old = handle.image().topic("t").expect("made").id;
    let start_at = ChangeLogStart { topic_id: old, partition: 0, offset: 9 };
    assert_eq!(within(handle.change_log_start(start_at)).await, Ok(Ok(9)));
    let deleted =
        within(handle.delete_topics(DeleteTopics { topics: vec![TopicRef::Id(old)] })).await.expect("submitted");
    assert!(deleted[0].result.is_ok());
    within(handle.create_topics(create("t"))).await.expect("submitted");
    within(handle.shutdown()).await;

    let image = start(&disk).await.image();
    let topic = image.topic("t").expect("there");
    assert!(topic.id != old && image.topic_by_id(old).is_none());
    assert_eq!(topic.partitions()[0].log_start_offset, 0);
}

#[tokio::test]
async fn a_shutdown_answers_what_waits_and_refuses_the_rest() {
    let disk = new_disk(1);
    let handle = start(&disk).await;
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..20 {
        let handle = handle.clone();
        waiting.spawn(async move { handle.create_topics(create(&format!("t{number}"))).await });
    }
    tokio::task::yield_now().await;
    within(handle.shutdown()).await;
    let mut made = 0;
    while let Some(answer) = within(waiting.join_next()).await {
        match answer.expect("no panic") {
            Ok(results) => made += (code(&results) == 0) as u64,
            Err(error) => assert_eq!(error, SubmitError::Stopping),
        }
    }
    assert!(made > 0);
    assert_eq!(handle.image().topic_count(), made);
    assert_eq!(within(handle.create_topics(create("late"))).await, Err(SubmitError::Stopping));
    within(handle.shutdown()).await;
    assert_eq!(
        open_unclean(&disk).await.map(|log| chronik_quorum::MetadataLog::image(&*log).topic_count()).expect("opens"),
        made
    );
}

#[tokio::test]
async fn subscribers_follow_the_image() {
    let handle = start(&new_disk(1)).await;
    let mut images = handle.subscribe();
    within(handle.create_topics(create("t"))).await.expect("submitted");
    let image = within(images.wait_for(|image| image.topic("t").is_some())).await.expect("alive").clone();
    assert_eq!(handle.end_offset(), image.offset() + 1);
}
