//! How a record is printed: kcat's format tokens, and its JSON.

use std::io::{self, Write};

use chronik_client::FetchedRecord;
use chronik_protocol::records::Record;
use serde_json::{Map, Value, json};

/// A parsed `-f` format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    /// The value's length as four bytes, big-endian, before binary values.
    ValueLengthBinary,
    Timestamp,
    Headers,
}

impl Format {
    /// Tokens `%t` topic, `%p` partition, `%o` offset, `%k` key, `%K` its length, `%s` value, `%S` its length, `%R` its
    /// length in binary, `%T` timestamp, `%h` headers, `%%`; escapes `\n \r \t \0 \\ \xHH`.
    pub fn parse(text: &str) -> Result<Format, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => {
                    let token = chars.next().ok_or("the format ends in a single %")?;
                    let part = match token {
                        '%' => {
                            literal.push(b'%');
                            continue;
                        }
                        't' => Part::Topic,
                        'p' => Part::Partition,
                        'o' => Part::Offset,
                        'k' => Part::Key,
                        'K' => Part::KeyLength,
                        's' => Part::Value,
                        'S' => Part::ValueLength,
                        'R' => Part::ValueLengthBinary,
                        'T' => Part::Timestamp,
                        'h' => Part::Headers,
                        other => {
                            return Err(format!("%{other} is no token; there are %t %p %o %k %K %s %S %R %T %h %%"));
                        }
                    };
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(part);
                }
                '\\' => literal.push(escape(&mut chars)?),
                c => literal.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Format(parts))
    }

    pub fn write(&self, out: &mut impl Write, topic: &str, partition: i32, record: &Record) -> io::Result<()> {
        for part in &self.0 {
            match part {
                Part::Literal(bytes) => out.write_all(bytes)?,
                Part::Topic => out.write_all(topic.as_bytes())?,
                Part::Partition => write!(out, "{partition}")?,
                Part::Offset => write!(out, "{}", record.offset)?,
                Part::Key => out.write_all(record.key.as_deref().unwrap_or_default())?,
                Part::KeyLength => write!(out, "{}", length(record.key.as_deref()))?,
                Part::Value => out.write_all(record.value.as_deref().unwrap_or_default())?,
                Part::ValueLength => write!(out, "{}", length(record.value.as_deref()))?,
                Part::ValueLengthBinary => {
                    let length = i32::try_from(length(record.value.as_deref())).unwrap_or(i32::MAX);
                    out.write_all(&length.to_be_bytes())?;
                }
                Part::Timestamp => write!(out, "{}", record.timestamp)?,
                Part::Headers => write_headers(out, record)?,
            }
        }
        Ok(())
    }
}

/// Bytes; -1 of null.
fn length(field: Option<&[u8]>) -> i64 {
    field.map_or(-1, |bytes| bytes.len() as i64)
}

fn write_headers(out: &mut impl Write, record: &Record) -> io::Result<()> {
    for (at, header) in record.headers.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(&header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.as_deref().unwrap_or(b"NULL"))?;
    }
    Ok(())
}

/// What follows a backslash.
fn escape(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    let c = chars.next().ok_or("the text ends in a single backslash")?;
    Ok(match c {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '0' => 0,
        '\\' => b'\\',
        'x' => {
            let digits: String = chars.by_ref().take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2);
            byte.ok_or_else(|| format!("\\x{digits} is no byte: two hexadecimal digits are"))?
        }
        other => return Err(format!("\\{other} is no escape; there are \\n \\r \\t \\0 \\\\ \\xHH")),
    })
}

/// A delimiter with the same escapes.
pub fn delimiter(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => bytes.push(escape(&mut chars)?),
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    if bytes.is_empty() { Err("an empty delimiter".into()) } else { Ok(bytes) }
}

/// A record as one object, with kcat's names. Bytes that are not UTF-8 are shown with replacement characters.
pub fn json(topic: &str, partition: i32, record: &FetchedRecord) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), json!(topic));
    object.insert("partition".into(), json!(partition));
    object.insert("offset".into(), json!(record.offset));
    let stamped = if record.log_append_time { "logappend" } else { "create" };
    object.insert("tstype".into(), json!(stamped));
    object.insert("ts".into(), json!(record.timestamp));
    object.insert("broker".into(), json!(record.broker));
    fields(record, &mut object);
    Value::Object(object)
}

/// Time, headers, key and value of a record, with kcat's names.
pub fn fields(record: &Record, object: &mut Map<String, Value>) {
    let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
    let field = |field: &Option<bytes::Bytes>| field.as_ref().map_or(Value::Null, |bytes| text(bytes));
    object.insert("ts".into(), json!(record.timestamp));
    if !record.headers.is_empty() {
        // A key may occur twice, so not an object.
        let pairs = record.headers.iter().flat_map(|h| [text(&h.key), field(&h.value)]);
        object.insert("headers".into(), pairs.collect());
    }
    object.insert("key".into(), field(&record.key));
    object.insert("payload".into(), field(&record.value));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chronik_protocol::records::RecordHeader;

    use super::*;

    fn record(key: Option<&'static str>, value: Option<&'static str>) -> Record {
        let header = |key: &'static str, value: Option<&'static str>| RecordHeader {
            key: Bytes::from_static(key.as_bytes()),
            value: value.map(|v| Bytes::from_static(v.as_bytes())),
        };
        Record {
            offset: 42,
            timestamp: 1_700_000_000_000,
            attributes: 0,
            key: key.map(|k| Bytes::from_static(k.as_bytes())),
            value: value.map(|v| Bytes::from_static(v.as_bytes())),
            headers: vec![header("a", Some("1")), header("b", None)],
        }
    }

    fn check(format: &str, record: &Record, expect: &[u8]) {
        let mut out = Vec::new();
        let format = Format::parse(format).expect(format);
        format.write(&mut out, "topic", 3, record).expect("memory takes it");
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expect), "{format:?}");
    }

    #[test]
    fn every_token_and_escape() {
        let full = record(Some("key"), Some("value"));
        check("%t", &full, b"topic");
        check("%p", &full, b"3");
        check("%o", &full, b"42");
        check("%k/%K", &full, b"key/3");
        check("%s/%S", &full, b"value/5");
        check("%R%s", &full, b"\0\0\0\x05value");
        check("%T", &full, b"1700000000000");
        check("%h", &full, b"a=1,b=NULL");
        check("100%%\\n\\t\\r\\\\\\x41\\0", &full, b"100%\n\t\r\\A\0");
        check("%t [%p] at %o: %k=%s\\n", &full, b"topic [3] at 42: key=value\n");
        check("ä%s", &full, "ävalue".as_bytes());
    }

    #[test]
    fn null_has_no_text_and_the_length_of_none() {
        let null = record(None, None);
        check("%k|%K|%s|%S", &null, b"|-1||-1");
        check("%k|%K", &record(Some(""), None), b"|0");
        let null = FetchedRecord { record: null, log_append_time: false, leader_epoch: 0, broker: 1 };
        assert_eq!(json("t", 0, &null)["payload"], Value::Null);
    }

    #[test]
    fn what_is_not_a_format_is_refused() {
        for bad in ["%", "%z", "\\", "\\q", "\\x4", "\\xzz"] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(delimiter("\\t"), Ok(vec![b'\t']));
        assert!(delimiter("").is_err());
    }
}
