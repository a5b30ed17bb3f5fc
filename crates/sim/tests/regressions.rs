//! Bugs that were found, each as the smallest history that shows it.

#[path = "regressions/client.rs"]
#[allow(dead_code)]
mod client;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chronik_env::fs::{self, Disk, OpenMode};
use chronik_env::sim_disk::{Call, Cut, Failure, Rule, SimDisk};
use chronik_sim::lone::{on_threads, refusal, simulate};
use client::{Client, EARLIEST, LATEST, disk, numbered, read_back, unclean};
use parking_lot::Mutex;

const OFFSET_OUT_OF_RANGE: i16 = 1;

#[test]
fn unacknowledged_records_wake_a_waiting_fetch() {
    simulate(&disk(), &[], async |lone| {
        let (mut writer, mut reader) = (Client::of(&lone).await, Client::of(&lone).await);
        writer.create("t", &[]).await;
        // Far longer than a call may take.
        reader.begin_fetch("t", 0, 300_000).await;
        writer.produce_unacknowledged("t", "only").await;
        assert_eq!(reader.end_fetch().await, (0, vec!["only".to_owned()]));
    });
}

#[test]
fn a_fetch_waits_for_no_more_than_it_may_have() {
    simulate(&disk(), &[], async |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("value", 0..3)).await;
        // The first batch alone is larger than that, and comes whole.
        client.begin_fetch_of("t", 0, 300_000, 10_000, 10).await;
        assert_eq!(client.end_fetch().await, (0, numbered("value", 0..1)));
    });
}

#[test]
fn a_fetch_does_not_wait_for_what_would_not_fit() {
    simulate(&disk(), &[], async |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("value", 0..3)).await;
        // One batch of about 75 bytes, and no second.
        client.begin_fetch_of("t", 0, 300_000, 100, 100).await;
        assert_eq!(client.end_fetch().await, (0, numbered("value", 0..1)));
    });
}

#[test]
fn a_waiting_fetch_hears_at_once_that_its_topic_is_deleted() {
    const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    simulate(&disk(), &[], async |lone| {
        let (mut writer, mut reader) = (Client::of(&lone).await, Client::of(&lone).await);
        writer.create("t", &[]).await;
        writer.produce_all("t", &numbered("value", 0..3)).await;
        // Far longer than a call may take.
        reader.begin_fetch_of("t", 0, 300_000, 10_000, 1 << 20).await;
        let found = async { reader.end_fetch().await };
        let deleted = async { writer.delete("t").await };
        assert_eq!(tokio::join!(found, deleted).0, (UNKNOWN_TOPIC_OR_PARTITION, vec![]));
    });
}

#[test]
fn records_that_go_while_a_fetch_waits_for_more_are_not_answered_with() {
    simulate(&disk(), &[], async |lone| {
        let (mut writer, mut reader) = (Client::of(&lone).await, Client::of(&lone).await);
        writer.create("t", &[]).await;
        writer.produce_all("t", &numbered("value", 0..3)).await;
        reader.begin_fetch_of("t", 0, 2_000, 10_000, 1 << 20).await;
        let found = async { reader.end_fetch().await };
        let deleted = async { writer.delete_records("t", 3).await };
        assert_eq!(tokio::join!(found, deleted).0, (OFFSET_OUT_OF_RANGE, vec![]));
    });
}

#[test]
fn a_recreated_topic_has_nothing_of_its_namesake_even_after_a_crash() {
    let disk = disk();
    let own = disk.clone();
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("old", 0..20)).await;
        client.delete_records("t", 10).await;
        let checkpointed = async {
            let path = Path::new("/data/log-start-offset-checkpoint");
            loop {
                let text = fs::read_file(&own, path, 1 << 20).unwrap().unwrap_or_default();
                if String::from_utf8_lossy(&text).lines().any(|line| line == "t 0 10") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(180), checkpointed).await.expect("the log start is checkpointed");
        client.delete("t").await;
        client.create("t", &[]).await;
        client.produce_all("t", &numbered("new", 0..5)).await;
        assert_eq!(client.offset("t", EARLIEST).await, 0);
        assert_eq!(client.read_all("t").await, numbered("new", 0..5));
        assert_eq!(client.fetch("t", 6).await.0, OFFSET_OUT_OF_RANGE);
    });
    for (seed, cut) in [Cut::Process, Cut::Mixed].into_iter().chain(Cut::POWER).enumerate() {
        simulate(&disk.image(cut, seed as u64), &[], async move |lone| {
            let mut client = Client::of(&lone).await;
            assert_eq!(client.offset("t", EARLIEST).await, 0, "{cut:?}");
            assert_eq!(client.read_all("t").await, numbered("new", 0..5), "{cut:?}");
            assert_eq!(client.offset("t", LATEST).await, 5, "{cut:?}");
        });
    }
}

