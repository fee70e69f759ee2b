//! What an entity holds: one JSON object as text, checked. What its members mean is up to its module.

use super::{
    Fault,
    limits::{DEPTH_MAX, ENTITY_BYTES_MAX},
};
use bulkhead_json::{Kind, Raw, text_end};
use std::{borrow::Cow, collections::HashSet, fmt, sync::Arc};

/// One JSON object, as it was written but without white space between its parts: no duplicate
/// members, no lone surrogates, not too deep and not too long. Cloning it copies no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Arc<str>);

impl Data {
    /// Checks `raw` and keeps its text.
    ///
    /// # Errors
    /// With the path inside the object, when it is no object or breaks a rule of the type.
    pub fn new(raw: Raw<'_>) -> Result<Data, Fault> {
        if raw.kind() != Kind::Object {
            return Err(Fault::new(format!("expected an object, found {}", raw.quote())));
        }
        let text = compact(raw.as_str());
        check_size(&text)?;
        check(&text)?;
        Ok(Data(text.into()))
    }

    /// Takes a text that was checked before, such as one from the store.
    pub fn trusted(text: impl Into<Arc<str>>) -> Data {
        Data(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object.
    pub fn raw(&self) -> Raw<'_> {
        Raw::new(&self.0)
    }

    /// The text, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the length of what an entity would hold.
pub(super) fn check_size(text: &str) -> Result<(), Fault> {
    match text.len() > ENTITY_BYTES_MAX {
        true => Err(Fault::new(format!("an entity holds at most {ENTITY_BYTES_MAX} bytes, found {}", text.len()))),
        false => Ok(()),
    }
}

/// The text without white space outside its texts.
fn compact(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = text_end(bytes, at).min(bytes.len()),
            b' ' | b'\t' | b'\r' | b'\n' => {
                out.push_str(&text[copied..at]);
                at += 1;
                copied = at;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// A list or an object that is open while the text is checked.
enum Open<'a> {
    List { index: usize },
    Object { names: Names<'a>, name: Cow<'a, str> },
}

/// Looks for duplicate members, lone surrogates and too much depth, without recursion.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut name_next = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => {
                if open.len() == DEPTH_MAX {
                    return Err(fault(&open, format!("lists and objects may lie {DEPTH_MAX} deep, found one deeper")));
                }
                name_next = bytes[at] == b'{';
                open.push(match name_next {
                    true => Open::Object { names: Names::default(), name: Cow::Borrowed("") },
                    false => Open::List { index: 0 },
                });
                at += 1;
            }
            b'}' | b']' => {
                open.pop();
                name_next = false;
                at += 1;
            }
            b',' => {
                match open.last_mut() {
                    Some(Open::List { index }) => *index += 1,
                    Some(Open::Object { .. }) => name_next = true,
                    None => {}
                }
                at += 1;
            }
            b'"' => {
                let end = text_end(bytes, at).min(bytes.len());
                let Some(decoded) = Raw::new(&text[at..end]).text() else {
                    let found = Raw::new(&text[at..end]).quote();
                    // A name is in its object, not in the member before it.
                    let inside = if name_next { &open[..open.len() - 1] } else { &open[..] };
                    return Err(fault(
                        inside,
                        format!("expected a text of whole characters, found a lone surrogate in {found}"),
                    ));
                };
                if std::mem::take(&mut name_next)
                    && let Some(Open::Object { names, name }) = open.last_mut()
                {
                    *name = decoded.clone();
                    if !names.insert(decoded) {
                        return Err(fault(&open, "the object has this member twice".into()));
                    }
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

fn fault(open: &[Open<'_>], reason: String) -> Fault {
    let at = open.iter().map(|open| match open {
        Open::List { index } => index.to_string(),
        Open::Object { name, .. } => name.chars().take(64).collect(),
    });
    Fault { at: at.collect(), reason }
}

/// The names of one object. Most have few, and a list of few is searched faster than a set is made.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    const FEW: usize = 16;

    fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.few.len() < Names::FEW {
            let new = !self.few.contains(&name);
            self.few.push(name);
            return new;
        }
        !self.few.contains(&name) && self.many.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Data::new(Raw::new(text)).unwrap_err().to_string()
    }

    #[test]
    fn the_text_is_kept_but_for_white_space_between_its_parts() {
        let text = "{ \"a b\" : [ 1.0 , 1e400, -0, 12345678901234567890123.0 ] ,\n\"é\\u00e9\\u0000\":\"\\\" }\" }";
        let data = Data::new(Raw::new(text)).unwrap();
        assert_eq!(data.as_str(), r#"{"a b":[1.0,1e400,-0,12345678901234567890123.0],"é\u00e9\u0000":"\" }"}"#);
        assert_eq!(Data::new(data.raw()).unwrap(), data);
    }

    #[test]
    fn what_would_not_round_trip_is_refused_with_its_path() {
        assert_eq!(refused("[1]"), "expected an object, found [1]");
        assert_eq!(refused(r#"{"a":[{"b":1,"\u0062":2}]}"#), "at a.0.b: the object has this member twice");
        assert_eq!(
            refused(r#"{"a":["x","\ud800"]}"#),
            r#"at a.1: expected a text of whole characters, found a lone surrogate in "\ud800""#
        );
        assert_eq!(
            refused(r#"{"b":{"c":1,"a\udc00":1}}"#),
            r#"at b: expected a text of whole characters, found a lone surrogate in "a\udc00""#
        );
        let many: String = (0..100).map(|n| format!("\"m{n}\":{n},")).collect();
        assert_eq!(refused(&format!("{{{many}\"m77\":0}}")), "at m77: the object has this member twice");
    }

    #[test]
    fn depth_and_length_have_limits_that_are_named() {
        let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Data::new(Raw::new(&deep(DEPTH_MAX - 1))).is_ok());
        assert!(refused(&deep(DEPTH_MAX)).contains("128 deep"));
        assert!(refused(&deep(1000)).contains("128 deep"));
        let long = |bytes: usize| format!("{{ \"a\":\"{}\" }}", "x".repeat(bytes - r#"{"a":""}"#.len()));
        assert!(Data::new(Raw::new(&long(ENTITY_BYTES_MAX))).is_ok());
        assert_eq!(refused(&long(ENTITY_BYTES_MAX + 1)), "an entity holds at most 1048576 bytes, found 1048577");
    }
}
