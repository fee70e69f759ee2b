//! The parameters of a handler: which of them the SDK gives, and which are read from what came.

use crate::attributes::{Default, ParameterOptions};
use crate::faults::Faults;
use crate::types::{self, Passed};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Pat, PatType, Receiver, ReceiverKind, Signature, Type};

/// What a handler takes.
pub(crate) struct Parameters {
    /// Whether it is a method, and not a function of the type.
    pub(crate) has_self: bool,
    /// Whether it takes the context.
    pub(crate) has_context: bool,
    /// What follows, in order.
    pub(crate) others: Vec<Parameter>,
}

/// A parameter that is no context.
pub(crate) struct Parameter {
    pub(crate) of: Type,
    pub(crate) options: ParameterOptions,
    /// Its name, where it has one.
    ident: Option<Ident>,
    span: proc_macro2::Span,
}

impl Parameters {
    /// Reads the parameters of a handler, and removes the macro's attributes from them.
    pub(crate) fn take(signature: &mut Signature, faults: &mut Faults) -> Parameters {
        let mut found = Parameters { has_self: false, has_context: false, others: Vec::new() };
        for input in &mut signature.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    found.has_self = true;
                    faults.note(check_receiver(receiver));
                }
                FnArg::Typed(PatType { attrs, pat, ty, .. }) => {
                    let span = pat.span();
                    let Some(options) = faults.note(ParameterOptions::take(attrs)) else { continue };
                    if types::is_context(ty) {
                        if found.has_context || !found.others.is_empty() {
                            let sentence = "expected the context once, as the first parameter after `self`";
                            faults.add(Error::new(span, sentence));
                        }
                        found.has_context = true;
                        continue;
                    }
                    if types::passed(ty).is_none() {
                        let sentence = "expected a value or a shared reference, as nothing outside sees a change of it";
                        faults.add(Error::new(ty.span(), sentence));
                    }
                    let ident = match &**pat {
                        Pat::Ident(pattern) => Some(pattern.ident.clone()),
                        _ => None,
                    };
                    found.others.push(Parameter { of: (**ty).clone(), options, ident, span });
                }
            }
        }
        found
    }
}

fn check_receiver(receiver: &Receiver) -> syn::Result<()> {
    match receiver.kind {
        ReceiverKind::Reference(..) => Ok(()),
        _ => Err(Error::new(receiver.span(), "expected `&mut self` or `&self`, as the module lives on after the call")),
    }
}

impl Parameter {
    /// The type that is read for it.
    pub(crate) fn passed(&self) -> Passed<'_> {
        // What is no shared reference was refused before.
        types::passed(&self.of).unwrap_or(Passed::Owned(&self.of))
    }

    /// The argument's name, and where that stands.
    pub(crate) fn name(&self) -> syn::Result<(String, proc_macro2::Span)> {
        if let Some(name) = &self.options.name {
            return Ok((name.value(), name.span()));
        }
        let expected =
            "expected a parameter with a name, which is that of the argument; `#[name(\"…\")]` gives it another";
        let Some(ident) = &self.ident else { return Err(Error::new(self.span, expected)) };
        let name = ident.to_string();
        let name = name.strip_prefix("r#").unwrap_or(&name);
        if name.starts_with('_') {
            let sentence = format!("{expected}, found `{name}`, which says that it is not used");
            return Err(Error::new(ident.span(), sentence));
        }
        Ok((name.to_owned(), ident.span()))
    }

    /// Refuses what only an argument of a command can have.
    pub(crate) fn refuse_options(&self) -> syn::Result<()> {
        let ParameterOptions { name, default, arguments, about: _ } = &self.options;
        let name = name.as_ref().map(|name| (name.span(), "name"));
        let default = default.as_ref().map(|default| (default.span(), "default"));
        match name.or(default).or(arguments.map(|span| (span, "arguments"))) {
            Some((span, option)) => {
                Err(Error::new(span, format!("expected `#[{option}]` on an argument of a command only")))
            }
            None => Ok(()),
        }
    }

    /// What the method gets where the argument is left out; `None` where it has to be there.
    pub(crate) fn absence(&self) -> syn::Result<Option<Absence<'_>>> {
        match (&self.options.default, types::is_option(&self.of)) {
            (Some(default), true) => {
                let sentence = "expected no default of an `Option`, which is `None` where the argument is left out";
                Err(Error::new(default.span(), sentence))
            }
            (Some(default), false) => Ok(Some(Absence::Default(default))),
            (None, true) => Ok(Some(Absence::None)),
            (None, false) => Ok(None),
        }
    }

    pub(crate) fn span(&self) -> proc_macro2::Span {
        self.span
    }
}

/// What stands in for an argument that is left out.
pub(crate) enum Absence<'a> {
    None,
    Default(&'a Default),
}
