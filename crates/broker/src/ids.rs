//! Kafka's text form of a UUID: URL-safe base64 of its 16 bytes without padding, 22 characters.

use chronik_protocol::Uuid;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn to_base64(id: Uuid) -> String {
    // 22 digits hold 132 bits; the last one carries 2 bits of the id and 4 zeros.
    let bits = id.as_u128();
    (0..22)
        .map(|i| {
            let digit = if i < 21 { (bits >> (122 - 6 * i)) & 63 } else { (bits & 3) << 4 };
            char::from(DIGITS[digit as usize])
        })
        .collect()
}

/// `None` for anything [`to_base64`] does not write.
pub(crate) fn from_base64(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let mut bits = 0u128;
    for (i, byte) in text.bytes().enumerate() {
        let digit = DIGITS.iter().position(|&d| d == byte)? as u128;
        if i < 21 {
            bits = (bits << 6) | digit;
        } else if digit & 15 != 0 {
            return None;
        } else {
            bits = (bits << 2) | (digit >> 4);
        }
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kafkas_base64() {
        assert_eq!(to_base64(Uuid::from_u128(0)), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(to_base64(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(to_base64(Uuid::from_u128(u128::MAX)), "_____________________w");
        for id in [0, 1, 0x0123_4567_89ab_cdef_0011_2233_4455_6677, u128::MAX] {
            assert_eq!(from_base64(&to_base64(Uuid::from_u128(id))), Some(Uuid::from_u128(id)));
        }
        for bad in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA=="] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }
}
