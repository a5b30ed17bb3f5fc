//! What consumers of the classic protocol carry within it: their subscriptions and assignments, which the coordinator has
//! to read and write once it assigns for them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

/// The last version of a subscription; a later one is read as this.
const LAST_VERSION: i16 = 3;
/// The first version in which a consumer says what it owns.
const FIRST_WITH_OWNED: i16 = 1;
/// The first version in which it says in which generation that was.
const FIRST_WITH_GENERATION: i16 = 2;
/// The first version with a rack.
const FIRST_WITH_RACK: i16 = 3;

/// Partitions by topic name.
pub(super) type Named = BTreeMap<String, BTreeSet<i32>>;

/// What a consumer says of itself. All numbers are big-endian; lists have counts of four bytes, names lengths of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EmbeddedSubscription {
    pub version: i16,
    pub topics: BTreeSet<String>,
    /// Empty also where the version is too low to say.
    pub owned: Named,
    pub rack_id: Option<String>,
}

/// Reads a subscription; `None` where it makes no sense.
pub(super) fn subscription(bytes: &[u8]) -> Option<EmbeddedSubscription> {
    let mut reader = Reader(bytes);
    let version = reader.i16().filter(|version| *version >= 0)?.min(LAST_VERSION);
    let count = reader.count()?;
    let topics = (0..count).map(|_| reader.text()).collect::<Option<_>>()?;
    reader.user_data()?;
    let owned = if version >= FIRST_WITH_OWNED { reader.named()? } else { Named::new() };
    if version >= FIRST_WITH_GENERATION {
        reader.i32()?;
    }
    let rack_id = if version >= FIRST_WITH_RACK { reader.optional_text()? } else { None };
    Some(EmbeddedSubscription { version, topics, owned, rack_id })
}

/// Reads an assignment; `None` where it makes no sense, or says more than partitions, as assignors of the clients' own do.
pub(super) fn assignment(bytes: &[u8]) -> Option<Named> {
    if bytes.is_empty() {
        return Some(Named::new());
    }
    let mut reader = Reader(bytes);
    reader.i16().filter(|version| *version >= 0)?;
    let named = reader.named()?;
    let user_data = if reader.0.is_empty() { &[][..] } else { reader.user_data()? };
    user_data.is_empty().then_some(named)
}

/// Writes an assignment.
pub(super) fn to_assignment(version: i16, named: &Named) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(version);
    out.put_i32(named.len() as i32);
    for (name, partitions) in named {
        out.put_i16(name.len() as i16);
        out.put_slice(name.as_bytes());
        out.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    // No user data.
    out.put_i32(-1);
    out.freeze()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*taken))
    }

    fn i32(&mut self) -> Option<i32> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*taken))
    }

    /// A count of things that take at least two bytes each: no more than there is room for.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.i32()?).ok().filter(|count| *count <= self.0.len() / 2)
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.i16()?).ok()?;
        Some(std::str::from_utf8(self.take(len)?).ok()?.to_owned())
    }

    fn optional_text(&mut self) -> Option<Option<String>> {
        let mut ahead = Reader(self.0);
        match ahead.i16()? {
            -1 => {
                *self = ahead;
                Some(None)
            }
            _ => self.text().map(Some),
        }
    }

    fn user_data(&mut self) -> Option<&'a [u8]> {
        match self.i32()? {
            -1 => Some(&[]),
            len => self.take(usize::try_from(len).ok()?),
        }
    }

    fn named(&mut self) -> Option<Named> {
        let mut named = Named::new();
        for _ in 0..self.count()? {
            let name = self.text()?;
            let partitions = (0..self.count()?).map(|_| self.i32()).collect::<Option<BTreeSet<i32>>>()?;
            named.entry(name).or_default().extend(partitions);
        }
        Some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_of_all_versions() {
        let v0 = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
        let read = subscription(v0).expect("a subscription");
        assert_eq!((read.version, read.topics.len(), read.owned.len()), (0, 1, 0));
        let v3 = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x01x\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x04\0\0\0\x07\0\x01r";
        let read = subscription(v3).expect("a subscription");
        assert_eq!(read.owned, Named::from([("t".to_owned(), BTreeSet::from([0, 4]))]));
        assert_eq!(read.rack_id.as_deref(), Some("r"));
        for len in 0..v3.len() {
            assert_eq!(subscription(&v3[..len]), None, "cut at {len}");
        }
    }

    #[test]
    fn assignments_are_read_as_they_are_written() {
        let named = Named::from([("t".to_owned(), BTreeSet::from([0, 4])), ("u".to_owned(), BTreeSet::new())]);
        let bytes = to_assignment(1, &named);
        assert_eq!(&bytes[..9], b"\0\x01\0\0\0\x02\0\x01t");
        assert_eq!(assignment(&bytes), Some(named));
        assert_eq!(assignment(b""), Some(Named::new()));
        assert_eq!(assignment(b"\0\0\0\0\0\0\0\0\0\x01x"), None, "what another assignor says would be lost");
        assert_eq!(assignment(b"\0\0\x7f\xff\xff\xff"), None, "a count beyond the bytes");
    }
}
