//! The four codecs of a record batch: decoding as a bounded stream, encoding as Kafka's own clients write it.
//!
//! Decoding trusts no length that the data claims: what is held is a fixed window and what has been produced is counted.

mod lz4;
mod snappy;

use std::io::{self, Read, Write};

use crate::batch::Compression;

/// How much one compressed body may produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after decompression. One byte more is [`DecompressError::TooLarge`].
    pub max_output_bytes: usize,
}

impl Limits {
    /// For bodies that were checked when they were stored.
    pub const NONE: Limits = Limits { max_output_bytes: usize::MAX };
}

/// Why a compressed body could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    #[error("the {codec:?} data is damaged: {detail}")]
    Damaged { codec: Compression, detail: String },
    #[error("the {codec:?} data holds more than {max_output_bytes} bytes")]
    TooLarge { codec: Compression, max_output_bytes: usize },
}

/// The largest window a zstd frame may ask for, as a power of two: what Java's clients can need (level 22).
/// The pages of it that are touched never exceed what the output limit lets through.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// A decompressing reader over bytes in memory, which stops with [`DecompressError::TooLarge`] at its limit.
///
/// The error can be had back from the `io::Error` with [`Decoder::explain`].
pub struct Decoder<'a> {
    codec: Compression,
    inner: Inner<'a>,
    left: usize,
    limits: Limits,
}

enum Inner<'a> {
    Stored(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Decoder<'a>),
    Lz4(lz4::Decoder<'a>),
    Zstd(Box<zstd::stream::read::Decoder<'static, &'a [u8]>>),
}

/// Opens `compressed` for reading. Errors only when the codec's own state cannot be had.
pub fn decoder(codec: Compression, compressed: &[u8], limits: Limits) -> Result<Decoder<'_>, DecompressError> {
    let inner = match codec {
        Compression::None => Inner::Stored(compressed),
        Compression::Gzip => Inner::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(compressed))),
        Compression::Snappy => Inner::Snappy(snappy::Decoder::new(compressed)),
        Compression::Lz4 => Inner::Lz4(lz4::Decoder::new(compressed)),
        Compression::Zstd => {
            let open = || -> io::Result<_> {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(Box::new(decoder))
            };
            Inner::Zstd(open().map_err(|e| DecompressError::Damaged { codec, detail: e.to_string() })?)
        }
    };
    Ok(Decoder { codec, inner, left: limits.max_output_bytes, limits })
}

impl Decoder<'_> {
    /// What an error of this reader means.
    pub fn explain(&self, error: &io::Error) -> DecompressError {
        match error.get_ref().and_then(|e| e.downcast_ref::<DecompressError>()) {
            Some(known) => known.clone(),
            None => DecompressError::Damaged { codec: self.codec, detail: error.to_string() },
        }
    }

    fn read_inner(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Stored(bytes) => bytes.read(buf),
            Inner::Gzip(gzip) => gzip.read(buf),
            Inner::Snappy(snappy) => snappy.read(buf),
            Inner::Lz4(lz4) => lz4.read(buf),
            Inner::Zstd(zstd) => zstd.read(buf),
        }
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.read_inner(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(DecompressError::TooLarge {
                    codec: self.codec,
                    max_output_bytes: self.limits.max_output_bytes,
                })),
            };
        }
        let room = buf.len().min(self.left);
        let read = self.read_inner(&mut buf[..room])?;
        self.left -= read;
        Ok(read)
    }
}

/// Decompresses the whole of `compressed`. The result grows as bytes are produced, never by what a header claims.
pub fn decompress(codec: Compression, compressed: &[u8], limits: Limits) -> Result<Vec<u8>, DecompressError> {
    let mut decoder = decoder(codec, compressed, limits)?;
    let mut out = Vec::new();
    match decoder.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) => Err(decoder.explain(&error)),
    }
}

/// Compresses `bytes` in the framing Kafka's Java clients write: snappy in xerial blocks of 32 KiB, lz4 as one frame of
/// independent 64 KiB blocks. `level` (gzip 1 to 9, zstd −131072 to 22) is brought into the codec's range; `None` is its default;
/// snappy and lz4 have one level only.
pub fn compress(codec: Compression, level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => gzip(level, bytes),
        Compression::Snappy => snappy::compress(bytes),
        Compression::Lz4 => lz4::compress(bytes),
        Compression::Zstd => {
            let range = zstd::compression_level_range();
            let level = level.map_or(zstd::DEFAULT_COMPRESSION_LEVEL, |l| l.clamp(*range.start(), *range.end()));
            zstd::bulk::compress(bytes, level)
                .expect("a level in range and a destination of zstd's own bound cannot fail")
        }
    }
}

fn gzip(level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
    let level = match level {
        Some(l) if l >= 0 => flate2::Compression::new(l.min(9) as u32),
        _ => flate2::Compression::default(),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 2 + 64), level);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}
