//! The statics beside the `impl`: what the module says of itself, and what is known of payloads and defaults.

use super::names::{argument_name, configuration, default_ident, payload_ident, read_type, whole};
use crate::attributes::{self, ModuleOptions};
use crate::handler::{Handler, Role};
use crate::parameters::Absence;
use crate::read::Handlers;
use crate::types::returned;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Lit};

/// What the module is, which is found out when it is asked for.
pub(super) fn declared(options: &ModuleOptions, about: &str, handlers: &Handlers) -> TokenStream {
    let name = options.name.as_ref().map_or_else(|| quote!(::core::env!("CARGO_PKG_NAME")), |name| quote!(#name));
    let version =
        options.version.as_ref().map_or_else(|| quote!(::core::env!("CARGO_PKG_VERSION")), |version| quote!(#version));
    let about = (!about.is_empty()).then(|| quote!(.about(#about)));
    let keys = options.has_keys.then(|| quote!(.keys()));
    let batches = options.batches_answers.then(|| quote!(.batch_answers()));
    let sources = handlers.commands.iter().enumerate().map(|(at, (name, handler))| source(at, name, handler));
    quote! {
        static __DECLARED: ::std::sync::LazyLock<::bulkhead_module::described::Declared> =
            ::std::sync::LazyLock::new(|| {
                ::bulkhead_module::described::Declared::new(
                    ::bulkhead_module::Description::new(#name, #version) #about #keys #batches,
                    ::std::vec![#(#sources),*],
                )
            });
    }
}

fn source(command: usize, name: &str, handler: &Handler) -> TokenStream {
    let Handler { about, parameters, output, examples, .. } = handler;
    let is_idempotent = matches!(&handler.role, Role::Command(options) if options.is_idempotent);
    let is_read_only = matches!(&handler.role, Role::Command(options) if options.is_read_only);
    let takes = match whole(handler) {
        Some(parameter) => {
            let of = read_type(parameter);
            quote!(Whole(::bulkhead_module::described::Whole::new::<#of, _>()))
        }
        None => {
            let parameters = parameters.others.iter().enumerate().map(|(at, parameter)| {
                let of = read_type(parameter);
                let (name, about) = (argument_name(parameter), &parameter.options.about);
                let presence = match parameter.absence() {
                    Ok(Some(Absence::Default(_))) => {
                        let default = default_ident(command, at);
                        quote!(Default(|| ::bulkhead_module::Json::of(&#default())))
                    }
                    Ok(Some(Absence::None)) => quote!(Optional),
                    _ => quote!(Required),
                };
                quote_spanned! {parameter.of.span()=>
                    ::bulkhead_module::described::Parameter::new::<#of, _>(
                        #name,
                        #about,
                        ::bulkhead_module::described::Presence::#presence,
                    )
                }
            });
            quote!(Parameters(::std::vec![#(#parameters),*]))
        }
    };
    let returns = match returned(output) {
        None => quote!(<() as ::bulkhead_module::described::Outcome<_>>::schema),
        Some(of) => quote_spanned!(of.span()=> <#of as ::bulkhead_module::described::Outcome<_>>::schema),
    };
    let examples = examples.iter().map(example);
    quote! {
        ::bulkhead_module::described::Source {
            name: #name,
            about: #about,
            is_idempotent: #is_idempotent,
            is_read_only: #is_read_only,
            takes: ::bulkhead_module::described::TakesSource::#takes,
            returns: #returns,
            examples: ::std::vec![#(#examples),*],
        }
    }
}

fn example(example: &attributes::ExampleOptions) -> TokenStream {
    let option = |value: Option<TokenStream>| match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    };
    let json =
        |tokens: &Option<TokenStream>| option(tokens.as_ref().map(|tokens| quote!(::bulkhead_module::json!(#tokens))));
    let (args, returns) = (json(&example.args), json(&example.returns));
    let description = option(example.description.as_ref().map(|text| quote!(#text)));
    quote!(::bulkhead_module::described::Example { args: #args, returns: #returns, description: #description })
}

/// What is read as a whole.
pub(super) fn payloads(handlers: &Handlers) -> TokenStream {
    let mut statics = TokenStream::new();
    let mut add = |ident: syn::Ident, of: TokenStream, make: TokenStream| {
        statics.extend(quote! {
            static #ident: ::std::sync::LazyLock<::bulkhead_module::described::Payload> = ::std::sync::LazyLock::new(|| {
                ::bulkhead_module::described::Payload::#make(<#of as ::bulkhead_module::described::Argument<_>>::schema)
            });
        });
    };
    for (name, handler) in [("query", &handlers.query), ("mutation", &handlers.mutation)] {
        if let Some(parameter) = handler.as_ref().and_then(|handler| handler.parameters.others.first()) {
            add(payload_ident(name, 0), read_type(parameter), quote!(new));
        }
    }
    for (at, (_, handler)) in handlers.events.iter().enumerate() {
        if let Some(parameter) = handler.parameters.others.last() {
            add(payload_ident("event", at), read_type(parameter), quote!(new));
        }
    }
    if let Some(parameter) = handlers.init.as_ref().and_then(configuration) {
        add(payload_ident("config", 0), read_type(parameter), quote!(config));
    }
    statics
}

/// A function for each default, as it is described and used.
pub(super) fn defaults(handlers: &Handlers) -> TokenStream {
    let mut functions = TokenStream::new();
    for (command, (_, handler)) in handlers.commands.iter().enumerate() {
        for (at, parameter) in handler.parameters.others.iter().enumerate() {
            let Ok(Some(Absence::Default(default))) = parameter.absence() else { continue };
            let (ident, of) = (default_ident(command, at), read_type(parameter));
            let value = match default {
                attributes::Default::OfType(_) => quote!(::core::default::Default::default()),
                attributes::Default::Value(Expr::Lit(text @ ExprLit { lit: Lit::Str(_), .. })) => {
                    quote_spanned!(text.span()=> ::core::convert::Into::into(#text))
                }
                attributes::Default::Value(value) => quote!(#value),
            };
            functions.extend(quote_spanned! {default.span()=>
                fn #ident() -> #of {
                    #value
                }
            });
        }
    }
    functions
}
