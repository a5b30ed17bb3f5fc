//! Records out of a decompressing stream, through a fixed window: a record that fits it is read in place, a longer one byte by byte.

use std::ops::ControlFlow;

use super::parse::{self, Input, Slice};
use super::{RecordFault, RecordMeta, RecordsError, read_some};
use crate::compression::Decoder;

/// Bytes held at a time.
const WINDOW: usize = 64 * 1024;
/// The most bytes a record's length takes.
const MAX_LENGTH_BYTES: usize = 5;

struct Window<'a> {
    decoder: Decoder<'a>,
    buf: Vec<u8>,
    /// Invariant: `start <= end <= buf.len()`; `buf[start..end]` is produced but unread.
    start: usize,
    end: usize,
    ended: bool,
}

impl Window<'_> {
    fn held(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Reads on until `n` bytes are held or the stream ends. `n` is at most [`WINDOW`].
    #[inline]
    fn want(&mut self, n: usize) -> Result<(), RecordsError> {
        if self.end - self.start >= n || self.ended { Ok(()) } else { self.fill(n) }
    }

    #[cold]
    fn fill(&mut self, n: usize) -> Result<(), RecordsError> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < n && !self.ended {
            match read_some(&mut self.decoder, &mut self.buf[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) => return Err(self.decoder.explain(&error).into()),
            }
        }
        Ok(())
    }
}

/// A record longer than the window, read off the stream.
struct Long<'w, 'a> {
    window: &'w mut Window<'a>,
    left: usize,
}

enum LongError {
    Fault(RecordFault),
    Stream(RecordsError),
    Ended,
}

impl From<RecordFault> for LongError {
    fn from(fault: RecordFault) -> Self {
        LongError::Fault(fault)
    }
}

impl Input for Long<'_, '_> {
    type Error = LongError;

    fn byte(&mut self) -> Result<u8, LongError> {
        self.left = self.left.checked_sub(1).ok_or(RecordFault::FieldPastEnd)?;
        self.window.want(1).map_err(LongError::Stream)?;
        let byte = *self.window.held().first().ok_or(LongError::Ended)?;
        self.window.start += 1;
        Ok(byte)
    }

    fn skip(&mut self, n: usize) -> Result<(), LongError> {
        self.left = self.left.checked_sub(n).ok_or(RecordFault::FieldPastEnd)?;
        let mut to_go = n;
        while to_go > 0 {
            self.window.want(1).map_err(LongError::Stream)?;
            let step = to_go.min(self.window.held().len());
            if step == 0 {
                return Err(LongError::Ended);
            }
            self.window.start += step;
            to_go -= step;
        }
        Ok(())
    }

    fn left(&self) -> usize {
        self.left
    }
}

pub(super) fn walk(
    count: i32,
    decoder: Decoder<'_>,
    mut visit: impl FnMut(RecordMeta) -> ControlFlow<()>,
) -> Result<(), RecordsError> {
    let mut window = Window { decoder, buf: vec![0; WINDOW], start: 0, end: 0, ended: false };
    for index in 0..count {
        let meta = next(&mut window, index, count)?;
        if visit(meta).is_break() {
            return Ok(());
        }
    }
    window.want(1)?;
    if window.held().is_empty() { Ok(()) } else { Err(RecordsError::Trailing { count }) }
}

#[inline]
fn next(window: &mut Window<'_>, index: i32, count: i32) -> Result<RecordMeta, RecordsError> {
    let malformed = |fault| RecordsError::Malformed { index, fault };
    window.want(MAX_LENGTH_BYTES)?;
    let mut slice = Slice::new(window.held());
    let len = parse::varint(&mut slice).map_err(|fault| match fault {
        RecordFault::FieldPastEnd => RecordsError::Truncated { index, count },
        fault => malformed(fault),
    })?;
    let len = usize::try_from(len).map_err(|_| malformed(RecordFault::NegativeLength))?;
    window.start = window.end - slice.left();
    if len > WINDOW {
        return parse::meta(&mut Long { window, left: len }).map_err(|error| match error {
            LongError::Fault(fault) => malformed(fault),
            LongError::Stream(error) => error,
            LongError::Ended => RecordsError::Truncated { index, count },
        });
    }
    window.want(len)?;
    let record = window.held().get(..len).ok_or(RecordsError::Truncated { index, count })?;
    let meta = parse::meta(&mut Slice::new(record)).map_err(malformed)?;
    window.start += len;
    Ok(meta)
}
