//! Compressing record payloads, and payloads that grow beyond reason when expanded.

use std::io::Write;

pub const NONE: i16 = 0;
pub const GZIP: i16 = 1;
pub const SNAPPY: i16 = 2;
pub const LZ4: i16 = 3;
pub const ZSTD: i16 = 4;

/// Name of a codec in test output.
pub fn name(codec: i16) -> &'static str {
    ["none", "gzip", "snappy", "lz4", "zstd"][codec as usize]
}

/// `data` compressed as a stock client would; snappy in xerial framing as Java writes it.
pub fn compress(codec: i16, data: &[u8]) -> Vec<u8> {
    compress_parts(codec, &[(data, 1)])
}

/// The concatenation of each `(chunk, times)` compressed as one stream, without holding the whole input.
pub fn compress_parts(codec: i16, parts: &[(&[u8], usize)]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    match codec {
        GZIP => {
            let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            feed(&mut w, parts);
            w.finish().expect(IN_MEMORY)
        }
        SNAPPY => xerial(&parts.iter().flat_map(|(chunk, times)| chunk.repeat(*times)).collect::<Vec<u8>>()),
        LZ4 => {
            let mut w = lz4_flex::frame::FrameEncoder::new(Vec::new());
            feed(&mut w, parts);
            w.finish().expect(IN_MEMORY)
        }
        ZSTD => {
            let mut w = zstd::stream::write::Encoder::new(Vec::new(), 3).expect(IN_MEMORY);
            feed(&mut w, parts);
            w.finish().expect(IN_MEMORY)
        }
        _ => parts.iter().flat_map(|(chunk, times)| chunk.repeat(*times)).collect(),
    }
}

fn feed(w: &mut impl Write, parts: &[(&[u8], usize)]) {
    for (chunk, times) in parts {
        for _ in 0..*times {
            w.write_all(chunk).expect("writing to memory does not fail");
        }
    }
}

/// The stream header of xerial's framing: magic, version 1, compatible version 1.
pub const XERIAL_MAGIC: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];

fn xerial(data: &[u8]) -> Vec<u8> {
    let mut out = XERIAL_MAGIC.to_vec();
    for block in data.chunks(32 << 10) {
        let packed = snap::raw::Encoder::new().compress_vec(block).expect("a block of 32 KiB is within snappy's limit");
        out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

/// A raw snappy block, the framing librdkafka's oldest ancestors used.
pub fn raw_snappy(data: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(data).expect("test data is within snappy's limit")
}
