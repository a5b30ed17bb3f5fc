//! `partition.metadata`: which topic id a partition's directory belongs to (KIP-516).

use std::io;
use std::path::Path;

use chronik_env::fs::{Disk, read_file, replace_file};
use chronik_protocol::types::TopicId;

use crate::checkpoint::number;
use crate::error::OpenError;

pub const FILE_NAME: &str = "partition.metadata";

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Base64 digits of a 16-byte id.
const ID_DIGITS: usize = 22;

/// The topic id of a partition's directory; `None` when it has no such file.
pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<TopicId>, OpenError> {
    let file = dir.join(FILE_NAME);
    let Some(bytes) = read_file(disk, &file, 4096).map_err(OpenError::io(&file))? else { return Ok(None) };
    let invalid = |reason| OpenError::Invalid { file: file.clone(), reason };
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("not text"))?;
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("version: ")).and_then(number::<i64>);
    match version {
        Some(0) => {}
        Some(version) => return Err(OpenError::UnknownVersion { file: file.clone(), version }),
        None => return Err(invalid("no version")),
    }
    let id = lines
        .next()
        .and_then(|line| line.strip_prefix("topic_id: "))
        .and_then(decode_id)
        .ok_or_else(|| invalid("no topic id"))?;
    if lines.next().is_some() {
        return Err(invalid("more than two lines"));
    }
    Ok(Some(id))
}

/// Writes the file; durable when this returns.
pub fn write(disk: &dyn Disk, dir: &Path, id: TopicId) -> io::Result<()> {
    replace_file(disk, &dir.join(FILE_NAME), format!("version: 0\ntopic_id: {}", encode_id(id)).as_bytes())
}

/// An id as Kafka writes it: base64 with `-` and `_`, no padding.
pub fn encode_id(id: TopicId) -> String {
    let bits = id.as_u128();
    // 21 digits of 6 bits, then the last 2 bits, padded with zeros.
    let high = (0..ID_DIGITS - 1).map(|i| (bits >> (122 - 6 * i)) as usize & 63);
    high.chain([(bits << 4) as usize & 63]).map(|digit| char::from(DIGITS[digit])).collect()
}

/// The inverse of [`encode_id`]; `None` for anything that function does not write.
pub fn decode_id(text: &str) -> Option<TopicId> {
    if text.len() != ID_DIGITS {
        return None;
    }
    let mut bits: u128 = 0;
    for (i, byte) in text.bytes().enumerate() {
        let digit = DIGITS.iter().position(|&d| d == byte)? as u128;
        bits = if i < ID_DIGITS - 1 {
            bits << 6 | digit
        } else if digit & 15 == 0 {
            bits << 2 | digit >> 4
        } else {
            return None;
        };
    }
    Some(TopicId::from_u128(bits))
}