#[test]
fn topics_named_like_leftovers_keep_their_data() {
    const NAMES: [&str; 3] = ["deleted-foo", "x-delete", "x-0-delete"];
    for clean in [true, false] {
        let disk = disk();
        simulate(&disk, &[], async move |lone| {
            let mut client = Client::of(&lone).await;
            for name in NAMES {
                client.create(name, &[]).await;
                client.produce_all(name, &numbered(name, 0..5)).await;
            }
            if clean {
                lone.stop().await;
            }
        });
        disk.crash(if clean { Cut::Process } else { Cut::Nothing });
        for name in NAMES {
            assert_eq!(read_back(&disk, name), numbered(name, 0..5), "clean: {clean}");
            disk.crash(Cut::Process);
        }
    }
}

fn put(disk: &SimDisk, path: &str) {
    let path = Path::new(path);
    let dir = path.parent().unwrap();
    disk.create_dir_all(dir).unwrap();
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.write_all_at(&[b"mine"], 0).unwrap();
    file.sync_data().unwrap();
    for dir in dir.ancestors() {
        disk.sync_dir(dir).unwrap();
    }
}

#[test]
fn directories_of_others_are_left_alone() {
    const FILES: [&str; 3] = ["/data/backup-2024/file", "/data/my-files-delete/file", "/data/deleted-0/file"];
    let disk = disk();
    simulate(&disk, &[], async |lone| Client::of(&lone).await.create("t", &[]).await);
    disk.crash(Cut::Process);
    FILES.iter().for_each(|file| put(&disk, file));
    simulate(&disk, &[], async |lone| {
        let mut client = Client::of(&lone).await;
        client.produce_all("t", &numbered("value", 0..5)).await;
        // What a start removes, it removes some milliseconds later.
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    for file in FILES {
        assert_eq!(fs::read_file(&disk, Path::new(file), 100).unwrap().as_deref(), Some(&b"mine"[..]), "{file}");
    }
}

#[test]
fn a_directory_with_files_of_others_is_refused() {
    let disk = disk();
    put(&disk, "/data/holiday.jpg");
    let refusal = refusal(&disk).expect("the directory is not ours");
    assert!(refusal.contains("holiday.jpg"), "{refusal}");
    assert!(!disk.exists(Path::new("/data/meta.properties")).unwrap());
}

#[test]
fn recovery_does_not_trust_the_page_cache_after_a_failed_sync_seed_18() {
    assert_eq!(chronik_sim::run(18).violations, [""; 0]);
}

#[test]
fn recovery_does_not_trust_the_page_cache_after_a_failed_sync_seed_33() {
    assert_eq!(chronik_sim::run(33).violations, [""; 0]);
}

#[test]
fn one_replica_is_enough_where_there_is_but_one() {
    simulate(&disk(), &[], async |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[("min.insync.replicas", "2")]).await;
        assert_eq!(client.produce("t", -1, "value").await, (0, 0));
    });
}

#[test]
fn what_is_acknowledged_is_readable_on_another_connection() {
    on_threads(&disk(), &[], async |threaded| {
        let mut writer = Client::new(threaded.connect().await.unwrap());
        let mut reader = Client::new(threaded.connect().await.unwrap());
        writer.create("t", &[]).await;
        for offset in 0..500 {
            let acks = if offset % 2 == 0 { -1 } else { 1 };
            assert_eq!(writer.produce("t", acks, "value").await, (0, offset));
            // Either question first: the window is short.
            if offset % 4 < 2 {
                assert_eq!(reader.offset("t", LATEST).await, offset + 1);
            }
            assert_eq!(reader.fetch("t", offset).await, (0, vec!["value".to_owned()]), "offset {offset}");
        }
        threaded.broker.shutdown().await;
    });
}

