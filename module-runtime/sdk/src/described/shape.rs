//! What JSON a type takes: its JSON Schema, read once. Keywords that say nothing about the form, such as `pattern`, are
//! left to the type itself, and a schema that has a form not known here is left to it as a whole.

pub(super) mod compile;

pub(super) use compile::compile;

use super::refusal::alternatives;
use bulkhead_json::Kind;

/// A type. What it refers to is in [`Shapes`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Any JSON, with each member once and with numbers that stay what they are.
    Anything,
    /// Whatever the type takes.
    Own,
    /// No value.
    Nothing,
    Text {
        characters: Bounds<usize>,
    },
    Integer {
        bounds: Bounds<i128>,
        /// Whether the bounds are narrower than those of the type of Rust.
        is_narrowed: bool,
    },
    Number {
        is_single: bool,
        bounds: Bounds<f64>,
    },
    Boolean,
    Null,
    List {
        /// The first elements, where each has its own type.
        first: Vec<Shape>,
        /// All others.
        others: Box<Shape>,
        length: Bounds<usize>,
    },
    Object {
        members: Vec<Member>,
        others: Others,
    },
    /// One of these values, as JSON without white space. None is a list, an object or a number with a fraction.
    OneOf(Vec<String>),
    AnyOf(Vec<Shape>),
    /// A type that is a part of itself.
    Reference(usize),
}

/// The least and the greatest that is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds<T> {
    pub(super) min: Option<T>,
    pub(super) max: Option<T>,
}

/// A member that an object may have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
}

/// What becomes of members with other names.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Others {
    Refused,
    Ignored,
    Each(Box<Shape>),
}

/// A type, and the types that it refers to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shapes {
    pub(super) root: Shape,
    pub(super) referred: Vec<Shape>,
}

impl<T: PartialOrd + Copy> Bounds<T> {
    pub(super) const NONE: Bounds<T> = Bounds { min: None, max: None };

    pub(super) fn holds(self, value: T) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl<T: std::fmt::Display> Bounds<T> {
    /// `an integer from 1 to 10`.
    pub(super) fn words(&self, of: &str) -> String {
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => format!("{of} from {min} to {max}"),
            (Some(min), None) => format!("{of} of at least {min}"),
            (None, Some(max)) => format!("{of} of at most {max}"),
            (None, None) => of.to_owned(),
        }
    }
}

impl Shapes {
    /// What a refusal says was expected of a value of this type.
    pub(super) fn expected(&self, shape: &Shape) -> String {
        let mut words = Vec::new();
        self.words(shape, 0, &mut words);
        alternatives(&words)
    }

    fn words(&self, shape: &Shape, depth: usize, words: &mut Vec<String>) {
        let word = match shape {
            Shape::Anything | Shape::Own => "any JSON",
            Shape::Nothing => "nothing",
            Shape::Text { .. } => "a text",
            Shape::Integer { .. } => "an integer",
            Shape::Number { .. } => "a number",
            Shape::Boolean => "true or false",
            Shape::Null => "null",
            Shape::List { .. } => "a list",
            Shape::Object { .. } => "an object",
            Shape::OneOf(values) => return words.extend(values.iter().cloned()),
            Shape::AnyOf(parts) => return parts.iter().for_each(|part| self.words(part, depth, words)),
            Shape::Reference(at) if depth < REFERENCES_MAX => {
                return self.words(&self.referred[*at], depth + 1, words);
            }
            Shape::Reference(_) => return,
        };
        words.push(word.to_owned());
    }

    /// Whether a value of this kind may be of the type.
    pub(super) fn may_be(&self, shape: &Shape, kind: Kind) -> bool {
        self.may_be_within(shape, kind, 0)
    }

    fn may_be_within(&self, shape: &Shape, kind: Kind, depth: usize) -> bool {
        match shape {
            Shape::Anything | Shape::Own => true,
            Shape::Nothing => false,
            Shape::Text { .. } => kind == Kind::Text,
            Shape::Integer { .. } | Shape::Number { .. } => kind == Kind::Number,
            Shape::Boolean => kind == Kind::Boolean,
            Shape::Null => kind == Kind::Null,
            Shape::List { .. } => kind == Kind::List,
            Shape::Object { .. } => kind == Kind::Object,
            Shape::OneOf(values) => values.iter().any(|value| bulkhead_json::Raw::new(value).kind() == kind),
            Shape::AnyOf(parts) => parts.iter().any(|part| self.may_be_within(part, kind, depth)),
            Shape::Reference(at) => depth < REFERENCES_MAX && self.may_be_within(&self.referred[*at], kind, depth + 1),
        }
    }

    /// Whether the type takes exactly the values that fit, so that they need no look before. Only of types for which
    /// this is known: one that derives `Deserialize` takes a list for an object, and the last of two members.
    pub(super) fn is_held_by_the_type(&self) -> bool {
        fn is_held(shape: &Shape) -> bool {
            match shape {
                Shape::Own | Shape::Boolean | Shape::Null => true,
                Shape::Text { characters } => *characters == Bounds::NONE,
                Shape::Integer { is_narrowed, .. } => !is_narrowed,
                Shape::List { first, others, length } => first.is_empty() && *length == Bounds::NONE && is_held(others),
                Shape::AnyOf(parts) => matches!(&parts[..], [part, Shape::Null] if is_held(part)),
                Shape::Anything
                | Shape::Nothing
                | Shape::Number { .. }
                | Shape::Object { .. }
                | Shape::OneOf(_)
                | Shape::Reference(_) => false,
            }
        }
        is_held(&self.root)
    }
}

/// How many references that lead to nothing but a reference are followed.
const REFERENCES_MAX: usize = 16;
