//! What every metadata log promises, whatever stands behind it. A back end runs the suite by implementing [`Backend`].

mod common;

use std::sync::Arc;

use chronik_env::sim_disk::SimDisk;
use chronik_metadata::{Image, Record};
use chronik_protocol::batch::{BatchHeader, HEADER_LEN, crc_of};
use chronik_protocol::records::{self, Limits};
use chronik_quorum::{MetadataLog, Proposal, ProposeError};
use common::{commit_topic, next, topic_records, within};

/// A way to open one and the same log again and again.
trait Backend {
    async fn open(&self) -> Arc<dyn MetadataLog>;
}

struct Local(SimDisk);

impl Backend for Local {
    async fn open(&self) -> Arc<dyn MetadataLog> {
        common::open_unclean(&self.0).await.expect("opens")
    }
}

macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::Local(super::common::new_disk(1))).await;
            })*
        }
    };
}

suite! {
    a_commit_is_published_before_it_is_answered,
    batches_get_the_order_of_the_calls,
    a_batch_decided_on_something_else_is_refused,
    a_batch_is_whole_in_one_record_batch,
    the_log_replays_to_the_image,
    everything_is_there_after_a_restart,
    the_epoch_rises_with_each_start,
    subscribers_see_the_newest_image,
    a_barrier_covers_what_was_acknowledged,
    a_closed_log_refuses,
}

async fn a_commit_is_published_before_it_is_answered(backend: &impl Backend) {
    let log = backend.open().await;
    for number in 0..20 {
        let proposal = next(&*log, topic_records(number));
        let (first, count) = (proposal.base_offset, proposal.records.len() as i64);
        let committed = within(log.propose(proposal)).await.expect("commits");
        assert_eq!((committed.offset, committed.epoch), (first + count - 1, log.leader().epoch));
        let image = log.image();
        assert_eq!((image.offset(), image.epoch()), (committed.offset, committed.epoch));
        assert!(image.topic(&format!("topic-{number}")).is_some(), "no waiting, no polling");
    }
}

async fn batches_get_the_order_of_the_calls(backend: &impl Backend) {
    let log = backend.open().await;
    let base = log.image().offset() + 1;
    let epoch = log.leader().epoch;
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            log.propose(Proposal { epoch, base_offset: base + 2 * number as i64, records: topic_records(number) })
        })
        .collect();
    for (number, outcome) in (0..).zip(waiting) {
        assert_eq!(within(outcome).await.expect("commits").offset, base + 2 * number + 1);
    }
    assert_eq!(log.image().topic_count(), 200);
}

async fn a_batch_decided_on_something_else_is_refused(backend: &impl Backend) {
    let log = backend.open().await;
    commit_topic(&*log, 0).await;
    let before = log.image().hash();
    let good = next(&*log, topic_records(1));
    for base_offset in [good.base_offset - 1, good.base_offset + 1, 0, -1] {
        let refused = within(log.propose(Proposal { base_offset, ..good.clone() })).await;
        assert_eq!(refused, Err(ProposeError::Stale { base_offset, log_end_offset: good.base_offset }));
    }
    for epoch in [good.epoch - 1, good.epoch + 1] {
        let refused = within(log.propose(Proposal { epoch, ..good.clone() })).await;
        assert_eq!(refused, Err(ProposeError::NotController { epoch }));
    }
    assert_eq!(log.image().hash(), before);
    within(log.propose(good)).await.expect("the log goes on");
}

/// All batches of the log: header and metadata records.
fn batches(log: &dyn MetadataLog) -> Vec<(BatchHeader, Vec<Record>)> {
    let (reader, end) = (log.reader(), log.image().offset() + 1);
    let (mut next, mut found) = (0, Vec::new());
    while next < end {
        let mut bytes = reader.read(next, 1 << 16, true, end).expect("the log can be read");
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes).expect("a whole header");
            let batch = bytes.split_to(header.size().expect("a length"));
            assert_eq!(crc_of(&batch), header.crc);
            let records = records::iterate(&header, &batch.slice(HEADER_LEN..), Limits { max_output_bytes: 1 << 20 })
                .expect("records");
            let decode = |record: Result<records::Record, _>| {
                let value = record.expect("a record").value.expect("a value");
                Record::decode(&value).expect("a metadata record")
            };
            found.push((header, records.map(decode).collect()));
            next = header.next_offset();
        }
    }
    found
}

/// One operation is one atomic batch: a crash leaves no topic without its partitions.
async fn a_batch_is_whole_in_one_record_batch(backend: &impl Backend) {
    let log = backend.open().await;
    let proposals: Vec<_> = (0..10).map(topic_records).collect();
    for number in 0..10 {
        commit_topic(&*log, number).await;
    }
    let found: Vec<_> = batches(&*log).into_iter().map(|(_, records)| records).collect();
    assert_eq!(found, proposals);
}

async fn the_log_replays_to_the_image(backend: &impl Backend) {
    for restart in 0..3 {
        let log = backend.open().await;
        for number in 0..10 {
            commit_topic(&*log, restart * 10 + number).await;
        }
        let mut image = Image::default();
        for (header, records) in batches(&*log) {
            for (offset, record) in (header.base_offset..).zip(&records) {
                image.apply(offset, header.partition_leader_epoch, record);
            }
        }
        let live = log.image();
        assert_eq!((image.offset(), image.epoch(), image.hash()), (live.offset(), live.epoch(), live.hash()));
        within(log.close()).await;
    }
}

async fn everything_is_there_after_a_restart(backend: &impl Backend) {
    let mut expected = (-1, -1, Image::default().hash());
    for restart in 0..5 {
        let log = backend.open().await;
        let image = log.image();
        assert_eq!((image.offset(), image.epoch(), image.hash()), expected, "restart {restart}");
        for number in 0..7 {
            commit_topic(&*log, restart * 7 + number).await;
        }
        let image = log.image();
        expected = (image.offset(), image.epoch(), image.hash());
        within(log.close()).await;
    }
}

async fn the_epoch_rises_with_each_start(backend: &impl Backend) {
    let mut last = 0;
    for number in 0..4 {
        let log = backend.open().await;
        let leader = log.leader();
        assert!(leader.epoch > last && leader.controller == Some(1), "{leader:?} after epoch {last}");
        last = leader.epoch;
        commit_topic(&*log, number).await;
        within(log.close()).await;
    }
}

async fn subscribers_see_the_newest_image(backend: &impl Backend) {
    let log = backend.open().await;
    let mut images = log.subscribe();
    for number in 0..5 {
        commit_topic(&*log, number).await;
        within(images.wait_for(|image| image.topic_count() == number + 1)).await.expect("the log lives");
    }
}

async fn a_barrier_covers_what_was_acknowledged(backend: &impl Backend) {
    let log = backend.open().await;
    for number in 0..5 {
        commit_topic(&*log, number).await;
        let acknowledged = log.image().offset();
        assert!(within(log.read_barrier()).await.expect("a barrier") >= acknowledged);
        assert!(log.image().offset() >= acknowledged);
    }
}

async fn a_closed_log_refuses(backend: &impl Backend) {
    let log = backend.open().await;
    commit_topic(&*log, 0).await;
    let late = next(&*log, topic_records(1));
    within(log.close()).await;
    within(log.close()).await;
    assert_eq!(within(log.propose(late)).await, Err(ProposeError::Closed));
    assert_eq!(log.image().topic_count(), 1, "the image can still be read");
}
