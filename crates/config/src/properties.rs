//! Java's `.properties` syntax, as `java.util.Properties.load` reads it.

use crate::layer::{Entry, Place};

/// Why a text is not a properties file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    #[error("line {line}: \\u must be followed by four hexadecimal digits that name a character")]
    BadUnicodeEscape { line: usize },
    #[error("line {line}: there is no key before the separator")]
    EmptyKey { line: usize },
}

/// Reads `key=value`, `key: value` and `key value` lines, in file order, each with the line (from 1) it starts on.
/// Comments start with `#` or `!`; a line that ends in an odd number of backslashes goes on in the next one.
///
/// # Errors
/// See [`PropertiesError`]. Unlike Java an empty key is refused.
pub fn parse_properties(text: &str) -> Result<Vec<Entry>, PropertiesError> {
    let mut lines = natural_lines(text.strip_prefix('\u{feff}').unwrap_or(text)).enumerate();
    let mut entries = Vec::new();
    while let Some((at, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        // Lines that only held a continuation leave nothing behind.
        if !logical.is_empty() {
            entries.push(entry(&logical, at + 1)?);
        }
    }
    Ok(entries)
}

fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let ending = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + ending..]);
        Some(&text[..end])
    })
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

fn entry(line: &str, number: usize) -> Result<Entry, PropertiesError> {
    let (key, value) = split(line);
    let key = unescape(key, number)?;
    if key.is_empty() {
        return Err(PropertiesError::EmptyKey { line: number });
    }
    Ok(Entry { key, value: unescape(value, number)?, place: Place::Line(number) })
}

/// Cuts at the first separator that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let separator = !escaped && (matches!(c, '=' | ':') || is_blank(c));
        escaped = c == '\\' && !escaped;
        separator
    });
    let Some(end) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).map_or(rest, |after| after.trim_start_matches(is_blank));
    (&line[..end], value)
}

fn unescape(text: &str, line: usize) -> Result<String, PropertiesError> {
    let bad = PropertiesError::BadUnicodeEscape { line };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { break };
        rest = &rest[c.len_utf8()..];
        match c {
            't' => out.push('\t'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            'f' => out.push('\u{c}'),
            'u' => {
                let (c, after) = utf16_escape(rest).ok_or(bad)?;
                out.push(c);
                rest = after;
            }
            other => out.push(other),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The character named after a `\u`, which may be the first of two surrogates.
fn utf16_escape(text: &str) -> Option<(char, &str)> {
    let (high, rest) = hex4(text)?;
    if let Some(c) = char::from_u32(high.into()) {
        return Some((c, rest));
    }
    let (low, rest) = hex4(rest.strip_prefix("\\u")?)?;
    char::decode_utf16([high, low]).next()?.ok().map(|c| (c, rest))
}

fn hex4(text: &str) -> Option<(u16, &str)> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u16::from_str_radix(digits, 16).ok()?, &text[4..]))
}
