//! Bytes from a socket, cut into frames.
//!
//! Frames are slices of pooled page-aligned blocks. A block never grows beyond what has arrived times two, or what this
//! connection has proven to send: a length field alone allocates nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use chronik_env::block::{Block, BlockPool};
use chronik_env::net::Stream;
use tokio::io::ReadBuf;

/// The block a connection reads into while frames are small, in bytes.
const READ_BLOCK: usize = 64 * 1024;
/// The length field before each frame.
const LENGTH: usize = 4;

/// Why the connection cannot go on reading.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("the frame length {0} is negative")]
    Negative(i32),
    #[error("a frame of {size} bytes is above socket.request.max.bytes={max}")]
    TooLarge { size: usize, max: usize },
    #[error("the connection ended inside a frame, after {have} bytes")]
    EndInsideFrame { have: usize },
    #[error("cannot read: {0}")]
    Io(io::Error),
}

/// What one read brought.
pub(crate) enum Read {
    /// Bytes arrived; ask for frames.
    Some,
    /// The peer closed between frames.
    End,
}

/// The read side of one connection.
pub(crate) struct Input {
    pool: BlockPool,
    /// Taken when bytes may come, given back when none did and none are left: an idle connection holds none.
    block: Option<Block>,
    /// Bytes of `block` that hold data, from 0. No complete frame is among them after [`Input::frames`].
    filled: usize,
    /// The largest frame that has arrived whole, length included.
    proven: usize,
    max_frame: usize,
}

impl Input {
    pub(crate) fn new(pool: BlockPool, max_frame: usize) -> Self {
        Input { pool, block: None, filled: 0, proven: 0, max_frame }
    }

    /// Reads once. Of a large frame no more than its rest is read, so that it stays alone in its block.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut dyn Stream,
    ) -> Poll<Result<Read, InputError>> {
        let whole = self.size_of(self.data())?;
        let mut block = self.roomy(whole.unwrap_or(0));
        let limit =
            whole.filter(|whole| *whole > READ_BLOCK).map_or(block.capacity(), |whole| whole.min(block.capacity()));
        let filled = self.filled;
        let mut buf = ReadBuf::new(&mut block.as_mut_slice()[filled..limit]);
        let result = match Pin::new(stream).poll_read(cx, &mut buf) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(InputError::Io(e))),
            Poll::Ready(Ok(())) if buf.filled().is_empty() && filled == 0 => Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                Poll::Ready(Err(InputError::EndInsideFrame { have: filled }))
            }
            Poll::Ready(Ok(())) => {
                self.filled += buf.filled().len();
                Poll::Ready(Ok(Read::Some))
            }
        };
        if self.filled > 0 {
            self.block = Some(block);
        }
        result
    }

    /// Bytes that have arrived of a frame under way.
    pub(crate) fn held(&self) -> usize {
        self.filled
    }

    /// Whether a frame that takes more than one read is under way.
    pub(crate) fn is_inside_large_frame(&self) -> bool {
        self.size_of(self.data()).ok().flatten().is_some_and(|whole| whole > READ_BLOCK)
    }

    fn data(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| &block.as_ref()[..self.filled])
    }

    /// The block to go on reading into, with room for a frame of `whole` bytes as far as its sender has earned it.
    fn roomy(&mut self, whole: usize) -> Block {
        let Some(block) = self.block.take() else { return self.pool.take(READ_BLOCK) };
        let earned = whole.min(self.proven.max(self.filled * 2));
        if whole <= block.capacity() || (self.filled < block.capacity() && earned <= block.capacity()) {
            return block;
        }
        let mut larger = self.pool.take(earned.max(self.filled + 1));
        larger.as_mut_slice()[..self.filled].copy_from_slice(&block.as_ref()[..self.filled]);
        larger
    }

    /// Takes all complete frames (without their length) out of what has been read.
    pub(crate) fn frames(&mut self, mut take: impl FnMut(Bytes)) -> Result<(), InputError> {
        let mut end = 0;
        let mut malformed = None;
        loop {
            let have = &self.data()[end..];
            match self.size_of(have) {
                Ok(Some(size)) if size <= have.len() => end += size,
                Ok(_) => break,
                Err(e) => {
                    malformed = Some(e);
                    break;
                }
            }
        }
        if end > 0
            && let Some(block) = self.block.take()
        {
            let full = block.freeze(self.filled);
            let rest = &full[end..];
            if !rest.is_empty() {
                let mut next = self.pool.take(rest.len().max(READ_BLOCK));
                next.as_mut_slice()[..rest.len()].copy_from_slice(rest);
                self.block = Some(next);
            }
            self.filled = rest.len();
            let mut at = 0;
            while at < end {
                let size = LENGTH + length_at(&full, at).unwrap_or_default() as usize;
                self.proven = self.proven.max(size);
                take(full.slice(at + LENGTH..at + size));
                at += size;
            }
        }
        malformed.map_or(Ok(()), Err)
    }

    fn size_of(&self, have: &[u8]) -> Result<Option<usize>, InputError> {
        let Some(len) = length_at(have, 0) else { return Ok(None) };
        let len = usize::try_from(len).map_err(|_| InputError::Negative(len))?;
        if len > self.max_frame {
            return Err(InputError::TooLarge { size: len, max: self.max_frame });
        }
        Ok(Some(LENGTH + len))
    }
}

