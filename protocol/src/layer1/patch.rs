//! Merge patches (RFC 7396), done on the texts: what a patch does not touch keeps its exact text.

use super::{
    Data, Fault,
    data::{check, check_size},
};
use bulkhead_json::{Kind, Raw};
use std::borrow::Cow;

impl Data {
    /// What the object is after the patch: a member that is `null` in the patch is removed, an object is merged into
    /// the object at that path, anything else replaces the value at that path. New members
    /// follow the old ones.
    ///
    /// # Errors
    /// When the outcome is longer than an entity may be.
    pub fn patched(&self, patch: &Data) -> Result<Data, Fault> {
        let mut out = String::with_capacity(self.as_str().len() + patch.as_str().len());
        merge(Some(self.raw()), patch.raw(), &mut out);
        check_size(&out)?;
        // Neither side is deeper than is allowed, and so is the outcome; names are decided one by one.
        debug_assert_eq!(check(&out), Ok(()));
        Ok(Data::trusted(out))
    }
}

/// Appends what `target` is after `patch`. It goes as deep as the patch does.
fn merge(target: Option<Raw<'_>>, patch: Raw<'_>, out: &mut String) {
    if patch.kind() != Kind::Object {
        out.push_str(patch.as_str());
        return;
    }
    let mut changes: Vec<Option<(Cow<'_, str>, Raw<'_>, Raw<'_>)>> =
        patch.members().map(|(name, value)| Some((name.text().unwrap_or_default(), name, value))).collect();
    let mut sorted: Vec<usize> = (0..changes.len()).collect();
    let name_of = |changes: &[Option<(Cow<'_, str>, Raw<'_>, Raw<'_>)>], at: usize| {
        changes[at].as_ref().map(|change| change.0.to_string())
    };
    sorted.sort_by_cached_key(|at| name_of(&changes, *at));
    let names: Vec<String> = sorted.iter().filter_map(|at| name_of(&changes, *at)).collect();
    let mut members = Members { out, begun: false };
    members.out.push('{');
    for (name, value) in target.into_iter().flat_map(Raw::members) {
        let decoded = name.text().unwrap_or_default();
        let change = names.binary_search_by(|known| known.as_str().cmp(&decoded)).ok();
        match change.and_then(|at| changes[sorted[at]].take()) {
            None => members.push(name, |out| out.push_str(value.as_str())),
            Some((_, _, change)) if change.kind() == Kind::Null => {}
            Some((_, _, change)) => members.push(name, |out| merge(Some(value), change, out)),
        }
    }
    for (_, name, value) in changes.into_iter().flatten() {
        if value.kind() != Kind::Null {
            members.push(name, |out| merge(None, value, out));
        }
    }
    members.out.push('}');
}

/// Writes the members of one object.
struct Members<'a> {
    out: &'a mut String,
    begun: bool,
}

impl Members<'_> {
    fn push(&mut self, name: Raw<'_>, value: impl FnOnce(&mut String)) {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        self.out.push_str(name.as_str());
        self.out.push(':');
        value(self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(target: &str, patch: &str) -> String {
        let data = |text| Data::new(Raw::new(text)).unwrap();
        data(target).patched(&data(patch)).unwrap().as_str().to_owned()
    }

    /// The examples of RFC 7396, appendix A, whose two sides are objects.
    #[test]
    fn the_examples_of_the_standard() {
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"a":"foo"}"#, r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#),
        ] {
            assert_eq!(patched(target, patch), expected, "{target} and {patch}");
        }
    }

    #[test]
    fn what_is_not_patched_keeps_its_text_and_its_position() {
        let target = r#"{"z":1.00,"\u0061":{"x":1e2,"y":[1.0]},"b":"\u00e9"}"#;
        assert_eq!(
            patched(target, r#"{"a":{"x":-0},"n":null}"#),
            r#"{"z":1.00,"\u0061":{"x":-0,"y":[1.0]},"b":"\u00e9"}"#
        );
        assert_eq!(patched(target, "{}"), target);
    }

    #[test]
    fn an_outcome_that_is_too_long_is_refused() {
        let half = format!(r#"{{"a":"{}"}}"#, "x".repeat(600_000));
        let other = format!(r#"{{"b":"{}"}}"#, "x".repeat(600_000));
        let data = |text: &str| Data::new(Raw::new(text)).unwrap();
        assert!(data(&half).patched(&data(&other)).unwrap_err().reason.contains("at most 1048576"));
    }
}
