//! Reading Kafka's primitive types, with every length checked against what is there.

/// The bytes ended before the value, or the value is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecError {
    #[error("{wanted} more bytes wanted at {at}, {left} left")]
    Short { at: usize, wanted: usize, left: usize },
    #[error("impossible length {length} at {at}")]
    Length { at: usize, length: i64 },
    #[error("a null at {at} where none is allowed")]
    Null { at: usize },
    #[error("no UTF-8 in the string at {at}")]
    Utf8 { at: usize },
    #[error("{left} bytes left over")]
    Trailing { left: usize },
    #[error("correlation id {got}, {wanted} expected")]
    Correlation { got: i32, wanted: i32 },
}

/// A cursor over one response. `flexible` as in [`crate::enc::Enc`].
#[derive(Clone, Debug)]
pub struct Dec<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
}

impl<'a> Dec<'a> {
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Dec { bytes, at: 0, flexible }
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecError> {
        let left = self.bytes.len() - self.at;
        let got = self.bytes[self.at..].get(..n).ok_or(DecError::Short { at: self.at, wanted: n, left })?;
        self.at += n;
        Ok(got)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecError> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    pub fn i8(&mut self) -> Result<i8, DecError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn bool(&mut self) -> Result<bool, DecError> {
        Ok(self.i8()? != 0)
    }

    pub fn i16(&mut self) -> Result<i16, DecError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, DecError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, DecError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub fn uuid(&mut self) -> Result<[u8; 16], DecError> {
        self.array()
    }

    pub fn uvarint(&mut self) -> Result<u32, DecError> {
        let at = self.at;
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| DecError::Length { at, length: value as i64 });
            }
        }
        Err(DecError::Length { at, length: value as i64 })
    }

    /// Zig-zag LEB128, at most ten bytes.
    pub fn varint(&mut self) -> Result<i64, DecError> {
        let at = self.at;
        let mut z = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            z |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((z >> 1) as i64 ^ -((z & 1) as i64));
            }
        }
        Err(DecError::Length { at, length: z as i64 })
    }

    fn length(&mut self, wide: bool) -> Result<Option<usize>, DecError> {
        let at = self.at;
        let length = match (self.flexible, wide) {
            (true, _) => i64::from(self.uvarint()?) - 1,
            (false, true) => i64::from(self.i32()?),
            (false, false) => i64::from(self.i16()?),
        };
        match length {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| DecError::Length { at, length }),
        }
    }

    pub fn opt_str(&mut self) -> Result<Option<&'a str>, DecError> {
        let Some(n) = self.length(false)? else { return Ok(None) };
        let at = self.at;
        std::str::from_utf8(self.take(n)?).map(Some).map_err(|_| DecError::Utf8 { at })
    }

    pub fn str(&mut self) -> Result<&'a str, DecError> {
        let at = self.at;
        self.opt_str()?.ok_or(DecError::Null { at })
    }

    pub fn opt_bytes(&mut self) -> Result<Option<&'a [u8]>, DecError> {
        match self.length(true)? {
            Some(n) => self.take(n).map(Some),
            None => Ok(None),
        }
    }

    /// The elements of an array (a null one is empty), each read by `get`.
    pub fn each<T>(&mut self, mut get: impl FnMut(&mut Self) -> Result<T, DecError>) -> Result<Vec<T>, DecError> {
        let count = self.length(true)?.unwrap_or(0);
        let mut out = Vec::new();
        for _ in 0..count {
            out.push(get(self)?);
        }
        Ok(out)
    }

    /// The tag section that ends a structure: the tags found, none when not flexible.
    pub fn end(&mut self) -> Result<Vec<(u32, &'a [u8])>, DecError> {
        if !self.flexible {
            return Ok(Vec::new());
        }
        let count = self.uvarint()?;
        let mut tags = Vec::new();
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            tags.push((tag, self.take(size)?));
        }
        Ok(tags)
    }

    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Errors unless every byte was read.
    pub fn finish(&self) -> Result<(), DecError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecError::Trailing { left }),
        }
    }
}
