//! The module as a shared library or as WebAssembly: what the functions do that
//! [`export!`](crate::export) defines. The contract, with ownership and threads, is `module-runtime/include/module.h`.
//!
//! Pointers become values here and in the files below, and nowhere else in the crate; what a request means is the same
//! as in a program. A panic never leaves a function: it is caught and becomes an answer. In WebAssembly nothing can be
//! caught, so the host gets the sentence just before the trap.
#![expect(unsafe_code, reason = "a C border is made of pointers")]

#[cfg(target_family = "wasm")]
#[path = "border/imports.rs"]
mod calls;
#[cfg(not(target_family = "wasm"))]
#[path = "border/table.rs"]
mod calls;
mod host;
mod instance;
mod strings;

#[cfg(not(target_family = "wasm"))]
pub use calls::{HostTable, set_host};

use self::host::BorderHost;
use self::instance::Instance;
use crate::{Error, Module, log, panics};
use bulkhead_child::answer;
use std::ffi::{c_char, c_void};

/// `create_module`; null when the module's description panics.
pub fn create_module<M: Module>() -> *mut c_void {
    calls::prepare();
    match panics::catch(Instance::<M>::new) {
        Ok(instance) => Box::into_raw(Box::new(instance)).cast(),
        Err(panic) => {
            log!(error, "the module cannot be made: {panic}");
            std::ptr::null_mut()
        }
    }
}

/// `destroy_module`. What panicked is left as it is: its destructors would run on a state that is
/// in doubt.
///
/// # Safety
/// `module` is null, or came from [`create_module`] of the same type, was not destroyed before, and
/// is not in use.
pub unsafe fn destroy_module<M: Module>(module: *mut c_void) {
    if module.is_null() {
        return;
    }
    // SAFETY: the caller promises that this is the box that `create_module` gave away, and that it has no other owner.
    let instance = unsafe { Box::from_raw(module.cast::<Instance<M>>()) };
    if let Err(panic) = panics::catch(|| drop(instance)) {
        log!(error, "while the module was destroyed: {panic}");
    }
}

/// `handle_message`.
///
/// # Safety
/// `module` is null or came from [`create_module`] of the same type and was not destroyed; `kind` and
/// `payload` are null or strings that end in NUL and stay as they are during the call.
pub unsafe fn handle_message<M: Module>(
    module: *mut c_void,
    kind: *const c_char,
    payload: *const c_char,
) -> *mut c_char {
    // SAFETY: the caller promises what `read` asks for, of both.
    let (kind, payload) = unsafe { (strings::read(kind), strings::read(payload)) };
    // SAFETY: the caller promises that it is null or points to a living instance. Only shared
    // references are ever made of it, so that `before_answers` may come while this runs.
    let instance = unsafe { module.cast::<Instance<M>>().as_ref() };
    let answered = panics::catch(|| match instance {
        Some(instance) => instance.answer(&mut BorderHost::default(), kind, payload),
        None => answer::write(Err(Error::bad_request("handle_message was called without a module")), false),
    });
    // What is caught here is a fault of this file and not of the module, whose panics were caught before.
    strings::give(&answered.unwrap_or_else(|panic| answer::write(Err(Error::failed(panic)), true)))
}

/// `before_answers`.
///
/// # Safety
/// As [`handle_message`].
pub unsafe fn before_answers<M: Module>(module: *mut c_void) -> *mut c_char {
    // SAFETY: as in `handle_message`, which may be running.
    let instance = unsafe { module.cast::<Instance<M>>().as_ref() };
    let Some(instance) = instance else { return std::ptr::null_mut() };
    match panics::catch(|| instance.before_answers()).unwrap_or_else(|panic| Err(Error::failed(panic))) {
        Ok(()) => std::ptr::null_mut(),
        Err(error) => strings::give(&answer::write(Err(error), false)),
    }
}

/// `get_module_metadata`; null when the module's description panics.
pub fn get_module_metadata<M: Module>() -> *mut c_char {
    match panics::catch(|| M::describe().metadata()) {
        Ok(metadata) => strings::give(metadata.as_str()),
        Err(_) => std::ptr::null_mut(),
    }
}