/// Five records that a clean stop makes durable, five more, and a power cut. Returns the epoch before it and the disk after it.
fn cut_off(flush_mode: &'static str) -> (i32, SimDisk) {
    let disk = disk();
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[("flush.mode", flush_mode)]).await;
        client.produce_all("t", &numbered("value", 0..5)).await;
        lone.stop().await;
    });
    disk.crash(Cut::Nothing);
    let epoch = simulate(&disk, &[], async |lone| {
        let mut client = Client::of(&lone).await;
        client.produce_all("t", &numbered("value", 5..10)).await;
        client.leader_epoch("t").await
    });
    disk.crash(Cut::Nothing);
    (epoch, disk)
}

#[test]
fn a_crash_without_syncs_raises_the_leader_epoch() {
    let (before, disk) = cut_off("async");
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        assert_eq!(client.read_all("t").await, numbered("value", 0..5));
        let after = client.leader_epoch("t").await;
        assert!(after > before, "{before} before, {after} after");
        assert_eq!(client.end_of_epoch("t", before).await, (before, 5));
        client.produce_all("t", &numbered("other", 0..3)).await;
        assert_eq!(client.end_of_epoch("t", before).await, (before, 5));
        assert_eq!(client.end_of_epoch("t", after).await, (after, 8));
    });
}

#[test]
fn a_crash_raises_the_leader_epoch_whatever_flush_mode_says_by_then() {
    let disk = disk();
    let own = disk.clone();
    let before = simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[("flush.mode", "async")]).await;
        client.produce_all("t", &numbered("value", 0..5)).await;
        // The sync that leaving async begins comes too late for them.
        own.fail(Rule {
            call: Call::SyncData,
            path_contains: "/data/t-0/".into(),
            after: 0,
            times: 1,
            failure: Failure::Eio,
        });
        client.alter("t", "flush.mode", "sync").await;
        client.leader_epoch("t").await
    });
    disk.heal();
    disk.crash(Cut::Nothing);
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        assert_eq!(client.read_all("t").await, Vec::<String>::new());
        let after = client.leader_epoch("t").await;
        assert!(after > before, "{before} before, {after} after");
    });
}

#[test]
fn a_start_that_fails_before_it_raised_the_leader_epochs_raises_them_at_the_next() {
    let (before, crashed) = cut_off("async");
    let mut refused = 0;
    for after in 0..8 {
        let disk = crashed.image(Cut::Everything, after);
        disk.fail(Rule {
            call: Call::SyncData,
            path_contains: "__meta".into(),
            after,
            times: 1,
            failure: Failure::Eio,
        });
        refused += u32::from(chronik_sim::lone::refusal(&disk).is_some());
        disk.heal();
        disk.crash(Cut::Process);
        let epoch = simulate(&disk, &[], async |lone| Client::of(&lone).await.leader_epoch("t").await);
        assert!(epoch > before, "{before} before, {epoch} after a failure of sync {after}");
    }
    assert!(refused > 0, "the start needs the metadata log");
}

#[test]
fn leaving_async_makes_durable_what_is_in_the_page_cache() {
    let disk = disk();
    simulate(&disk, &[], async |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[("flush.mode", "async")]).await;
        client.produce_all("t", &numbered("value", 0..5)).await;
        client.alter("t", "flush.mode", "sync").await;
        // Its acknowledgement comes after the sync that was begun before it.
        client.produce_all("t", &numbered("value", 5..6)).await;
    });
    disk.crash(Cut::Nothing);
    assert_eq!(read_back(&disk, "t"), numbered("value", 0..6));
}

#[test]
fn a_config_that_is_described_takes_effect_though_who_set_it_is_gone() {
    const MESSAGE_TOO_LARGE: i16 = 10;
    const TOPICS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    simulate(&disk(), &[], async |lone| {
        let mut client = Client::of(&lone).await;
        let large = "x".repeat(1_000);
        let mut set = 0;
        for (wait_ms, topic) in (0..).zip(TOPICS) {
            client.create(topic, &[]).await;
            client.produce_all(topic, &numbered("value", 0..1)).await;
            // Leaves before the request is begun, while it waits for the disk, or after it was answered.
            Client::of(&lone).await.alter_and_leave(topic, "max.message.bytes", "100", wait_ms).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let is_set = client.config(topic, "max.message.bytes").await == "100";
            let refused = client.produce(topic, -1, &large).await.0 == MESSAGE_TOO_LARGE;
            assert_eq!(is_set, refused, "left after {wait_ms} ms");
            set += usize::from(is_set);
        }
        assert!(set > 0, "all left before their request was begun");
    });
}

