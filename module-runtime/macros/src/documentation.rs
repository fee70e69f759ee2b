//! Doc comments as descriptions.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The first paragraph of a doc comment, as one line.
pub(crate) fn first_paragraph(attributes: &[Attribute]) -> String {
    let lines = lines(attributes);
    let lines = lines.iter().map(|line| line.trim()).skip_while(|line| line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn lines(attributes: &[Attribute]) -> Vec<String> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(meta) = &attribute.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value
        {
            lines.extend(text.value().lines().map(str::to_owned));
            // A line without text is one as well.
            if text.value().is_empty() {
                lines.push(String::new());
            }
        }
    }
    lines
}
