//! Subscriptions by pattern: RE2 syntax, and the whole name has to match.

use chronik_protocol::error::ErrorCode;
use regex::{Regex, RegexBuilder};

use super::Refusal;

/// A pattern in the memory it may take, in bytes; a longer one, or one that grows beyond, is refused.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub text: String,
    whole: Regex,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Self, Refusal> {
        let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).build();
        let refused = |e: regex::Error| {
            Refusal::new(ErrorCode::InvalidRegularExpression, format!("the pattern {text:?} is not valid: {e}"))
        };
        let pattern = unquoted(text);
        // By itself first: `a)|(b` is no pattern, but would be one within brackets.
        compile(&pattern).map_err(refused)?;
        let whole = compile(&format!(r"\A(?:{pattern})\z")).map_err(refused)?;
        Ok(Pattern { text: text.to_owned(), whole })
    }

    pub fn matches(&self, name: &str) -> bool {
        self.whole.is_match(name)
    }
}

/// RE2's `\Q...\E`, in which nothing has a meaning, written out.
fn unquoted(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(quoted) = from.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(literal));
            rest = after;
        } else {
            let escape = from.char_indices().nth(2).map_or(from.len(), |(end, _)| end);
            out.push_str(&from[..escape]);
            rest = &from[escape..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_has_to_match() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).expect("a valid pattern").matches(name);
        assert!(matches("a.*", "abc"));
        assert!(!matches("a", "abc"));
        assert!(!matches("b", "abc"));
        assert!(matches("a|abc", "abc"), "of several ways the one that takes the whole name");
        assert!(matches("(?i)ABC", "abc"));
        assert!(matches(r"\Qa.c\E.*", "a.cd"));
        assert!(!matches(r"\Qa.c\E", "abc"));
        assert!(matches(r"\\?\Qa\E", "a"));
        assert!(matches(r"[\w.-]+\d", "t-1"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["(", "a)|(b", "[", "*", r"\", "(?=a)", r"(a)\1", "(a{1000}){1000}"] {
            let refusal = Pattern::new(bad).expect_err(bad);
            assert_eq!(refusal.error, ErrorCode::InvalidRegularExpression, "{bad}");
        }
    }
}
