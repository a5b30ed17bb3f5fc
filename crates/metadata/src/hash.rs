//! FNV-1a with 128 bits: the fingerprint of an image. Fixed by definition, so equal on every machine and version. It
//! finds divergence by accident; it is no defence against an adversary.

const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// A running hash.
#[derive(Clone, Debug)]
pub struct Fnv128(u128);

impl Default for Fnv128 {
    fn default() -> Self {
        Fnv128(OFFSET_BASIS)
    }
}

impl Fnv128 {
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    pub fn finish(&self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_definition() {
        let of = |bytes: &[u8]| {
            let mut hash = Fnv128::default();
            hash.update(bytes);
            hash.finish()
        };
        assert_eq!(of(b""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(of(b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
        assert_eq!(of(b"foobar"), 0x343e1662793c64bf6f0d3597ba446f18);
    }
}
