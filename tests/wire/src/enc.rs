//! Writing Kafka's primitive types. Nothing is checked: hostile values are the point.

/// Bytes under construction. `flexible` chooses the compact forms (KIP-482) for strings, arrays and the tag section.
#[derive(Clone, Debug, Default)]
pub struct Enc {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Enc {
    pub fn new(flexible: bool) -> Self {
        Enc { bytes: Vec::new(), flexible }
    }

    pub fn done(self) -> Vec<u8> {
        self.bytes
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn i8(self, v: i8) -> Self {
        self.raw(&v.to_be_bytes())
    }

    pub fn bool(self, v: bool) -> Self {
        self.i8(i8::from(v))
    }

    pub fn i16(self, v: i16) -> Self {
        self.raw(&v.to_be_bytes())
    }

    pub fn i32(self, v: i32) -> Self {
        self.raw(&v.to_be_bytes())
    }

    pub fn i64(self, v: i64) -> Self {
        self.raw(&v.to_be_bytes())
    }

    pub fn uuid(self, v: [u8; 16]) -> Self {
        self.raw(&v)
    }

    /// Unsigned LEB128, at most five bytes.
    pub fn uvarint(mut self, mut v: u32) -> Self {
        while v >= 0x80 {
            self.bytes.push((v as u8 & 0x7f) | 0x80);
            v >>= 7;
        }
        self.bytes.push(v as u8);
        self
    }

    /// Zig-zag LEB128, as record fields use it.
    pub fn varint(self, v: i64) -> Self {
        let mut z = ((v << 1) ^ (v >> 63)) as u64;
        let mut out = self;
        while z >= 0x80 {
            out.bytes.push((z as u8 & 0x7f) | 0x80);
            z >>= 7;
        }
        out.bytes.push(z as u8);
        out
    }

    /// A string of at most 32,767 bytes, `None` = null.
    pub fn opt_str(self, v: Option<&str>) -> Self {
        match (self.flexible, v) {
            (true, None) => self.uvarint(0),
            (true, Some(s)) => self.uvarint(s.len() as u32 + 1).raw(s.as_bytes()),
            (false, None) => self.i16(-1),
            (false, Some(s)) => self.i16(s.len() as i16).raw(s.as_bytes()),
        }
    }

    pub fn str(self, v: &str) -> Self {
        self.opt_str(Some(v))
    }

    /// A byte string, `None` = null.
    pub fn opt_bytes(self, v: Option<&[u8]>) -> Self {
        match (self.flexible, v) {
            (true, None) => self.uvarint(0),
            (true, Some(b)) => self.uvarint(b.len() as u32 + 1).raw(b),
            (false, None) => self.i32(-1),
            (false, Some(b)) => self.i32(b.len() as i32).raw(b),
        }
    }

    /// The count in front of an array.
    pub fn arr(self, count: usize) -> Self {
        if self.flexible { self.uvarint(count as u32 + 1) } else { self.i32(count as i32) }
    }

    pub fn null_arr(self) -> Self {
        if self.flexible { self.uvarint(0) } else { self.i32(-1) }
    }

    /// An array of `items`, each written by `put`.
    pub fn each<T>(self, items: &[T], put: impl Fn(Enc, &T) -> Enc) -> Self {
        items.iter().fold(self.arr(items.len()), put)
    }

    /// The end of a structure: an empty tag section when flexible.
    pub fn end(self) -> Self {
        if self.flexible { self.uvarint(0) } else { self }
    }

    pub fn is_flexible(&self) -> bool {
        self.flexible
    }
}
