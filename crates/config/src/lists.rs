//! Changes of list values (KIP-339: APPEND and SUBTRACT).

use crate::key::{Key, Kind, Scope};
use crate::table;

/// A list value with more elements at its end, those left out that it has. `now` is the value set, `None` for the default.
///
/// # Errors
/// The key is not known, or not a list.
pub fn append_to_list(scope: Scope, key: &str, now: Option<&str>, added: &str) -> Result<String, String> {
    let mut elements = elements(row(scope, key, "APPEND to")?, now);
    for one in split(added) {
        if !elements.contains(&one) {
            elements.push(one);
        }
    }
    Ok(elements.join(","))
}

/// A list value without some elements. `now` is the value set, `None` for the default.
///
/// # Errors
/// The key is not known, or not a list.
pub fn subtract_from_list(scope: Scope, key: &str, now: Option<&str>, removed: &str) -> Result<String, String> {
    let removed = split(removed);
    let mut elements = elements(row(scope, key, "SUBTRACT from")?, now);
    elements.retain(|one| !removed.contains(one));
    Ok(elements.join(","))
}

fn row(scope: Scope, key: &str, what: &str) -> Result<&'static Key, String> {
    let row = table::key_of(scope, key);
    let row = row.filter(|row| row.public()).ok_or_else(|| format!("unknown config name: {key}"))?;
    if row.kind != Kind::List {
        return Err(format!("Can't {what} key {key} because its type is not LIST."));
    }
    Ok(row)
}

fn elements(row: &Key, now: Option<&str>) -> Vec<String> {
    split(now.or(row.default).unwrap_or_default())
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_and_go() {
        let key = "cleanup.policy";
        assert_eq!(append_to_list(Scope::Topic, key, None, "compact"), Ok("delete,compact".into()), "to the default");
        assert_eq!(append_to_list(Scope::Topic, key, Some("compact"), "compact, delete"), Ok("compact,delete".into()));
        assert_eq!(subtract_from_list(Scope::Topic, key, Some("compact,delete"), "delete"), Ok("compact".into()));
        assert_eq!(subtract_from_list(Scope::Topic, key, None, "compact"), Ok("delete".into()));
        assert!(append_to_list(Scope::Topic, "retention.ms", None, "1").is_err());
        assert!(subtract_from_list(Scope::Topic, "no.such.key", None, "1").is_err());
    }
}
