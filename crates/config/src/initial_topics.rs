//! Topics that are to be there once the broker is: `name[:partitions[:replicas[:cleanup.policy]]]`, separated by commas, as the
//! container images of Kafka's community take them.

use std::collections::BTreeSet;

/// One such topic. What is left out is the broker's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialTopic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replicas: Option<i16>,
    /// `compact` or `delete`
    pub cleanup_policy: Option<String>,
}

/// Reads a list of topics.
///
/// # Errors
/// A sentence that names the entry that makes no sense.
pub fn parse_initial_topics(text: &str) -> Result<Vec<InitialTopic>, String> {
    let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    let topics: Vec<InitialTopic> = entries.map(parse).collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    match topics.iter().find(|topic| !names.insert(topic.name.as_str())) {
        Some(twice) => Err(format!("topic '{}' is given twice", twice.name)),
        None => Ok(topics),
    }
}

fn parse(entry: &str) -> Result<InitialTopic, String> {
    let wrong = |what: &str| format!("'{entry}': {what}; expected name:partitions:replicas:cleanup.policy");
    let mut parts = entry.split(':').map(str::trim);
    let name = parts.next().unwrap_or_default();
    if name.is_empty() {
        return Err(wrong("a topic needs a name"));
    }
    let partitions = positive(parts.next()).map_err(|()| wrong("the number of partitions must be above 0"))?;
    let replicas = positive(parts.next()).map_err(|()| wrong("the number of replicas must be above 0"))?;
    let cleanup_policy = match parts.next() {
        None | Some("") => None,
        Some(policy @ ("compact" | "delete")) => Some(policy.to_owned()),
        Some(_) => return Err(wrong("the cleanup policy is compact or delete")),
    };
    if parts.next().is_some() {
        return Err(wrong("too many parts"));
    }
    let replicas = replicas.map(i16::try_from).transpose().map_err(|_| wrong("too many replicas"))?;
    Ok(InitialTopic { name: name.to_owned(), partitions, replicas, cleanup_policy })
}

fn positive(part: Option<&str>) -> Result<Option<i32>, ()> {
    match part {
        None | Some("") => Ok(None),
        Some(text) => text.parse().ok().filter(|count| *count > 0).map(Some).ok_or(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_be_left_out_from_the_end() {
        let topics = parse_initial_topics("a:3:1, b:1:1:compact,c,\n d::2").expect("well formed");
        let topic = |name: &str, partitions, replicas, policy: Option<&str>| InitialTopic {
            name: name.into(),
            partitions,
            replicas,
            cleanup_policy: policy.map(str::to_owned),
        };
        let expected = [
            topic("a", Some(3), Some(1), None),
            topic("b", Some(1), Some(1), Some("compact")),
            topic("c", None, None, None),
            topic("d", None, Some(2), None),
        ];
        assert_eq!(topics, expected);
        assert_eq!(parse_initial_topics(" , "), Ok(Vec::new()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for bad in ["a:0", "a:x", "a:1:-1", "a:1:99999", "a:1:1:tidy", "a:1:1:compact:x", ":1", "a,b,a"] {
            let error = parse_initial_topics(bad).expect_err(bad);
            assert!(error.starts_with('\'') || error.contains("twice"), "{error}");
        }
    }
}
