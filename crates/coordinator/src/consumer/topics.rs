//! What a group subscribes to, against the topics there are.

use std::collections::{BTreeMap, BTreeSet};

use chronik_protocol::types::TopicId;

use super::View;
use super::pattern::Pattern;

/// Patterns are not held against new topics more often than this; Kafka's.
const MIN_RESOLVE_INTERVAL_MS: i64 = 10_000;

/// A topic as its consumers need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub id: TopicId,
    pub partitions: i32,
}

/// The topics there are.
pub trait Topics {
    /// Another number whenever a topic or a partition has come or gone.
    fn version(&self) -> i64;
    fn topic(&self, name: &str) -> Option<TopicInfo>;
    fn name(&self, id: TopicId) -> Option<&str>;
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;
}

/// The patterns of a group with the topics that match, and a digest of all topics subscribed to.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    patterns: BTreeMap<String, (Pattern, BTreeSet<String>)>,
    /// When and for which topics all patterns were last held against their names.
    resolved: Option<(i64, i64)>,
    /// For which topics `digest` is.
    digested: Option<i64>,
    /// Of the topics subscribed to: names, ids and numbers of partitions.
    pub digest: u64,
}

impl Subscriptions {
    pub fn restored(digest: u64) -> Self {
        Subscriptions { digest, ..Subscriptions::default() }
    }

    pub fn knows(&self, pattern: &str) -> bool {
        self.patterns.contains_key(pattern)
    }

    /// The topics that match a pattern.
    pub fn matching(&self, pattern: &str) -> Option<&BTreeSet<String>> {
        self.patterns.get(pattern).map(|(_, names)| names)
    }

    /// The topics that match any pattern.
    pub fn matched(&self) -> impl Iterator<Item = &String> {
        self.patterns.values().flat_map(|(_, names)| names.iter())
    }

    pub fn add(&mut self, pattern: Option<Pattern>, view: &View) {
        let Some(pattern) = pattern else { return };
        let names = resolve(&pattern, view);
        self.patterns.insert(pattern.text.clone(), (pattern, names));
    }

    pub fn retain(&mut self, is_used: impl Fn(&str) -> bool) {
        self.patterns.retain(|pattern, _| is_used(pattern));
    }

    /// Whether what is subscribed to has changed, by other topics or, where `changed` says that it may have, by other
    /// subscriptions. `names` are those subscribed to by name.
    pub fn refresh<'a>(&mut self, view: &View, names: impl Iterator<Item = &'a String>, changed: bool) -> bool {
        let version = view.topics.version();
        let resolved_anew = self.resolve_if_due(view, version);
        if !changed && !resolved_anew && self.digested == Some(version) {
            return false;
        }
        self.digested = Some(version);
        let mut all: BTreeSet<&str> = self.matched().map(String::as_str).collect();
        for name in names {
            all.insert(name);
        }
        let mut digest = 0;
        for name in all {
            if let Some(topic) = view.topics.topic(name) {
                digest = fold(digest, name.as_bytes());
                digest = fold(digest, topic.id.as_bytes());
                digest = fold(digest, &topic.partitions.to_be_bytes());
            }
        }
        std::mem::replace(&mut self.digest, digest) != digest || resolved_anew
    }

    /// Whether some pattern matches other topics than before.
    fn resolve_if_due(&mut self, view: &View, version: i64) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        let since_ms = self.resolved.map(|(at_ms, _)| view.now_ms - at_ms);
        let is_due = match (since_ms, self.resolved) {
            (Some(since_ms), Some((_, known))) => {
                let longest_ms = i64::from(view.settings.regex_refresh_interval_ms);
                since_ms > longest_ms || (known != version && since_ms > MIN_RESOLVE_INTERVAL_MS)
            }
            _ => true,
        };
        if !is_due {
            return false;
        }
        self.resolved = Some((view.now_ms, version));
        let mut changed = false;
        for (pattern, names) in self.patterns.values_mut() {
            let now = resolve(pattern, view);
            changed |= now != *names;
            *names = now;
        }
        changed
    }
}

fn resolve(pattern: &Pattern, view: &View) -> BTreeSet<String> {
    view.topics.names().filter(|name| pattern.matches(name)).map(str::to_owned).collect()
}

/// FNV-1a over the length of a part and the part; 0 stands for nothing at all.
fn fold(digest: u64, part: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let length = (part.len() as u32).to_be_bytes();
    let start = if digest == 0 { OFFSET } else { digest };
    length.iter().chain(part).fold(start, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(PRIME))
}
