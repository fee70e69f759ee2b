//! The text of a full-text search. It is split here, so that no text can be a syntax error in
//! the index's own language.
//!
//! A search is words between white space, and an entity is found when it has all of them. `"two words"`
//! must stand side by side in one member. `word*` finds every word that begins so. `-word` and
//! `-"two words"` leave out the entities that have it. Capital letters and accents make no difference.

use super::{
    Fault,
    limits::{SEARCH_BYTES_MAX, SEARCH_TERMS_MAX},
};
use bulkhead_json::Raw;

/// What a full-text search looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What an entity must have, all of it; at least one.
    pub wanted: Vec<Term>,
    /// What an entity must not have, any of it.
    pub unwanted: Vec<Term>,
}

/// A word, or words side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The text of it.
    pub text: String,
    /// Whether the last word may continue.
    pub ending: Ending,
}

/// How the last word of a term ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it is written.
    Exact,
    /// In any way.
    Any,
}

impl Search {
    /// Splits `text`.
    ///
    /// # Errors
    /// When it is too long, has too many terms, or nothing to look for.
    pub fn new(text: &str) -> Result<Search, Fault> {
        if text.len() > SEARCH_BYTES_MAX {
            return Err(Fault::new(format!("a search has at most {SEARCH_BYTES_MAX} bytes, found {}", text.len())));
        }
        let mut search = Search { wanted: Vec::new(), unwanted: Vec::new() };
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (unwanted, after) = match rest.strip_prefix('-') {
                Some(after) => (true, after),
                None => (false, rest),
            };
            let (term, after) = take_term(after);
            rest = after.trim_start();
            // A text without letters and digits is no word: the index has nothing of it.
            if term.text.chars().any(char::is_alphanumeric) {
                if unwanted { &mut search.unwanted } else { &mut search.wanted }.push(term);
            }
        }
        if search.wanted.len() + search.unwanted.len() > SEARCH_TERMS_MAX {
            return Err(Fault::new(format!("a search has at most {SEARCH_TERMS_MAX} terms, found more")));
        }
        if search.wanted.is_empty() {
            return Err(Fault::new(format!(
                "expected at least one word to look for, found {}",
                Raw::new(&format!("{text:?}")).quote()
            )));
        }
        Ok(search)
    }

    pub(super) fn read(raw: Raw<'_>) -> Result<Search, Fault> {
        match raw.text() {
            Some(text) => Search::new(&text),
            None => Err(Fault::new(format!("expected a text, found {}", raw.quote()))),
        }
    }
}

/// Takes a term off the front of `text`. A quotation mark that is never closed ends with the text.
fn take_term(text: &str) -> (Term, &str) {
    let (inner, after) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => text.split_at(text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len())),
    };
    let (inner, ending, after) = match (inner.strip_suffix('*'), after.strip_prefix('*')) {
        (Some(stem), _) => (stem, Ending::Any, after),
        (None, Some(after)) => (inner, Ending::Any, after),
        (None, None) => (inner, Ending::Exact, after),
    };
    (Term { text: inner.to_owned(), ending }, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_phrases_beginnings_and_exclusions() {
        let search = Search::new(r#"graph "strong  theory" hyp* -draft -"first try"* "#).unwrap();
        let written =
            |terms: &[Term]| -> Vec<(String, Ending)> { terms.iter().map(|t| (t.text.clone(), t.ending)).collect() };
        assert_eq!(
            written(&search.wanted),
            [("graph".into(), Ending::Exact), ("strong  theory".into(), Ending::Exact), ("hyp".into(), Ending::Any)]
        );
        assert_eq!(written(&search.unwanted), [("draft".into(), Ending::Exact), ("first try".into(), Ending::Any)]);
    }

    #[test]
    fn every_text_is_a_search_or_is_refused_for_having_no_word() {
        for text in ["\"", "\"\"", "- -", "*", "-\"a\"", "((", ""] {
            assert!(Search::new(text).unwrap_err().reason.starts_with("expected at least one word"), "{text}");
        }
        for text in ["a\"b", "a OR b", "NEAR(a b)", "col:a", "a^b", "\"a", "a\0b", "+a"] {
            assert!(Search::new(text).is_ok(), "{text}");
        }
        assert!(Search::new(&"a ".repeat(33)).is_err());
        assert!(Search::new(&"a".repeat(1025)).is_err());
    }
}
