//! A value that fits, written so that types of Rust take it: whole numbers as `1.0` and `1e3` become `1` and `1000`
//! where an integer is expected. Everything else stays as it was sent.

use super::check::name_of;
use super::number;
use super::shape::{Others, Shape, Shapes};
use bulkhead_json::{Kind, Raw};

impl Shapes {
    /// The text of a value that fits.
    pub(super) fn rewritten(&self, value: Raw<'_>) -> String {
        let mut text = String::with_capacity(value.as_str().len());
        self.rewrite(&self.root, value, &mut text);
        text
    }

    fn rewrite(&self, shape: &Shape, value: Raw<'_>, out: &mut String) {
        match (shape, value.kind()) {
            (Shape::Reference(at), _) => self.rewrite(&self.referred[*at], value, out),
            (Shape::AnyOf(parts), kind) => {
                let fits = |part: &&Shape| self.may_be(part, kind) && self.check_as(part, value).is_ok();
                match parts.iter().find(fits) {
                    Some(part) => self.rewrite(part, value, out),
                    None => out.push_str(value.as_str()),
                }
            }
            (Shape::Integer { .. } | Shape::OneOf(_), Kind::Number) => match number::as_whole(value.as_str()) {
                Some(whole) => out.push_str(&whole.to_string()),
                None => out.push_str(value.as_str()),
            },
            (Shape::List { first, others, .. }, Kind::List) => {
                out.push('[');
                for (at, element) in value.elements().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.rewrite(first.get(at).unwrap_or(others), element, out);
                }
                out.push(']');
            }
            (Shape::Object { members, others }, Kind::Object) => {
                out.push('{');
                for (at, (name, member)) in value.members().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(name.as_str());
                    out.push(':');
                    let text = name_of(name);
                    match (members.iter().find(|known| known.name == text), others) {
                        (Some(known), _) => self.rewrite(&known.shape, member, out),
                        (None, Others::Each(shape)) => self.rewrite(shape, member, out),
                        (None, Others::Refused | Others::Ignored) => out.push_str(member.as_str()),
                    }
                }
                out.push('}');
            }
            _ => out.push_str(value.as_str()),
        }
    }
}
