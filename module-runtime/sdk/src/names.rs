//! Names that may have been meant by one that there is not, and texts cut for people. Which names are known is not decided
//! here. SDKs of other languages have the same rules.

use crate::Error;

/// Of known names, so many are named.
pub(crate) const NAMES_MAX: usize = 20;

/// So much of a value or a name is quoted.
const QUOTE_CHARACTERS_MAX: usize = 60;

/// So much of two names is compared.
const COMPARED_CHARACTERS_MAX: usize = 100;

/// The candidate nearest to `name`, where one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = name.chars().count() / 3 + 1;
    let near = candidates.into_iter().map(|candidate| (distance(name, candidate), candidate));
    near.filter(|(distance, _)| *distance <= far).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

pub(crate) fn unknown_name(what: &str, name: &str, known: &[&str], none: &str) -> Error {
    Error::bad_request(format!("unknown {what} `{}`; {}", cut(name), hint(name, known, none)))
}

/// The end of a sentence about an unknown name; `none` where no name is known.
pub(crate) fn hint(name: &str, known: &[&str], none: &str) -> String {
    if known.is_empty() {
        return none.to_owned();
    }
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("did you mean `{}`?", cut(near));
    }
    let named: Vec<String> = known.iter().take(NAMES_MAX).map(|name| format!("`{}`", cut(name))).collect();
    let more = match known.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("known are {}{more}", named.join(", "))
}

/// A text for people: its first 60 characters.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARACTERS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The number of single-character edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(COMPARED_CHARACTERS_MAX).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(COMPARED_CHARACTERS_MAX).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
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
    fn a_name_is_near_by_a_third_of_it_and_one() {
        assert_eq!(nearest("abcdef", ["abcxyz", "abcxyf"]), Some("abcxyf"));
        assert_eq!(nearest("ab", ["xy", "ax", "ay"]), Some("ax"));
        assert_eq!(nearest("ab", ["xyz"]), None);
    }

    #[test]
    fn of_many_known_names_twenty_are_named() {
        let names: Vec<String> = (0..23).map(|number| format!("name{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(hint("zzzzzzzzzzz", &names, "").ends_with("`name18`, `name19` and 3 more"));
        assert_eq!(hint("a", &[], "expected none"), "expected none");
    }
}