/// `free_string`.
///
/// # Safety
/// `string` is null, or came from a function of this file and was not freed before.
pub unsafe fn free_string(string: *mut c_char) {
    // SAFETY: the caller promises it.
    unsafe { strings::take_back(string) }
}

/// `alloc_string`; null when there is no memory left.
pub fn alloc_string(length: u32) -> *mut c_char {
    strings::reserve(length as usize)
}

/// Makes a shared library or WebAssembly of a type that implements [`Module`](crate::Module): defines
/// the functions of `module.h`, which the host's runtime calls. It belongs in `lib.rs`.
///
/// The same code is a program as well, where `src/main.rs` has `bulkhead_module::main!(…)`:
///
/// ```toml
/// # Cargo.toml
/// [lib]
/// crate-type = ["cdylib", "rlib"]     # cdylib: the library for the host; rlib: for main.rs and tests
///
/// [[bin]]
/// name = "greeter"
/// path = "src/main.rs"
/// ```
///
/// ```standalone_crate
/// // src/lib.rs
/// use bulkhead_module::{Context, Description, Error, Init, Json, Module, json};
///
/// pub struct Greeter;
///
/// impl Module for Greeter {
///     fn describe() -> Description {
///         Description::new("greeter", "1.0.0").idempotent("greet", "says hello")
///     }
///
///     fn init(_: &Init) -> Result<Self, Error> {
///         Ok(Greeter)
///     }
///
///     fn command(&mut self, _: &mut Context<'_>, _: &str, _: &Json) -> Result<Json, Error> {
///         Ok(json!("hello"))
///     }
/// }
///
/// bulkhead_module::export!(Greeter);
/// ```
///
/// ```text
/// // src/main.rs
/// bulkhead_module::main!(greeter::Greeter);
/// ```
///
/// `cargo build` then makes `target/debug/greeter`, for `type = "process"`, and
/// `target/debug/libgreeter.so`, for `type = "native"`. With `--lib --target wasm32-wasip1` it makes
/// `greeter.wasm`, for `type = "wasm"`.
///
/// The names are the border's and there is one of each, so a program can't be linked from two crates
/// that both have `export!`; no program needs to.
#[macro_export]
macro_rules! export {
    ($module:ty) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn create_module() -> *mut ::std::ffi::c_void {
                $crate::border::create_module::<$module>()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn destroy_module(module: *mut ::std::ffi::c_void) {
                // SAFETY: the caller keeps the contract of `module.h`.
                unsafe { $crate::border::destroy_module::<$module>(module) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn handle_message(
                module: *mut ::std::ffi::c_void,
                kind: *const ::std::ffi::c_char,
                payload: *const ::std::ffi::c_char,
            ) -> *mut ::std::ffi::c_char {
                // SAFETY: the caller keeps the contract of `module.h`.
                unsafe { $crate::border::handle_message::<$module>(module, kind, payload) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn before_answers(module: *mut ::std::ffi::c_void) -> *mut ::std::ffi::c_char {
                // SAFETY: the caller keeps the contract of `module.h`.
                unsafe { $crate::border::before_answers::<$module>(module) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn get_module_metadata() -> *mut ::std::ffi::c_char {
                $crate::border::get_module_metadata::<$module>()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn free_string(string: *mut ::std::ffi::c_char) {
                // SAFETY: the caller keeps the contract of `module.h`.
                unsafe { $crate::border::free_string(string) }
            }

            #[cfg(not(target_family = "wasm"))]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn set_host(host: *const $crate::border::HostTable) {
                // SAFETY: the caller keeps the contract of `module.h`.
                unsafe { $crate::border::set_host(host) }
            }

            #[cfg(target_family = "wasm")]
            #[unsafe(no_mangle)]
            extern "C" fn alloc_string(length: u32) -> *mut ::std::ffi::c_char {
                $crate::border::alloc_string(length)
            }
        };
    };
}
