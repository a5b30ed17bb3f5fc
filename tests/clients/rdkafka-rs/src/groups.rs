//! The checks of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::Outcome;
use crate::contents::Item;
use crate::{KEEP, Suite, expect, until};

const PARTITIONS: i32 = 4;
/// The shortest session that a broker allows.
const SESSION: Duration = Duration::from_secs(6);

/// Who owns which partition, by what members are told.
#[derive(Default)]
struct Owners {
    of: BTreeMap<i32, usize>,
    violations: Vec<String>,
    /// By member.
    revoked: BTreeMap<usize, BTreeSet<i32>>,
}

/// Notes for one member what it is told.
struct Told {
    member: usize,
    owners: Arc<Mutex<Owners>>,
}

impl ClientContext for Told {}

impl ConsumerContext for Told {
    fn pre_rebalance(&self, _: &BaseConsumer<Told>, rebalance: &Rebalance<'_>) {
        let mut owners = self.owners.lock().expect("no holder of this lock panics");
        match rebalance {
            Rebalance::Assign(places) => {
                for place in places.elements() {
                    let before = owners.of.insert(place.partition(), self.member);
                    if before.is_some_and(|other| other != self.member) {
                        owners.violations.push(format!("partition {} has two owners", place.partition()));
                    }
                }
            }
            Rebalance::Revoke(places) => {
                for place in places.elements() {
                    if owners.of.get(&place.partition()) == Some(&self.member) {
                        owners.of.remove(&place.partition());
                    }
                    owners.revoked.entry(self.member).or_default().insert(place.partition());
                }
            }
            Rebalance::Error(error) => owners.violations.push(error.to_string()),
        }
    }
}

type Member = BaseConsumer<Told>;

/// Runs all of them.
pub fn check(suite: &mut Suite) {
    suite.check("group reads from the beginning", reads_all);
    suite.check("group goes on where it committed", goes_on);
    suite.check("two members share", two_share);
    suite.check("a static member comes back unnoticed", static_back);
    suite.check("a static member that stays away is replaced", static_away);
    suite.check("cooperative members give up only what moves", cooperative);
}

fn topic(suite: &Suite) -> String {
    suite.topic("group")
}

fn join(
    suite: &Suite,
    group: &str,
    member: usize,
    owners: &Arc<Mutex<Owners>>,
    own: &[(&str, &str)],
) -> Outcome<Member> {
    let mut config = suite.client.config();
    config
        .set("group.id", suite.topic(group))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", SESSION.as_millis().to_string())
        .set("heartbeat.interval.ms", "500")
        .set("partition.assignment.strategy", "range");
    for (key, value) in own {
        config.set(*key, *value);
    }
    let consumer: Member = config.create_with_context(Told { member, owners: owners.clone() })?;
    consumer.subscribe(&[&topic(suite)])?;
    Ok(consumer)
}

/// Partition and offset of what came within a tenth of a second.
fn poll(member: &Member) -> Outcome<Vec<(i32, i64)>> {
    let mut read = Vec::new();
    let mut wait = Duration::from_millis(100);
    while let Some(message) = member.poll(wait) {
        let message = message?;
        read.push((message.partition(), message.offset()));
        wait = Duration::ZERO;
    }
    Ok(read)
}

fn assignment(member: &Member) -> Outcome<BTreeSet<i32>> {
    Ok(member.assignment()?.elements().iter().map(|place| place.partition()).collect())
}

fn produce(suite: &Suite, count: i32) -> Outcome<()> {
    let item = |n: i32| Item {
        partition: n % PARTITIONS,
        key: None,
        value: Some(n.to_string().into_bytes()),
        headers: Vec::new(),
        timestamp: 1_700_000_000_000 + i64::from(n),
    };
    let items: Vec<Item> = (0..count).map(item).collect();
    suite.client.produce(&topic(suite), &items, "none", "all").map(drop)
}

/// Polls until `count` records came, which must be the offsets from `first` on in each partition.
fn read_through(member: &Member, first: i64, count: usize) -> Outcome<()> {
    let mut read = Vec::new();
    until("all records read", || {
        read.extend(poll(member)?);
        Ok(read.len() >= count)
    })?;
    for partition in 0..PARTITIONS {
        let got: Vec<i64> = read.iter().filter(|(at, _)| *at == partition).map(|(_, offset)| *offset).collect();
        let wanted: Vec<i64> = (first..first + count as i64 / i64::from(PARTITIONS)).collect();
        expect(&format!("offsets of partition {partition}"), &got, &wanted)?;
    }
    Ok(())
}

