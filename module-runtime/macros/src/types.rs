//! What a type is by its name. A macro sees no more of a type, so another name for `Option` is not seen to be one.

use syn::{GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypePath, TypeReference};

/// The type of a parameter, and how its value is passed.
pub(crate) enum Passed<'a> {
    /// As it is.
    Owned(&'a Type),
    /// By a reference to it.
    Shared(&'a Type),
}

/// How a parameter of this type is passed; `None` of `&mut`, which there is nothing for.
pub(crate) fn passed(of: &Type) -> Option<Passed<'_>> {
    match of {
        Type::Reference(TypeReference { mutability: Some(_), .. }) => None,
        Type::Reference(TypeReference { elem, .. }) => Some(Passed::Shared(elem)),
        owned => Some(Passed::Owned(owned)),
    }
}

/// Whether it is `&mut Context`, under any path.
pub(crate) fn is_context(of: &Type) -> bool {
    matches!(of, Type::Reference(TypeReference { mutability: Some(_), elem, .. }) if is_named(elem, "Context"))
}

/// Whether it is `&Init`, under any path.
pub(crate) fn is_init(of: &Type) -> bool {
    matches!(of, Type::Reference(TypeReference { mutability: None, elem, .. }) if is_named(elem, "Init"))
}

/// Whether it is `&str`.
pub(crate) fn is_str(of: &Type) -> bool {
    matches!(of, Type::Reference(TypeReference { mutability: None, elem, .. }) if is_named(elem, "str"))
}

/// Whether it is an `Option` of something.
pub(crate) fn is_option(of: &Type) -> bool {
    let arguments = last(of).filter(|segment| segment.ident == "Option").map(|segment| &segment.arguments);
    matches!(arguments, Some(PathArguments::AngleBracketed(inner))
        if matches!(inner.args.first(), Some(GenericArgument::Type(_))))
}

/// What a function returns; `None` of nothing.
pub(crate) fn returned(output: &ReturnType) -> Option<&Type> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, of) => Some(of),
    }
}

fn is_named(of: &Type, name: &str) -> bool {
    last(of).is_some_and(|segment| segment.ident == name)
}

fn last(of: &Type) -> Option<&PathSegment> {
    match of {
        Type::Path(TypePath { qself: None, path, .. }) => path.segments.last(),
        Type::Paren(inner) => last(&inner.elem),
        Type::Group(inner) => last(&inner.elem),
        _ => None,
    }
}
