//! A topic's name in 24 bytes: most names need no allocation of their own.

use std::sync::Arc;

const INLINE: usize = 22;

#[derive(Clone)]
pub(crate) enum Name {
    /// Invariant: the first `len` bytes are UTF-8.
    Short {
        len: u8,
        bytes: [u8; INLINE],
    },
    Long(Arc<str>),
}

impl Name {
    pub fn new(name: &str) -> Self {
        if name.len() > INLINE {
            return Name::Long(name.into());
        }
        let mut bytes = [0; INLINE];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Name::Short { len: name.len() as u8, bytes }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Name::Short { len, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*len)]).expect("a short name holds the bytes of a str")
            }
            Name::Long(name) => name,
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Name::Short { .. } => 0,
            Name::Long(name) => 16 + name.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_names_read_back() {
        for len in 0..60 {
            let name = "é1".chars().cycle().take(len).collect::<String>();
            assert_eq!(Name::new(&name).as_str(), name);
        }
        assert_eq!(size_of::<Name>(), 24);
    }
}
