//! One Fetch request, to see with which codec batches were stored: a client hands out records
//! uncompressed and would not notice a broker or producer that drops the compression.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const FETCH: i16 = 1;
/// The first version in which zstd may be answered; still without flexible fields.
const FETCH_VERSION: i16 = 10;
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes asked for, more than any topic of the tests holds in one partition.
const MAX_BYTES: i32 = 32 << 20;
/// Where the attributes stand in a v2 batch, whose low three bits are the codec.
const ATTRIBUTES: usize = 21;
/// Bytes of base offset and length, which the length does not count.
const BATCH_PREFIX: usize = 12;

/// A compression codec and its number in the batch attributes.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    pub name: &'static str,
    pub id: u8,
}

/// All codecs, by the names that topics of the client programs end with.
pub const CODECS: [Codec; 5] = [
    Codec { name: "none", id: 0 },
    Codec { name: "gzip", id: 1 },
    Codec { name: "snappy", id: 2 },
    Codec { name: "lz4", id: 3 },
    Codec { name: "zstd", id: 4 },
];

/// Why a topic is not stored as it should be.
#[derive(Debug)]
pub enum WireError {
    Io(io::Error),
    /// The answer is not what a Fetch of this version looks like.
    Malformed,
    /// The broker's error code.
    Code(i16),
    /// The codec numbers that were found.
    Codecs(Vec<u8>),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "fetch: {error}"),
            Self::Malformed => f.write_str("fetch: malformed answer"),
            Self::Code(code) => write!(f, "fetch: error code {code}"),
            Self::Codecs(found) => write!(f, "the batches have codecs {found:?}"),
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Checks that partition 0 of `topic` has batches of this codec and otherwise uncompressed ones
/// only, which producers send where compression would not make them smaller.
pub fn stored_codec(bootstrap: &str, topic: &str, codec: Codec) -> Result<(), WireError> {
    let mut stream = TcpStream::connect(bootstrap)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(&request(topic))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = Vec::new();
    stream.take(u64::from(u32::from_be_bytes(length))).read_to_end(&mut answer)?;
    let found = codecs(records(&answer)?)?;
    if found.contains(&codec.id) && found.iter().all(|&id| id == codec.id || id == 0) {
        return Ok(());
    }
    Err(WireError::Codecs(found))
}

/// A framed Fetch of partition 0 from offset 0 on, without a session.
fn request(topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let short = |body: &mut Vec<u8>, text: &str| {
        body.extend((text.len() as i16).to_be_bytes());
        body.extend(text.as_bytes());
    };
    body.extend(FETCH.to_be_bytes());
    body.extend(FETCH_VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes()); // correlation id
    short(&mut body, "xtask");
    body.extend((-1_i32).to_be_bytes()); // replica id
    body.extend(1000_i32.to_be_bytes()); // longest wait, milliseconds
    body.extend(1_i32.to_be_bytes()); // least bytes
    body.extend(MAX_BYTES.to_be_bytes());
    body.push(0); // isolation level
    body.extend(0_i32.to_be_bytes()); // session id
    body.extend((-1_i32).to_be_bytes()); // session epoch
    body.extend(1_i32.to_be_bytes()); // topics
    short(&mut body, topic);
    body.extend(1_i32.to_be_bytes()); // partitions
    body.extend(0_i32.to_be_bytes());
    body.extend((-1_i32).to_be_bytes()); // leader epoch
    body.extend(0_i64.to_be_bytes()); // offset
    body.extend((-1_i64).to_be_bytes()); // log start offset
    body.extend(MAX_BYTES.to_be_bytes());
    body.extend(0_i32.to_be_bytes()); // forgotten topics
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// Takes fields off the front of an answer.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.bytes(2)?.try_into().map_err(|_| WireError::Malformed)?))
    }

    fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.bytes(4)?.try_into().map_err(|_| WireError::Malformed)?))
    }

    /// A count or length; null counts as 0.
    fn count(&mut self) -> Result<usize, WireError> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    fn expect_no_error(&mut self) -> Result<(), WireError> {
        match self.i16()? {
            0 => Ok(()),
            code => Err(WireError::Code(code)),
        }
    }
}

/// The records of the one partition in the answer.
fn records(answer: &[u8]) -> Result<&[u8], WireError> {
    let mut reader = Reader(answer);
    reader.bytes(8)?; // correlation id, throttle time
    reader.expect_no_error()?;
    reader.bytes(4)?; // session id
    if reader.i32()? != 1 {
        return Err(WireError::Malformed);
    }
    let name = usize::try_from(reader.i16()?).map_err(|_| WireError::Malformed)?;
    reader.bytes(name)?;
    if reader.i32()? != 1 {
        return Err(WireError::Malformed);
    }
    reader.bytes(4)?; // partition
    reader.expect_no_error()?;
    reader.bytes(24)?; // high watermark, last stable offset, log start offset
    let aborted = reader.count()?;
    reader.bytes(aborted.saturating_mul(16))?;
    let length = reader.count()?;
    reader.bytes(length)
}

/// The codec of each whole batch.
fn codecs(records: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut reader = Reader(records);
    let mut found = Vec::new();
    while reader.0.len() > BATCH_PREFIX {
        let prefix = reader.bytes(BATCH_PREFIX)?;
        let length = Reader(&prefix[8..]).count()?;
        let Ok(batch) = reader.bytes(length) else {
            break;
        };
        let attributes = Reader(batch.get(ATTRIBUTES - BATCH_PREFIX..).unwrap_or_default()).i16()?;
        found.push(attributes as u8 & 7);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(attributes: i16) -> Vec<u8> {
        let mut batch = vec![0; 61];
        batch[8..12].copy_from_slice(&49_i32.to_be_bytes());
        batch[21..23].copy_from_slice(&attributes.to_be_bytes());
        batch
    }

    fn answer(partition_error: i16, records: &[u8]) -> Vec<u8> {
        let mut answer = vec![0; 14];
        answer.extend(1_i32.to_be_bytes());
        answer.extend([0, 1, b't']);
        answer.extend(1_i32.to_be_bytes());
        answer.extend(0_i32.to_be_bytes());
        answer.extend(partition_error.to_be_bytes());
        answer.extend([0; 24]);
        answer.extend((-1_i32).to_be_bytes());
        answer.extend((records.len() as i32).to_be_bytes());
        answer.extend(records);
        answer
    }

    #[test]
    fn codecs_of_whole_batches_are_found() {
        let mut stored = [batch(4), batch(0x10 | 2)].concat();
        stored.extend(&batch(1)[..40]);
        let answer = answer(0, &stored);
        assert_eq!(codecs(records(&answer).unwrap()).unwrap(), [4, 2]);
    }

    #[test]
    fn errors_and_short_answers_are_told_apart() {
        assert!(matches!(records(&answer(3, &[])), Err(WireError::Code(3))));
        let whole = answer(0, &batch(0));
        for length in 0..whole.len() {
            assert!(matches!(records(&whole[..length]), Err(WireError::Malformed)), "{length}");
        }
    }
}
