//! What clients did and saw, and what must hold of it whatever went wrong. Invariants are numbered as in docs/testing.md.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// One record as a client knows it: who wrote it and its number among that writer's records of the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    pub producer: u32,
    pub number: u64,
}

/// A position in a partition.
pub type At = (i32, i64);

#[derive(Default)]
pub struct History {
    trace: Vec<String>,
    acked: BTreeMap<Value, At>,
    /// By producer: whether it is idempotent.
    idempotent: BTreeMap<u32, bool>,
    /// Everything any read returned.
    seen: BTreeMap<At, Value>,
    violations: Vec<String>,
    pub topics_created: Vec<String>,
    pub acked_batches: u64,
    pub failed_calls: u64,
    pub starts: u64,
}

impl History {
    pub fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    pub fn violate(&mut self, text: String) {
        self.note(format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    pub fn producer(&mut self, producer: u32, idempotent: bool) {
        self.idempotent.insert(producer, idempotent);
    }

    pub fn acked(&mut self, value: Value, at: At) {
        if let Some(earlier) = self.acked.insert(value, at)
            && earlier != at
        {
            self.violate(format!("D5: {value:?} was acknowledged at {earlier:?} and at {at:?}"));
        }
    }

    /// D2: what was once read at an offset stays there.
    pub fn read(&mut self, at: At, value: Value) {
        match self.seen.entry(at) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(entry) if *entry.get() == value => {}
            Entry::Occupied(entry) => {
                let earlier = *entry.get();
                self.violate(format!("D2: {at:?} was read as {earlier:?} and later as {value:?}"));
            }
        }
    }

    /// Compares everything with what a last, complete read of the healed broker returned.
    pub fn check(&mut self, last: &BTreeMap<At, Value>) {
        let mut problems = Vec::new();
        for (value, at) in &self.acked {
            if last.get(at) != Some(value) {
                problems.push(format!("D1: {value:?}, acknowledged at {at:?}, reads as {:?}", last.get(at)));
            }
        }
        for (at, value) in &self.seen {
            if last.get(at) != Some(value) {
                problems.push(format!("D2: {value:?}, once read at {at:?}, reads as {:?}", last.get(at)));
            }
        }
        let mut places: BTreeMap<(i32, Value), Vec<i64>> = BTreeMap::new();
        for (&(partition, offset), &value) in last {
            places.entry((partition, value)).or_default().push(offset);
        }
        for ((_, value), offsets) in &places {
            if self.idempotent.get(&value.producer) == Some(&true) && offsets.len() > 1 {
                problems.push(format!("D5: {value:?} of an idempotent producer is at {offsets:?}"));
            }
        }
        problems.extend(self.out_of_order(&places));
        problems.extend(gaps(last));
        for problem in problems {
            self.violate(problem);
        }
    }

    /// D4: the acknowledged records of a producer stand in the order it sent them.
    fn out_of_order(&self, places: &BTreeMap<(i32, Value), Vec<i64>>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut previous: BTreeMap<(i32, u32), (u64, i64)> = BTreeMap::new();
        // Ascending by partition, producer, number.
        for ((partition, value), offsets) in places {
            if !self.acked.contains_key(value) {
                continue;
            }
            let first = offsets[0];
            if let Some((number, offset)) = previous.insert((*partition, value.producer), (value.number, first))
                && offset >= first
            {
                problems.push(format!(
                    "D4: record {number} of producer {} is at {offset}, after record {} at {first}",
                    value.producer, value.number
                ));
            }
        }
        problems
    }

    pub fn into_parts(self) -> (Vec<String>, Vec<String>) {
        (self.trace, self.violations)
    }
}

/// D3: offsets are dense.
fn gaps(last: &BTreeMap<At, Value>) -> Vec<String> {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut problems = Vec::new();
    for &(partition, offset) in last.keys() {
        let expected = next.insert(partition, offset + 1).unwrap_or(0);
        if offset != expected {
            problems.push(format!("D3: partition {partition} goes from {} to {offset}", expected - 1));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(producer: u32, number: u64) -> Value {
        Value { producer, number }
    }

    /// The checker must find what it is there to find.
    #[test]
    fn each_planted_violation_is_found() {
        let violations = |prepare: fn(&mut History), last: &[(At, Value)]| {
            let mut history = History::default();
            history.producer(1, true);
            prepare(&mut history);
            history.check(&last.iter().copied().collect());
            history.into_parts().1
        };
        let good = [((0, 0), value(1, 0)), ((0, 1), value(1, 1))];
        assert!(violations(|h| h.acked(value(1, 1), (0, 1)), &good).is_empty());
        assert!(violations(|h| h.acked(value(1, 2), (0, 2)), &good)[0].starts_with("D1"));
        assert!(violations(|h| h.read((0, 0), value(1, 9)), &good)[0].starts_with("D2"));
        assert!(violations(|_| {}, &[((0, 0), value(1, 0)), ((0, 2), value(1, 1))])[0].starts_with("D3"));
        let swapped = [((0, 0), value(1, 1)), ((0, 1), value(1, 0))];
        let order = violations(
            |h| {
                h.acked(value(1, 0), (0, 1));
                h.acked(value(1, 1), (0, 0));
            },
            &swapped,
        );
        assert!(order[0].starts_with("D4"));
        assert!(violations(|_| {}, &[((0, 0), value(1, 0)), ((0, 1), value(1, 0))])[0].starts_with("D5"));
    }
}
