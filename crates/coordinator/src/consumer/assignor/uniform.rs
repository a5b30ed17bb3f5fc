//! As evenly as possible, and each keeps what it had as far as that allows.
//!
//! What has no owner goes to the subscriber with the least, topics with the fewest subscribers first; then partitions move
//! from those with more to those with less by at least two. Each move makes the loads more even, so that this ends.

use std::collections::{BTreeMap, BTreeSet};

use chronik_protocol::types::{PartitionId, TopicId};

use super::{Assignment, Subscriber};

pub(super) fn assign(subscribers: &[Subscriber]) -> BTreeMap<String, Assignment> {
    let mut loads = Loads::new(subscribers);
    let mut owners = loads.keep_former(subscribers);
    loads.give_out(&mut owners);
    if !loads.all_alike(subscribers) || !loads.even_out_alike(&mut owners) {
        loads.even_out(&mut owners);
    }
    let mut assignments: BTreeMap<String, Assignment> = BTreeMap::new();
    for ((topic_id, partition), owner) in owners {
        let assignment = assignments.entry(subscribers[owner].member_id.to_owned()).or_default();
        assignment.entry(topic_id).or_default().insert(partition);
    }
    assignments
}

/// Owners are indexes of subscribers.
type Owners = BTreeMap<(TopicId, PartitionId), usize>;

struct Loads {
    /// How many partitions each subscriber has.
    counts: Vec<usize>,
    /// Partitions and subscribers of each topic.
    topics: BTreeMap<TopicId, (i32, Vec<usize>)>,
}

impl Loads {
    fn new(subscribers: &[Subscriber]) -> Self {
        let mut topics: BTreeMap<TopicId, (i32, Vec<usize>)> = BTreeMap::new();
        for (index, one) in subscribers.iter().enumerate() {
            for (topic_id, partitions) in &one.topics {
                topics.entry(*topic_id).or_insert((*partitions, Vec::new())).1.push(index);
            }
        }
        Loads { counts: vec![0; subscribers.len()], topics }
    }

    fn keep_former(&mut self, subscribers: &[Subscriber]) -> Owners {
        let mut owners = Owners::new();
        for (index, one) in subscribers.iter().enumerate() {
            for (topic_id, partitions) in one.former {
                let Some(count) = one.topics.get(topic_id) else { continue };
                for partition in partitions.range(..*count) {
                    if owners.insert((*topic_id, *partition), index).is_none() {
                        self.counts[index] += 1;
                    }
                }
            }
        }
        owners
    }

    fn give_out(&mut self, owners: &mut Owners) {
        let mut topics: Vec<_> = self.topics.iter().collect();
        topics.sort_by_key(|(topic_id, (_, members))| (members.len(), **topic_id));
        for (topic_id, (partitions, members)) in topics {
            let mut by_load: BTreeSet<(usize, usize)> =
                members.iter().map(|member| (self.counts[*member], *member)).collect();
            for partition in 0..*partitions {
                let place = (*topic_id, partition);
                if owners.contains_key(&place) {
                    continue;
                }
                let Some((load, member)) = by_load.pop_first() else { break };
                owners.insert(place, member);
                self.counts[member] = load + 1;
                by_load.insert((load + 1, member));
            }
        }
    }

    fn all_alike(&self, subscribers: &[Subscriber]) -> bool {
        subscribers.windows(2).all(|pair| pair[0].topics == pair[1].topics)
    }

    /// Where all subscribe to the same, anything can go to anybody: those with more than their share give what they have
    /// last to those with less. Whether it is now even.
    fn even_out_alike(&mut self, owners: &mut Owners) -> bool {
        let Some(least_share) = owners.len().checked_div(self.counts.len()) else { return true };
        let mut with_one_more = owners.len() % self.counts.len();
        // Those that have the most keep the one more: fewest changes.
        let mut order: Vec<usize> = (0..self.counts.len()).collect();
        order.sort_by_key(|member| std::cmp::Reverse(self.counts[*member]));
        let mut shares = vec![least_share; self.counts.len()];
        for member in order {
            if with_one_more > 0 {
                shares[member] += 1;
                with_one_more -= 1;
            }
        }
        let mut takers: Vec<usize> =
            (0..shares.len()).rev().filter(|member| self.counts[*member] < shares[*member]).collect();
        for owner in owners.values_mut().rev() {
            if self.counts[*owner] <= shares[*owner] {
                continue;
            }
            let Some(taker) = takers.last().copied() else { return false };
            self.counts[*owner] -= 1;
            self.counts[taker] += 1;
            *owner = taker;
            if self.counts[taker] == shares[taker] {
                takers.pop();
            }
        }
        takers.is_empty()
    }

    fn even_out(&mut self, owners: &mut Owners) {
        loop {
            let mut moved = false;
            for ((topic_id, _), owner) in owners.iter_mut() {
                let Some((_, members)) = self.topics.get(topic_id) else { continue };
                let least = members.iter().copied().min_by_key(|member| (self.counts[*member], *member));
                let Some(least) = least.filter(|least| self.counts[*least] + 1 < self.counts[*owner]) else { continue };
                self.counts[*owner] -= 1;
                self.counts[least] += 1;
                *owner = least;
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }
}
