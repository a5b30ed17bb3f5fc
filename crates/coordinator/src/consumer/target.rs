//! What every member is to have in the end.

use std::collections::BTreeMap;

use super::assignor::{Assignor, Subscriber};
use super::{ConsumerGroup, View};

impl ConsumerGroup {
    /// Assigns anew where there is reason to, and not too often.
    pub(super) fn assign_if_due(&mut self, view: &View) {
        let interval_ms = i64::from(view.settings.assignment_interval_ms);
        let too_soon = self.assigned_ms.is_some_and(|at_ms| view.now_ms < at_ms + interval_ms);
        if self.target_epoch >= self.epoch || too_soon {
            return;
        }
        let none = super::Assignment::new();
        let subscribers = self.members.iter().map(|(member_id, member)| Subscriber {
            member_id,
            instance_id: member.instance_id.as_deref(),
            topics: self.subscribed_ids(view, member),
            former: self.targets.get(member_id).unwrap_or(&none),
        });
        let mut targets = self.assignor(view).assign(&subscribers.collect::<Vec<_>>());
        for member_id in self.members.keys() {
            targets.entry(member_id.clone()).or_default();
        }
        for (member_id, target) in &targets {
            if self.targets.get(member_id) != Some(target) {
                self.touched.targets.insert(member_id.clone());
            }
        }
        self.targets = targets;
        self.target_epoch = self.epoch;
        self.assigned_ms = Some(view.now_ms);
        self.touched.head = true;
    }

    /// The assignor that most members ask for, of equals the first by name; the default if none asks.
    pub(super) fn assignor(&self, view: &View) -> Assignor {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.server_assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        let offered = |name: &str| view.settings.assignors.iter().copied().find(|assignor| assignor.name() == name);
        let mut best: Option<(Assignor, usize)> = None;
        for (name, count) in votes {
            if let Some(assignor) = offered(name)
                && best.is_none_or(|(_, most)| count > most)
            {
                best = Some((assignor, count));
            }
        }
        best.map(|(assignor, _)| assignor).or(view.settings.assignors.first().copied()).unwrap_or(Assignor::Uniform)
    }
}
