//! The reference page of all settings, as Markdown.

use std::fmt::Write;

use crate::environment::variable_of;
use crate::key::{Key, Scope, Status};
use crate::table;
use crate::value::allowed;

/// The whole page. Its text depends on the table alone.
pub fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    section(&mut page, "Topic keys", &mut table::TOPIC_KEYS.iter());
    section(&mut page, "Group keys", &mut table::GROUP_KEYS.iter());
    section(&mut page, "Keys of subscriptions to clients' metrics", &mut table::CLIENT_METRICS_KEYS.iter());
    for group in table::BROKER_GROUPS {
        section(&mut page, &format!("Broker keys: {}", group.title), &mut group.keys.iter());
    }
    page.push_str(WITHOUT_EFFECT);
    listing(&mut page, "Topic", table::TOPIC_KEYS.iter().filter(|key| key.status == Status::Ignored));
    listing(&mut page, "Group", table::GROUP_KEYS.iter().filter(|key| key.status == Status::Ignored));
    listing(&mut page, "Client metrics", table::CLIENT_METRICS_KEYS.iter().filter(|key| key.status == Status::Ignored));
    listing(&mut page, "Broker", table::broker_keys().filter(|key| key.status == Status::Ignored));
    page.push_str(RETIRED);
    let retired = table::TOPIC_KEYS.iter().chain(table::broker_keys()).filter(|key| key.status == Status::Retired);
    for key in retired {
        let scope = if key.scope == Scope::Topic { "topic" } else { "broker" };
        writeln!(page, "- `{}` ({scope})", key.name).expect("writing to a String cannot fail");
    }
    page
}

const INTRODUCTION: &str =
    "<!-- Generated from the table in crates/config. Change the table, then run `cargo xtask generate`. -->

# Configuration

The keys are Kafka's, with Kafka's defaults unless a row says otherwise; keys marked *own* are not Kafka's. A
value is taken from, in rising precedence: the default, the file given with `--config` (Java's properties
syntax), environment variables, and flags (`--set key=value`). The variable of a key is `KAFKA_` and the key in
upper case, with `.` written as `_`, `_` as `__` and `-` as `___`; `KAFKA_CFG_` and `CHRONIK_` work too and, in
this order, win over `KAFKA_`. An unknown key is refused, with the nearest known name; a key that Kafka has and
this broker does not act on is accepted, with a warning if its value differs from the default.
";

const WITHOUT_EFFECT: &str = "
## Accepted and without effect

Kafka has these keys; their values are checked, nothing acts on them.
";

const RETIRED: &str = "
## Accepted from older configurations

Kafka had these keys once; any value is accepted, with a warning.

";

fn section(page: &mut String, title: &str, keys: &mut dyn Iterator<Item = &Key>) {
    let mut keys = keys.filter(|key| key.honoured()).peekable();
    if keys.peek().is_none() {
        return;
    }
    writeln!(page, "\n## {title}").expect("writing to a String cannot fail");
    for key in keys {
        detail(page, key).expect("writing to a String cannot fail");
    }
}

fn detail(page: &mut String, key: &Key) -> std::fmt::Result {
    let own = if key.status == Status::Own { " *(own)*" } else { "" };
    writeln!(page, "\n### `{}`{own}\n\n{}\n", key.name, key.doc)?;
    writeln!(page, "- type: {}; allowed: {}", key.kind.word(), allowed(key))?;
    writeln!(page, "- default: {}", default_text(key))?;
    if !key.synonyms.is_empty() {
        let names: Vec<String> = key.synonyms.iter().map(|name| format!("`{name}`")).collect();
        writeln!(page, "- where it is not set: the broker's {}", names.join(", then "))?;
    }
    if key.scope == Scope::Broker {
        writeln!(
            page,
            "- change: {}; importance: {}; variable: `{}`",
            key.dynamic.word(),
            key.importance.word(),
            variable_of(key.name)
        )?;
    }
    Ok(())
}

fn default_text(key: &Key) -> String {
    match key.default {
        None => "none".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

fn listing<'a>(page: &mut String, scope: &str, keys: impl Iterator<Item = &'a Key>) {
    let head = format!(
        "\n### {scope} keys without effect\n\n| key | type | default | meaning in Kafka |\n|---|---|---|---|\n"
    );
    page.push_str(&head);
    for key in keys {
        let row = format!(
            "| `{}` | {} | {} | {} |\n",
            key.name,
            key.kind.word(),
            default_text(key),
            key.doc.replace('|', "\\|")
        );
        page.push_str(&row);
    }
}
