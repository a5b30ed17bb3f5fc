//! Topic ids from a seed (SplitMix64).

use chronik_protocol::types::TopicId;

/// A generator of topic ids. Equal seeds give equal ids.
#[derive(Clone, Debug)]
pub(crate) struct Ids(u64);

impl Ids {
    pub fn new(seed: u64) -> Self {
        Ids(seed)
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A version 4 UUID for which `taken` is false, and whose base64 form starts with no dash, which tools would take
    /// for a flag. Version bits keep it apart from Kafka's reserved ids.
    pub fn topic_id(&mut self, taken: impl Fn(TopicId) -> bool) -> TopicId {
        loop {
            let bytes = (u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())).to_be_bytes();
            let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
            let starts_with_dash = id.as_bytes()[0] & 0xfc == 0xf8;
            if !starts_with_dash && !taken(id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_replay_from_the_seed_and_are_never_taken_twice() {
        let (mut a, mut b) = (Ids::new(7), Ids::new(7));
        let first = a.topic_id(|_| false);
        assert_eq!(first, b.topic_id(|_| false));
        assert_eq!(first.get_version_num(), 4);
        assert_ne!(Ids::new(7).topic_id(|id| id == first), first);
        assert!((0..10_000).all(|_| a.topic_id(|_| false).as_bytes()[0] & 0xfc != 0xf8));
    }
}
