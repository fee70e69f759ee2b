//! The functions of the `impl`: what they read of a request, and the method that they call with it.

use super::names::{configuration, default_ident, payload_ident, read_type, reference, whole};
use crate::handler::Handler;
use crate::parameters::Absence;
use crate::read::Handlers;
use crate::types::{is_init, returned};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

pub(super) fn init(of: &Type, handlers: &Handlers) -> TokenStream {
    let made = match &handlers.init {
        None => quote_spanned! {of.span()=>
            ::core::result::Result::Ok(<#of as ::core::default::Default>::default())
        },
        Some(handler) => {
            let ident = &handler.ident;
            let arguments = handler.parameters.others.iter().map(|parameter| match is_init(&parameter.of) {
                true => quote!(__init),
                false => reference(parameter, &quote!(__config)),
            });
            let call = quote!(Self::#ident(#(#arguments),*));
            let config = configuration(handler).map(|parameter| {
                let (payload, of) = (payload_ident("config", 0), read_type(parameter));
                quote!(let __config = #payload.read_config::<#of, _>(__init)?;)
            });
            let span = returned(&handler.output).map_or_else(|| ident.span(), Spanned::span);
            let made = quote_spanned!(span=> ::bulkhead_module::described::Made::<Self>::made(#call));
            quote!(#config #made)
        }
    };
    quote! {
        fn init(__init: &::bulkhead_module::Init) -> ::core::result::Result<Self, ::bulkhead_module::Error> {
            __DECLARED.check()?;
            #made
        }
    }
}

pub(super) fn command(handlers: &Handlers) -> TokenStream {
    let arms = handlers.commands.iter().enumerate().map(|(command, (name, handler))| {
        let found = match whole(handler) {
            Some(parameter) => {
                let of = read_type(parameter);
                quote!(let __0 = ::bulkhead_module::described::whole::<#of, _>(__DECLARED.command(#command), __args)?;)
            }
            None => read_arguments(command, handler),
        };
        let arguments: Vec<TokenStream> = handler
            .parameters
            .others
            .iter()
            .enumerate()
            .map(|(at, parameter)| {
                let ident = format_ident!("__{at}");
                reference(parameter, &quote!(#ident))
            })
            .collect();
        let answer = answered(handler, &call(handler, &arguments));
        quote!(#name => { #found #answer })
    });
    quote! {
        fn command(
            &mut self,
            __ctx: &mut ::bulkhead_module::Context<'_>,
            __name: &str,
            __args: &::bulkhead_module::Json,
        ) -> ::core::result::Result<::bulkhead_module::Json, ::bulkhead_module::Error> {
            match __name {
                #(#arms)*
                __other => ::core::result::Result::Err(__DECLARED.unknown_command(__other)),
            }
        }
    }
}

fn read_arguments(command: usize, handler: &Handler) -> TokenStream {
    let others = &handler.parameters.others;
    let count = others.len();
    let reads = others.iter().enumerate().map(|(at, parameter)| {
        let (ident, of) = (format_ident!("__{at}"), read_type(parameter));
        let read = match parameter.absence() {
            Ok(Some(Absence::Default(_))) => {
                let default = default_ident(command, at);
                quote!(or_else::<#of, _>(#at, #default))
            }
            Ok(Some(Absence::None)) => quote!(or_else::<#of, _>(#at, || ::core::option::Option::None)),
            _ => quote!(required::<#of, _>(#at)),
        };
        quote!(let #ident = __found.#read?;)
    });
    let found = if count == 0 { quote!(_) } else { quote!(__found) };
    quote! {
        let #found =
            ::bulkhead_module::described::Arguments::<'_, #count>::find(__DECLARED.command(#command), __args)?;
        #(#reads)*
    }
}

pub(super) fn of_payload(name: &str, handler: &Handler) -> TokenStream {
    let (function, payload) = (format_ident!("{name}"), payload_ident(name, 0));
    let Some(parameter) = handler.parameters.others.first() else { return TokenStream::new() };
    let of = read_type(parameter);
    let answer = answered(handler, &call(handler, &[reference(parameter, &quote!(__0))]));
    quote! {
        fn #function(
            &mut self,
            __ctx: &mut ::bulkhead_module::Context<'_>,
            __payload: &::bulkhead_module::Json,
        ) -> ::core::result::Result<::bulkhead_module::Json, ::bulkhead_module::Error> {
            let __0 = #payload.read::<#of, _>(__payload)?;
            #answer
        }
    }
}

pub(super) fn event(handlers: &Handlers) -> TokenStream {
    let arms = handlers.events.iter().enumerate().map(|(at, (pattern, handler))| {
        let is_it = match pattern.strip_suffix('*') {
            Some(beginning) => quote!(__event.starts_with(#beginning)),
            None => quote!(__event == #pattern),
        };
        let others = &handler.parameters.others;
        let read = others.last().map(|parameter| {
            let (payload, of) = (payload_ident("event", at), read_type(parameter));
            quote!(let __0 = #payload.read::<#of, _>(__data)?;)
        });
        let arguments = match &others[..] {
            [] => Vec::new(),
            [data] => vec![reference(data, &quote!(__0))],
            [_, data, ..] => vec![quote!(__event), reference(data, &quote!(__0))],
        };
        let done = done(handler, &call(handler, &arguments));
        quote!(if #is_it { #read return #done; })
    });
    quote! {
        fn event(
            &mut self,
            __ctx: &mut ::bulkhead_module::Context<'_>,
            __event: &str,
            __data: &::bulkhead_module::Json,
        ) -> ::core::result::Result<(), ::bulkhead_module::Error> {
            #(#arms)*
            ::core::result::Result::Ok(())
        }
    }
}

pub(super) fn call(handler: &Handler, arguments: &[TokenStream]) -> TokenStream {
    let Handler { ident, parameters, .. } = handler;
    let receiver = parameters.has_self.then(|| quote!(self,));
    let context = parameters.has_context.then(|| quote!(__ctx,));
    quote!(Self::#ident(#receiver #context #(#arguments),*))
}

/// The data of the answer.
fn answered(handler: &Handler, call: &TokenStream) -> TokenStream {
    let span = returned(&handler.output).map_or_else(|| handler.ident.span(), Spanned::span);
    quote_spanned!(span=> ::bulkhead_module::described::Outcome::into_answer(#call))
}

/// Nothing, once it is done.
pub(super) fn done(handler: &Handler, call: &TokenStream) -> TokenStream {
    let span = returned(&handler.output).map_or_else(|| handler.ident.span(), Spanned::span);
    quote_spanned!(span=> ::bulkhead_module::described::Done::done(#call))
}
