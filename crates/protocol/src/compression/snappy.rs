//! Snappy, in the two shapes found in record batches: xerial's stream of length-prefixed blocks (Java) and one raw block (librdkafka).
//!
//! A raw block is decoded as a stream with a 64 KiB window, because its header may claim up to 4 GiB and a block that a few
//! bytes expand 20-fold must not be held whole. All known encoders cut their input at 64 KiB, so no copy reaches further back.

use std::io::{self, Read};

/// How far back a copy may reach, in bytes.
const WINDOW: usize = 64 * 1024;
/// Bytes decoded ahead of the reader.
const AHEAD: usize = 64 * 1024;
/// The longest copy element.
const MAX_COPY: usize = 64;
/// Bytes moved at a time.
const STEP: usize = 16;

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, version and lowest compatible version, the latter two big-endian.
const XERIAL_HEADER: usize = 16;
const XERIAL_VERSION: u32 = 1;
const XERIAL_BLOCK: usize = 32 * 1024;

/// A streaming decoder of either shape.
pub(super) struct Decoder<'a> {
    /// Not yet taken up: all of it at first, then the xerial blocks to come (empty for a raw block).
    rest: &'a [u8],
    started: bool,
    block: &'a [u8],
    /// Bytes the current block still owes.
    block_left: usize,
    literal_left: usize,
    /// Invariant: `start <= end <= buf.len()`; `buf[start..end]` is decoded but unread, and what lies before is the window.
    buf: Vec<u8>,
    /// Where the current block's output begins in `buf`; a copy never reaches before it.
    origin: usize,
    start: usize,
    end: usize,
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compressed: &'a [u8]) -> Self {
        Decoder {
            rest: compressed,
            started: false,
            block: &[],
            block_left: 0,
            literal_left: 0,
            buf: Vec::new(),
            origin: 0,
            start: 0,
            end: 0,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.started = true;
        self.buf = vec![0; WINDOW + AHEAD + MAX_COPY];
        if self.rest.starts_with(&XERIAL_MAGIC) {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.rest);
        self.open_block(raw)
    }

    fn open_block(&mut self, block: &'a [u8]) -> io::Result<()> {
        let (length, used) = uvarint32(block).ok_or_else(|| damaged("a block's length is not a varint of 32 bits"))?;
        self.block = &block[used..];
        self.block_left = length as usize;
        self.origin = self.end;
        Ok(())
    }

    /// Opens the next xerial block. False at the end of the stream. A further stream may follow the first.
    fn next_block(&mut self) -> io::Result<bool> {
        while self.rest.starts_with(&XERIAL_MAGIC) {
            let header = self.rest.get(..XERIAL_HEADER).ok_or_else(|| damaged("the stream header is cut short"))?;
            if u32::from_be_bytes([header[12], header[13], header[14], header[15]]) > XERIAL_VERSION {
                return Err(damaged("the stream needs a newer version"));
            }
            self.rest = &self.rest[XERIAL_HEADER..];
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        let (length, rest) =
            self.rest.split_first_chunk::<4>().ok_or_else(|| damaged("a block's size is cut short"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = rest.get(..length).ok_or_else(|| damaged("a block is longer than the data"))?;
        self.rest = &rest[length..];
        self.open_block(block)?;
        Ok(true)
    }

    /// Decodes until the buffer is full or the block ends. All that was decoded before has been read.
    fn decode(&mut self) -> io::Result<()> {
        if self.end > WINDOW {
            self.buf.copy_within(self.end - WINDOW..self.end, 0);
            self.origin = self.origin.saturating_sub(self.end - WINDOW);
            self.end = WINDOW;
        }
        self.start = self.end;
        let stop = self.buf.len() - MAX_COPY;
        loop {
            if self.literal_left > 0 {
                let n = self.literal_left.min(stop - self.end);
                self.buf[self.end..self.end + n].copy_from_slice(&self.block[..n]);
                self.block = &self.block[n..];
                self.end += n;
                self.literal_left -= n;
            }
            if self.end >= stop {
                return Ok(());
            }
            match self.block.split_first() {
                Some((&tag, rest)) => self.element(tag, rest)?,
                None if self.block_left == 0 => return Ok(()),
                None => return Err(damaged("a block is shorter than its header says")),
            }
        }
    }

    #[inline]
    fn element(&mut self, tag: u8, rest: &'a [u8]) -> io::Result<()> {
        let upper = usize::from(tag >> 2);
        let (len, offset) = match tag & 3 {
            0 => return self.literal(upper, rest),
            1 => {
                let [low] = take(rest)?;
                self.block = &rest[1..];
                (4 + (upper & 7), (upper >> 3) << 8 | usize::from(low))
            }
            2 => {
                self.block = rest.get(2..).unwrap_or_default();
                (upper + 1, usize::from(u16::from_le_bytes(take(rest)?)))
            }
            _ => {
                self.block = rest.get(4..).unwrap_or_default();
                (upper + 1, u32::from_le_bytes(take(rest)?) as usize)
            }
        };
        self.copy(len, offset)
    }

    #[inline]
    fn literal(&mut self, upper: usize, rest: &'a [u8]) -> io::Result<()> {
        let (len, used) = match upper {
            0..=59 => (upper + 1, 0),
            _ => {
                let width = upper - 59;
                let bytes = rest.get(..width).ok_or_else(|| damaged("an element is cut short"))?;
                let len = bytes.iter().rev().fold(0, |len, &b| len << 8 | usize::from(b));
                (len + 1, width)
            }
        };
        let rest = &rest[used..];
        if len > rest.len() || len > self.block_left {
            return Err(damaged("a literal is longer than its block"));
        }
        self.block_left -= len;
        if len <= STEP
            && let Some(step) = rest.first_chunk::<STEP>()
        {
            self.buf[self.end..self.end + STEP].copy_from_slice(step);
            self.end += len;
            self.block = &rest[len..];
        } else {
            self.block = rest;
            self.literal_left = len;
        }
        Ok(())
    }

    #[inline]
    fn copy(&mut self, len: usize, offset: usize) -> io::Result<()> {
        if len > self.block_left {
            return Err(damaged("a copy is longer than its block"));
        }
        if offset == 0 || offset > self.end - self.origin {
            return Err(damaged("a copy reaches back before the window"));
        }
        self.block_left -= len;
        let (from, to) = (self.end - offset, self.end);
        // Steps of a fixed size compile to plain moves. They may write past `len`, into room that the buffer keeps.
        if offset >= STEP {
            for at in (0..len).step_by(STEP) {
                self.buf.copy_within(from + at..from + at + STEP, to + at);
            }
        } else {
            for at in 0..len {
                self.buf[to + at] = self.buf[from + at];
            }
        }
        self.end += len;
        Ok(())
    }
}

fn take<const N: usize>(bytes: &[u8]) -> io::Result<[u8; N]> {
    bytes.first_chunk::<N>().copied().ok_or_else(|| damaged("an element is cut short"))
}

fn uvarint32(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0u32;
    for (i, &b) in bytes.iter().take(5).enumerate() {
        if i == 4 && b > 0x0f {
            return None;
        }
        value |= u32::from(b & 0x7f) << (7 * i);
        if b < 0x80 {
            return Some((value, i + 1));
        }
    }
    None
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.begin()?;
        }
        while self.start == self.end {
            if self.block.is_empty() && self.block_left == 0 && self.literal_left == 0 && !self.next_block()? {
                return Ok(0);
            }
            self.decode()?;
        }
        let n = out.len().min(self.end - self.start);
        out[..n].copy_from_slice(&self.buf[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }
}

/// Xerial framing, version 1, blocks of 32 KiB: what Java's `SnappyOutputStream` writes.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK)];
    for chunk in bytes.chunks(XERIAL_BLOCK) {
        let n = encoder.compress(chunk, &mut block).expect("the block buffer is as long as snappy can need for 32 KiB");
        out.extend_from_slice(&(n as u32).to_be_bytes());
        out.extend_from_slice(&block[..n]);
    }
    out
}