#[test]
fn a_clean_stop_amid_produces_keeps_what_was_acknowledged() {
    const PRODUCERS: usize = 4;
    let disk = disk();
    let acknowledged = on_threads(&disk, &[], async |threaded| {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        Client::new(threaded.connect().await.unwrap()).create("t", &[]).await;
        let mut producers = Vec::new();
        for producer in 0..PRODUCERS {
            let (mut client, acknowledged) = (Client::new(threaded.connect().await.unwrap()), acknowledged.clone());
            producers.push(tokio::spawn(async move {
                for number in 0.. {
                    let value = format!("{producer}-{number}");
                    match client.try_produce("t", -1, &value).await {
                        Some((0, _)) => acknowledged.lock().push(value),
                        _ => return,
                    }
                }
            }));
        }
        let busy = async {
            while acknowledged.lock().len() < 200 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), busy).await.expect("produces are acknowledged");
        threaded.broker.shutdown().await;
        for producer in producers {
            tokio::time::timeout(Duration::from_secs(60), producer)
                .await
                .expect("every producer hears of the stop")
                .unwrap();
        }
        acknowledged.lock().clone()
    });
    disk.crash(Cut::Nothing);
    assert!(disk.exists(Path::new("/data/.kafka_cleanshutdown")).unwrap(), "the stop was not clean");
    let kept = read_back(&disk, "t");
    for value in acknowledged {
        assert!(kept.contains(&value), "{value} was acknowledged");
    }
}

#[test]
fn what_nobody_uses_is_closed_and_needs_no_recovery() {
    let disk = disk();
    let shared = disk.clone();
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        for topic in ["idle", "busy"] {
            client.create(topic, &[]).await;
            client.produce_all(topic, &numbered(topic, 0..5)).await;
        }
        assert_eq!(unclean(&shared), 2);
        let idle_closed = async {
            for n in 5.. {
                client.produce_all("busy", &numbered("busy", n..n + 1)).await;
                if unclean(&shared) == 1 {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(200), idle_closed).await.expect("the idle partition is closed");
        assert_eq!(client.read_all("idle").await, numbered("idle", 0..5), "it opens again");
    });
    for (seed, cut) in [Cut::Process].into_iter().chain(Cut::POWER).enumerate() {
        let image = disk.image(cut, seed as u64);
        assert_eq!(read_back(&image, "idle"), numbered("idle", 0..5), "{cut:?}");
    }
    disk.crash(Cut::Nothing);
    simulate(&disk, &[], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.produce_all("idle", &["again".to_owned()]).await;
        assert_eq!(client.offset("idle", LATEST).await, 6);
        client.delete("idle").await;
    });
}

#[test]
fn what_a_closed_partition_holds_expires() {
    let disk = disk();
    let shared = disk.clone();
    simulate(&disk, &[("log.retention.check.interval.ms", "10000")], async move |lone| {
        let mut client = Client::of(&lone).await;
        client.create("t", &[("retention.ms", "400000")]).await;
        client.produce_all("t", &numbered("value", 0..5)).await;
        tokio::time::sleep(Duration::from_secs(180)).await;
        assert_eq!(unclean(&shared), 0, "it is closed");
        assert_eq!(client.offset("t", EARLIEST).await, 0);
        tokio::time::sleep(Duration::from_secs(240)).await;
        assert_eq!(unclean(&shared), 0, "it is closed again, and emptied");
        assert_eq!(client.read_all("t").await, Vec::<String>::new());
        assert_eq!((client.offset("t", EARLIEST).await, client.offset("t", LATEST).await), (5, 5));
    });
}

#[test]
fn requests_that_find_no_memory_wait_until_there_is_some() {
    simulate(&disk(), &[("queued.max.request.bytes", "1")], async |lone| {
        let (mut reader, mut writer) = (Client::of(&lone).await, Client::of(&lone).await);
        for topic in ["t", "u"] {
            writer.create(topic, &[]).await;
        }
        let began = tokio::time::Instant::now();
        reader.begin_fetch("t", 0, 2_000).await;
        // Its request takes all there is until it is answered.
        let found = async { reader.end_fetch().await };
        let written = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let produced = writer.produce("u", -1, "value").await;
            (produced, began.elapsed())
        };
        let ((error, values), (produced, after)) = tokio::join!(found, written);
        assert_eq!((error, values.len(), produced), (0, 0, (0, 0)));
        assert!(after >= Duration::from_millis(1_900), "{after:?}");
        assert_eq!(writer.read_all("u").await, ["value"]);
    });
}
