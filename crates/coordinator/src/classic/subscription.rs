//! What consumers tell each other of themselves: the one part of it that a coordinator looks into, their topics.

use std::collections::BTreeSet;

use super::{CONSUMER, ClassicGroup};

/// The topics of a consumer's subscription: its version (2 bytes), then a count (4 bytes) of names, each with its length
/// (2 bytes); all big-endian. More follows, which depends on the version. `None` where it makes no sense.
pub fn topics(subscription: &[u8]) -> Option<Vec<&str>> {
    let (version, rest) = subscription.split_first_chunk()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let (len, name) = rest.split_first_chunk()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        topics.push(std::str::from_utf8(name.get(..len)?).ok()?);
        rest = &name[len..];
    }
    Some(topics)
}

impl ClassicGroup {
    /// All topics that members subscribe to; none where there are no members. `None` where the members are no consumers,
    /// or do not say.
    pub fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let mut all = BTreeSet::new();
        for protocol in self.members.values().flat_map(|member| &member.protocols) {
            all.extend(topics(&protocol.metadata)?.into_iter().map(str::to_owned));
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_a_subscription() {
        let two = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        assert_eq!(topics(two), Some(vec!["a", "bc"]));
        assert_eq!(topics(b"\0\0\0\0\0\0"), Some(vec![]));
        for len in 0..13 {
            assert_eq!(topics(&two[..len]), None, "cut at {len}");
        }
        assert_eq!(topics(b"\xff\xff\0\0\0\0"), None, "a negative version");
        assert_eq!(topics(b"\0\0\xff\xff\xff\xff"), None, "a negative count");
        assert_eq!(topics(b"\0\0\x7f\xff\xff\xff\0\0"), None, "a count beyond the bytes");
        assert_eq!(topics(b"\0\0\0\0\0\x01\0\x01\xff"), None, "not UTF-8");
    }
}
