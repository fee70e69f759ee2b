//! The `impl Module` that is written beside the block.

mod calls;
mod describe;
mod names;

use crate::attributes::ModuleOptions;
use crate::documentation::first_paragraph;
use crate::faults::Faults;
use crate::read::{Handlers, block};
use calls::{call, command, done, event, init, of_payload};
use describe::{declared, defaults, payloads};
use proc_macro2::TokenStream;
use quote::quote;
use syn::Type;

/// The block without the macro's attributes, and the module that it makes; or the faults in their place.
pub(crate) fn module(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut block = match block(item.clone()) {
        Ok(block) => block,
        Err(fault) => {
            let fault = fault.to_compile_error();
            return quote!(#fault #item);
        }
    };
    let mut faults = Faults::default();
    let options: Option<ModuleOptions> = faults.note(syn::parse2(attribute));
    let about = first_paragraph(&block.attrs);
    let handlers = Handlers::take(&mut block, &mut faults);
    let implementation = match (faults.all(), options) {
        (None, Some(options)) => implementation(&options, &about, &block.self_ty, &handlers),
        // With the methods as they are, and with a module, what uses them is not faulty as well.
        (faults, _) => stand_in(faults.map(|fault| fault.to_compile_error()), &block.self_ty),
    };
    quote!(#block #implementation)
}

/// The faults, and a module that is never run.
fn stand_in(faults: Option<TokenStream>, of: &Type) -> TokenStream {
    quote! {
        #faults

        #[automatically_derived]
        impl ::bulkhead_module::Module for #of {
            fn describe() -> ::bulkhead_module::Description {
                ::core::unreachable!()
            }

            fn init(_: &::bulkhead_module::Init) -> ::core::result::Result<Self, ::bulkhead_module::Error> {
                ::core::unreachable!()
            }

            fn command(
                &mut self,
                _: &mut ::bulkhead_module::Context<'_>,
                _: &str,
                _: &::bulkhead_module::Json,
            ) -> ::core::result::Result<::bulkhead_module::Json, ::bulkhead_module::Error> {
                ::core::unreachable!()
            }
        }
    }
}

fn implementation(options: &ModuleOptions, about: &str, of: &Type, handlers: &Handlers) -> TokenStream {
    let statics = [declared(options, about, handlers), payloads(handlers), defaults(handlers)];
    let init = init(of, handlers);
    let command = command(handlers);
    let data = [("query", &handlers.query), ("mutation", &handlers.mutation)];
    let data = data.iter().filter_map(|(name, handler)| Some(of_payload(name, handler.as_ref()?)));
    let event = (!handlers.events.is_empty()).then(|| event(handlers));
    let shutdown = handlers.shutdown.as_ref().map(|handler| {
        let call = done(handler, &call(handler, &[]));
        quote! {
            fn shutdown(&mut self, __ctx: &mut ::bulkhead_module::Context<'_>) -> ::core::result::Result<(), ::bulkhead_module::Error> {
                #call
            }
        }
    });
    let barrier = handlers.barrier.as_ref().map(|handler| {
        let ident = &handler.ident;
        quote! {
            fn barrier(&self) -> ::core::option::Option<::bulkhead_module::Barrier> {
                Self::#ident(self)
            }
        }
    });
    quote! {
        const _: () = {
            #(#statics)*

            #[automatically_derived]
            impl ::bulkhead_module::Module for #of {
                fn describe() -> ::bulkhead_module::Description {
                    __DECLARED.description()
                }
                #init
                #command
                #(#data)*
                #event
                #shutdown
                #barrier
            }
        };
    }
}
