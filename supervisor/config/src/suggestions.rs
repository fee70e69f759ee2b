//! "Did you mean …?": the known word that a misspelt one most likely stands for.

use std::collections::BTreeSet;

/// The word of `known` that is nearest to `found`, when it is near enough: at most two mistakes in five characters,
/// where a mistake is a letter added, left out, replaced, or swapped with its neighbour. Failing that, the one word
/// that begins with `found`.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: BTreeSet<&str> = known.into_iter().collect();
    // A text longer than any name is no misspelling, and would only cost time.
    if found.len() > 128 {
        return None;
    }
    let slips = |word: &str| (found.chars().count().max(word.chars().count()) * 2 / 5).max(1);
    let near = known.iter().map(|word| (distance(found, word), *word)).filter(|(d, word)| *d <= slips(word));
    if let Some((_, word)) = near.min_by_key(|(distance, _)| *distance) {
        return Some(word);
    }
    let mut longer = known.iter().filter(|word| found.len() > 2 && word.starts_with(found));
    longer.next().filter(|_| longer.next().is_none()).copied()
}

/// `-` and `_` count as one letter, and so do capitals and small letters.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.replace('-', "_").to_ascii_lowercase();
    strsim::osa_distance(&fold(a), &fold(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["queue", "queue_bytes_max", "window", "ping_interval"];
        assert_eq!(nearest("que", known), Some("queue"));
        assert_eq!(nearest("qeue", known), Some("queue"));
        assert_eq!(nearest("quuee", known), Some("queue"));
        assert_eq!(nearest("ping-interval", known), Some("ping_interval"));
        assert_eq!(nearest("queue_byte_max", known), Some("queue_bytes_max"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("ping", known), Some("ping_interval"));
        assert_eq!(nearest("ping", ["ping_interval", "ping_timeout"]), None);
        assert_eq!(nearest("", known), None);
    }
}
