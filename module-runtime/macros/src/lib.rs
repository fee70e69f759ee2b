//! The attribute `module` of the crate `bulkhead-module`, which makes a module of the methods of an `impl` block. It
//! only reads the block and writes an `impl Module` for it: schemas, checks and sentences are those of `bulkhead-module`,
//! whose documentation shows how it is used. This crate is not used by itself.

#![forbid(unsafe_code)]

mod attributes;
mod documentation;
mod expand;
mod faults;
mod handler;
mod parameters;
mod read;
mod types;

use proc_macro::TokenStream;

/// Makes a module of the methods of an `impl` block: commands, queries, mutations and events, with schemas of what they
/// take and return. See the documentation of the crate `bulkhead-module`.
#[proc_macro_attribute]
pub fn module(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::module(attribute.into(), item.into()).into()
}
