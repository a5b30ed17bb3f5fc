//! The known name a misspelt one probably meant.

/// The candidate nearest to `name` by edits of single characters, where that is at most a third of its length.
/// Of equals the first wins.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any key could be misspelt into; keeps the work of hostile input small.
    const LONGEST: usize = 128;
    if name.len() > LONGEST {
        return None;
    }
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in characters.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, edits) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("a", "a", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn only_a_near_name_is_offered() {
        let names = ["log.retention.hours", "log.roll.hours", "num.partitions"];
        let near = |name| nearest(name, names.iter().copied());
        assert_eq!(near("log.retention.hour"), Some("log.retention.hours"));
        assert_eq!(near("num.partition"), Some("num.partitions"));
        assert_eq!(near("completely.else"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"n".repeat(100_000)), None);
    }
}