fn length_at(bytes: &[u8], at: usize) -> Option<i32> {
    let field: [u8; LENGTH] = bytes.get(at..at + LENGTH)?.try_into().ok()?;
    Some(i32::from_be_bytes(field))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn next(input: &mut Input, stream: &mut dyn Stream, frames: &mut Vec<Bytes>) -> Result<bool, InputError> {
        let read = poll_fn(|cx| input.poll_fill(cx, stream)).await?;
        input.frames(|frame| frames.push(frame))?;
        Ok(matches!(read, Read::Some))
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&(body.len() as i32).to_be_bytes()[..], body].concat()
    }

    #[tokio::test]
    async fn frames_of_any_size_arrive_whole_however_they_are_cut() {
        let bodies: Vec<Vec<u8>> = [0, 1, 70_000, 3, 65_532, 65_536, 1_000_000, 2, 300_000, 64 * 1024 - 4]
            .iter()
            .map(|&n| (0..n).map(|i| (i * 7) as u8).collect())
            .collect();
        for chunk in [1_777, 65_536, 1 << 20] {
            let (mut ours, mut theirs) = tokio::io::duplex(chunk);
            let wire: Vec<u8> = bodies.iter().flat_map(|b| framed(b)).collect();
            let writer = tokio::spawn(async move {
                theirs.write_all(&wire).await.expect("the reader lives");
            });
            let (mut input, mut frames) = (Input::new(BlockPool::default(), 1 << 20), Vec::new());
            while next(&mut input, &mut ours, &mut frames).await.expect("well formed") {}
            writer.await.expect("written");
            assert!(frames.iter().map(|f| &f[..]).eq(bodies.iter().map(|b| &b[..])));
        }
    }

    #[tokio::test]
    async fn a_length_alone_allocates_nothing() {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        let (mut input, mut frames) = (Input::new(BlockPool::default(), 100 << 20), Vec::new());
        theirs.write_all(&(90i32 << 20).to_be_bytes()).await.expect("written");
        next(&mut input, &mut ours, &mut frames).await.expect("a large frame may come");
        theirs.write_all(&[0; 100]).await.expect("written");
        next(&mut input, &mut ours, &mut frames).await.expect("still coming");
        assert_eq!(input.block.as_ref().map(Block::capacity), Some(READ_BLOCK));
        drop(theirs);
        assert!(matches!(
            next(&mut input, &mut ours, &mut frames).await,
            Err(InputError::EndInsideFrame { have: 104 })
        ));
    }

    #[tokio::test]
    async fn impossible_lengths_are_refused() {
        for (len, what) in [(-1i32, "negative"), (i32::MIN, "negative"), (i32::MAX, "above"), (1025, "above")] {
            let (mut ours, mut theirs) = tokio::io::duplex(64);
            let mut input = Input::new(BlockPool::default(), 1024);
            theirs.write_all(&len.to_be_bytes()).await.expect("written");
            let error = next(&mut input, &mut ours, &mut Vec::new()).await.expect_err("refused").to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