fn reads_all(suite: &Suite) -> Outcome<()> {
    suite.client.create_topic(&topic(suite), PARTITIONS, &[KEEP])?;
    produce(suite, 200)?;
    let member = join(suite, "readers", 0, &Arc::default(), &[])?;
    read_through(&member, 0, 200)?;
    member.commit_consumer_state(CommitMode::Sync)?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&topic(suite), 0, PARTITIONS - 1);
    let told = member.committed_offsets(asked, crate::client::DEADLINE)?;
    let committed: Vec<Offset> = told.elements().iter().map(|place| place.offset()).collect();
    expect("committed", &committed, &vec![Offset::Offset(50); PARTITIONS as usize])
}

fn goes_on(suite: &Suite) -> Outcome<()> {
    produce(suite, 40)?;
    read_through(&join(suite, "readers", 0, &Arc::default(), &[])?, 50, 40)
}

/// Polls members until each has as many partitions as wanted.
fn until_assigned(wanted: usize, members: &[&Member]) -> Outcome<()> {
    until("partitions assigned", || {
        let mut met = true;
        for member in members {
            poll(member)?;
            met &= assignment(member)?.len() == wanted;
        }
        Ok(met)
    })
}

fn violations(owners: &Mutex<Owners>) -> Outcome<()> {
    let owners = owners.lock().expect("no holder of this lock panics");
    expect("violations", &owners.violations, &Vec::new())
}

fn revoked(owners: &Mutex<Owners>, member: usize) -> BTreeSet<i32> {
    owners.lock().expect("no holder of this lock panics").revoked.get(&member).cloned().unwrap_or_default()
}

fn two_share(suite: &Suite) -> Outcome<()> {
    let owners = Arc::default();
    let first = join(suite, "sharers", 0, &owners, &[])?;
    until_assigned(4, &[&first])?;
    let second = join(suite, "sharers", 1, &owners, &[])?;
    until_assigned(2, &[&first, &second])?;
    drop(second);
    until_assigned(4, &[&first])?;
    violations(&owners)
}

fn static_pair(suite: &Suite, group: &str, owners: &Arc<Mutex<Owners>>) -> Outcome<(Member, Member)> {
    let stays = join(suite, group, 0, owners, &[("group.instance.id", "stays")])?;
    let goes = join(suite, group, 1, owners, &[("group.instance.id", "goes")])?;
    until_assigned(2, &[&stays, &goes])?;
    Ok((stays, goes))
}

fn static_back(suite: &Suite) -> Outcome<()> {
    let owners = Arc::default();
    let (stays, goes) = static_pair(suite, "static", &owners)?;
    let (had, before) = (assignment(&goes)?, revoked(&owners, 0));
    drop(goes);
    let back = join(suite, "static", 1, &owners, &[("group.instance.id", "goes")])?;
    until_assigned(2, &[&stays, &back])?;
    expect("partitions", &assignment(&back)?, &had)?;
    expect("taken from the other", &revoked(&owners, 0), &before)
}

fn static_away(suite: &Suite) -> Outcome<()> {
    let (stays, goes) = static_pair(suite, "away", &Arc::default())?;
    drop(goes);
    let gone = Instant::now();
    until_assigned(4, &[&stays])?;
    if gone.elapsed() < SESSION / 2 {
        return Err(format!("replaced after {:?}, before its session was over", gone.elapsed()).into());
    }
    Ok(())
}

fn cooperative(suite: &Suite) -> Outcome<()> {
    let (owners, own) = (Arc::default(), [("partition.assignment.strategy", "cooperative-sticky")]);
    let first = join(suite, "cooperative", 0, &owners, &own)?;
    until_assigned(4, &[&first])?;
    let second = join(suite, "cooperative", 1, &owners, &own)?;
    until_assigned(2, &[&first, &second])?;
    expect("number taken from the first", &revoked(&owners, 0).len(), &2)?;
    violations(&owners)
}
