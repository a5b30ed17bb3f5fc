//! One lz4 frame, as Kafka's clients write and read it: independent blocks, no dictionary, nothing after the frame.
//!
//! Java's clients refuse linked blocks and stop at the frame's end, so a batch with either would be lost on them.

use std::hash::Hasher;
use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184D_2204;
/// In a block's size: the block is stored, not compressed.
const STORED: u32 = 1 << 31;
/// No input byte of a block yields more output bytes than this.
const MAX_EXPANSION: usize = 255;

/// A streaming decoder that holds one block.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
    frame: Option<Frame>,
    ended: bool,
    block: Vec<u8>,
    /// Invariant: `start <= end <= block.len()`; `block[start..end]` is decoded but unread.
    start: usize,
    end: usize,
}

struct Frame {
    max_block: usize,
    block_checksums: bool,
    content_size: Option<u64>,
    content_hash: Option<XxHash32>,
    produced: u64,
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn xxh32(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compressed: &'a [u8]) -> Self {
        Decoder { rest: compressed, frame: None, ended: false, block: Vec::new(), start: 0, end: 0 }
    }

    fn take(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| damaged("the frame is cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn take_u32(&mut self) -> io::Result<u32> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn header(&mut self) -> io::Result<Frame> {
        if self.take_u32()? != MAGIC {
            return Err(damaged("not an lz4 frame"));
        }
        let descriptor = self.rest;
        let fixed = self.take(2)?;
        let (flags, block) = (fixed[0], fixed[1]);
        if flags >> 6 != 1 || flags & 0b11 != 0 || block & 0b1000_1111 != 0 {
            return Err(damaged("the frame has an unknown version, a dictionary or reserved bits"));
        }
        if flags & 0b10_0000 == 0 {
            return Err(damaged("the frame's blocks depend on each other"));
        }
        let max_block = match block >> 4 {
            size @ 4..=7 => 1 << (2 * size + 8),
            _ => return Err(damaged("the frame has an unknown block size")),
        };
        let content_size = match flags & 0b1000 {
            0 => None,
            _ => Some(u64::from(self.take_u32()?) | u64::from(self.take_u32()?) << 32),
        };
        let described = &descriptor[..descriptor.len() - self.rest.len()];
        if self.take(1)?[0] != (xxh32(described) >> 8) as u8 {
            return Err(damaged("the frame header's checksum does not match"));
        }
        let content_hash = (flags & 0b100 != 0).then(|| XxHash32::with_seed(0));
        Ok(Frame { max_block, block_checksums: flags & 0b1_0000 != 0, content_size, content_hash, produced: 0 })
    }

    /// Decodes the next block of `frame`. False at the frame's end.
    fn next_block(&mut self, frame: &mut Frame) -> io::Result<bool> {
        let size = self.take_u32()?;
        if size == 0 {
            self.finish(frame)?;
            return Ok(false);
        }
        let stored = size & STORED != 0;
        let len = (size & !STORED) as usize;
        if len > frame.max_block {
            return Err(damaged("a block is longer than the frame allows"));
        }
        let data = self.take(len)?;
        if frame.block_checksums && self.take_u32()? != xxh32(data) {
            return Err(damaged("a block's checksum does not match"));
        }
        self.start = 0;
        self.end = if stored {
            self.block.clear();
            self.block.extend_from_slice(data);
            len
        } else {
            let room = frame.max_block.min(len.saturating_mul(MAX_EXPANSION));
            if self.block.len() < room {
                self.block.resize(room, 0);
            }
            lz4_flex::block::decompress_into(data, &mut self.block[..room])
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?
        };
        frame.produced += self.end as u64;
        if let Some(hash) = &mut frame.content_hash {
            hash.write(&self.block[..self.end]);
        }
        Ok(true)
    }

    fn finish(&mut self, frame: &Frame) -> io::Result<()> {
        if let Some(hash) = &frame.content_hash
            && self.take_u32()? != hash.finish() as u32
        {
            return Err(damaged("the content's checksum does not match"));
        }
        if frame.content_size.is_some_and(|size| size != frame.produced) {
            return Err(damaged("the content is not as long as the frame says"));
        }
        if !self.rest.is_empty() {
            return Err(damaged("bytes follow the frame"));
        }
        self.ended = true;
        Ok(())
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            if self.ended {
                return Ok(0);
            }
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => self.header()?,
            };
            let more = self.next_block(&mut frame)?;
            self.frame = Some(frame);
            if !more {
                return Ok(0);
            }
        }
        let n = out.len().min(self.end - self.start);
        out[..n].copy_from_slice(&self.block[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }
}

/// One frame of independent 64 KiB blocks without checksums: what Java's client writes.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(bytes.len() / 2 + 64));
    encoder.write_all(bytes).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}
