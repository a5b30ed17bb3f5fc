//! Text to typed values, by the rules of a table row.

use std::collections::BTreeSet;
use std::fmt;

use crate::key::{Key, Kind, Validator};

/// A checked value. `Display` writes it as DescribeConfigs does (Kafka's `ConfigDef.convertToString`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Boolean(bool),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    /// Strings and class names.
    Text(String),
    Password(Password),
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(v) => write!(f, "{v}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::Short(v) => write!(f, "{v}"),
            Value::Long(v) => write!(f, "{v}"),
            Value::Double(v) => f.write_str(&java_double(*v)),
            Value::Text(v) => f.write_str(v),
            Value::Password(_) => f.write_str(HIDDEN),
            Value::List(v) => f.write_str(&v.join(",")),
        }
    }
}

/// Stands for a sensitive value wherever one might be printed.
pub(crate) const HIDDEN: &str = "[hidden]";

/// A secret that neither `Display` nor `Debug` prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// As Java's `Double.toString`: plain between a thousandth and ten million, else with an exponent.
fn java_double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// What a value should have been: the end of the sentence "expected …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);

pub(crate) fn parse(key: &Key, text: &str) -> Result<Value, Rejected> {
    let mut value = typed(key.kind, text).ok_or_else(|| Rejected(allowed(key)))?;
    if let Value::List(parts) = &mut value
        && !matches!(key.validator, Validator::Any)
    {
        drop_repeats(parts);
    }
    if satisfies(&key.validator, &value) { Ok(value) } else { Err(Rejected(allowed(key))) }
}

fn typed(kind: Kind, text: &str) -> Option<Value> {
    let trimmed = text.trim();
    match kind {
        Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Some(Value::Boolean(true)),
        Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Some(Value::Boolean(false)),
        Kind::Boolean => None,
        Kind::Int => trimmed.parse().ok().map(Value::Int),
        Kind::Short => trimmed.parse().ok().map(Value::Short),
        Kind::Long => trimmed.parse().ok().map(Value::Long),
        Kind::Double => trimmed.parse().ok().filter(|v: &f64| v.is_finite()).map(Value::Double),
        Kind::String | Kind::Class => Some(Value::Text(trimmed.to_owned())),
        Kind::Password => Some(Value::Password(Password(text.to_owned()))),
        Kind::List if trimmed.is_empty() => Some(Value::List(Vec::new())),
        Kind::List => Some(Value::List(trimmed.split(',').map(|part| part.trim().to_owned()).collect())),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::Int(v) => Some(v.into()),
        Value::Short(v) => Some(v.into()),
        Value::Long(v) => Some(v),
        _ => None,
    }
}

fn satisfies(validator: &Validator, value: &Value) -> bool {
    let within = |low: i64, high: i64| integer(value).is_some_and(|v| (low..=high).contains(&v));
    match (validator, value) {
        (Validator::Any, _) => true,
        (Validator::AtLeast(low), _) => within(*low, i64::MAX),
        (Validator::Between(low, high), _) => within(*low, *high),
        (Validator::BetweenOr(low, high, other), _) => within(*low, *high) || integer(value) == Some(*other),
        (Validator::Fraction(low, high), Value::Double(v)) => (*low..=*high).contains(v),
        (Validator::OneOf(words), Value::Text(v)) => words.contains(&v.as_str()),
        (Validator::OneOfAnyCase(words), Value::Text(v)) => words.iter().any(|word| word.eq_ignore_ascii_case(v)),
        (Validator::ListOf(words), Value::List(v)) => v.iter().all(|part| words.contains(&part.as_str())),
        (Validator::SomeOf(words), Value::List(v)) => {
            !v.is_empty() && v.iter().all(|part| words.contains(&part.as_str()))
        }
        (Validator::Distinct, Value::List(v)) => v.iter().all(|part| !part.is_empty()),
        (Validator::NotEmpty, Value::Text(v)) => !v.is_empty(),
        (Validator::ThrottledReplicas, Value::List(v)) => throttled_replicas(v),
        _ => false,
    }
}

/// Kafka counts a repeated element once (KIP-1161).
fn drop_repeats(parts: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    parts.retain(|part| seen.insert(part.clone()));
}

fn throttled_replicas(parts: &[String]) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    parts == ["*"] || parts.iter().all(|pair| pair.split_once(':').is_some_and(|(p, b)| number(p) && number(b)))
}

fn largest(kind: Kind) -> i64 {
    match kind {
        Kind::Int => i32::MAX.into(),
        Kind::Short => i16::MAX.into(),
        _ => i64::MAX,
    }
}

/// What the key allows, as a phrase for messages and the reference page.
pub fn allowed(key: &Key) -> String {
    let quoted = |words: &[&str]| words.join(", ");
    let any = match key.kind {
        Kind::Boolean => "true or false".to_owned(),
        Kind::Int => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        Kind::Short => format!("a whole number from {} to {}", i16::MIN, i16::MAX),
        Kind::Long => format!("a whole number from {} to {}", i64::MIN, i64::MAX),
        Kind::Double => "a number".to_owned(),
        Kind::List => "a list separated by commas".to_owned(),
        Kind::String | Kind::Class | Kind::Password => "text".to_owned(),
    };
    match key.validator {
        Validator::Any => any,
        Validator::AtLeast(low) => format!("a whole number from {low} to {}", largest(key.kind)),
        Validator::Between(low, high) => format!("a whole number from {low} to {high}"),
        Validator::BetweenOr(low, high, other) => format!("a whole number from {low} to {high}, or {other}"),
        Validator::Fraction(low, high) => format!("a number from {low} to {high}"),
        Validator::OneOf(words) | Validator::OneOfAnyCase(words) => format!("one of {}", quoted(words)),
        Validator::ListOf(words) => format!("a list of {}", quoted(words)),
        Validator::SomeOf(words) => format!("a list of at least one of {}", quoted(words)),
        Validator::Distinct => "a list separated by commas, without empty parts".to_owned(),
        Validator::NotEmpty => "text that is not empty".to_owned(),
        Validator::ThrottledReplicas => "'*' or a list of partition:broker".to_owned(),
    }
}
