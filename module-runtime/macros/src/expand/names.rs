//! What the parts of the expansion call in the same way: types that are read, what was read, and the items beside the
//! `impl`.

use crate::handler::Handler;
use crate::parameters::Parameter;
use crate::types::{Passed, is_init};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::LitStr;
use syn::spanned::Spanned;

pub(super) fn payload_ident(name: &str, at: usize) -> syn::Ident {
    format_ident!("__{}_{}", name.to_uppercase(), at)
}

pub(super) fn default_ident(command: usize, at: usize) -> syn::Ident {
    format_ident!("__default_{command}_{at}")
}

/// The parameter that takes the configuration.
pub(super) fn configuration(init: &Handler) -> Option<&Parameter> {
    init.parameters.others.iter().find(|parameter| !is_init(&parameter.of))
}

/// The parameter that takes all arguments.
pub(super) fn whole(handler: &Handler) -> Option<&Parameter> {
    handler.parameters.others.iter().find(|parameter| parameter.options.arguments.is_some())
}

pub(super) fn argument_name(parameter: &Parameter) -> LitStr {
    let (name, span) = parameter.name().unwrap_or_else(|_| (String::new(), parameter.span()));
    LitStr::new(&name, span)
}

/// The type that is read for a parameter.
pub(super) fn read_type(parameter: &Parameter) -> TokenStream {
    match parameter.passed() {
        Passed::Owned(of) => quote!(#of),
        Passed::Shared(of) => quote_spanned!(of.span()=> <#of as ::std::borrow::ToOwned>::Owned),
    }
}

/// What was read for a parameter, as the method takes it.
pub(super) fn reference(parameter: &Parameter, read: &TokenStream) -> TokenStream {
    match parameter.passed() {
        Passed::Owned(_) => read.clone(),
        Passed::Shared(_) => quote!(&#read),
    }
}
