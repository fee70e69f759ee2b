//! The C border from our side: a shared library, its functions, and the calls of them. What the
//! answers mean is not known here, nor what the host offers; `module.h` is the contract.
//!
//! Foreign code may crash, hang or end the process, which is why it has a process of its own. This file keeps our half
//! of the contract.

use super::crash_handler::{Doing, during};
use super::exceptions;
use super::load_failure;
use super::table::HostTable;
use bulkhead_child::{Error, end_copy};
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::mem;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

// The `unwind` ABIs make it defined what a foreign exception does when it reaches us: see `call`.
type CreateModule = unsafe extern "C-unwind" fn() -> *mut c_void;
type DestroyModule = unsafe extern "C-unwind" fn(*mut c_void);
type HandleMessage = unsafe extern "C-unwind" fn(*mut c_void, *const c_char, *const c_char) -> *mut c_char;
type FreeString = unsafe extern "C-unwind" fn(*mut c_char);
type GetModuleMetadata = unsafe extern "C-unwind" fn() -> *mut c_char;
type SetHost = unsafe extern "C-unwind" fn(*const HostTable);
type BeforeAnswers = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_char;

/// A library that has all that a module needs. It is never unloaded: threads of its own may run in
/// it until the process ends.
pub(super) struct Library {
    create_module: CreateModule,
    destroy_module: DestroyModule,
    handle_message: HandleMessage,
    free_string: FreeString,
    get_module_metadata: Option<GetModuleMetadata>,
    set_host: Option<SetHost>,
    before_answers: Option<BeforeAnswers>,
}

impl Library {
    /// Loads the library, which runs its constructors.
    ///
    /// # Errors
    /// All of them are permanent: the file must be replaced.
    pub(super) fn open(path: &Path, name: &'static CStr) -> Result<Library, Error> {
        load_failure::check(path)?;
        // SAFETY: the name ends with a NUL. The constructors are foreign code that the manifest asks
        // for.
        let handle =
            call(Doing::Loading(name), || unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) });
        match NonNull::new(handle) {
            Some(handle) => Library::with_symbols_of(handle, path),
            None => Err(load_failure::refused(path, &last_dlerror())),
        }
    }

    fn with_symbols_of(handle: NonNull<c_void>, path: &Path) -> Result<Library, Error> {
        let symbol = |name: &CStr| {
            // SAFETY: the handle is that of a library that is never closed; the name ends with a NUL.
            NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) })
        };
        let create_module = symbol(c"create_module");
        let destroy_module = symbol(c"destroy_module");
        let handle_message = symbol(c"handle_message");
        let free_string = symbol(c"free_string");
        let (Some(create_module), Some(destroy_module), Some(handle_message), Some(free_string)) =
            (create_module, destroy_module, handle_message, free_string)
        else {
            let needed = [create_module, destroy_module, handle_message, free_string];
            return Err(load_failure::incomplete(path, needed.map(|symbol| symbol.is_some())));
        };
        // SAFETY: `module.h` gives functions of these names these types, and by the manifest the library keeps to it;
        // no more can be known of a symbol. A pointer to a function has the size of a pointer to data wherever there is
        // dlsym.
        unsafe {
            Ok(Library {
                create_module: mem::transmute::<NonNull<c_void>, CreateModule>(create_module),
                destroy_module: mem::transmute::<NonNull<c_void>, DestroyModule>(destroy_module),
                handle_message: mem::transmute::<NonNull<c_void>, HandleMessage>(handle_message),
                free_string: mem::transmute::<NonNull<c_void>, FreeString>(free_string),
                get_module_metadata: mem::transmute::<Option<NonNull<c_void>>, Option<GetModuleMetadata>>(symbol(
                    c"get_module_metadata",
                )),
                set_host: mem::transmute::<Option<NonNull<c_void>>, Option<SetHost>>(symbol(c"set_host")),
                before_answers: mem::transmute::<Option<NonNull<c_void>>, Option<BeforeAnswers>>(symbol(
                    c"before_answers",
                )),
            })
        }
    }

    /// Gives it the functions of the host, if it wants them.
    pub(super) fn set_host(&self, table: &'static HostTable) {
        if let Some(set_host) = self.set_host {
            // SAFETY: the table lives as long as the process and is never written to.
            call(Doing::Function(c"set_host"), || unsafe { set_host(table) });
        }
    }

    /// Makes the module; `None` if the library could not.
    pub(super) fn create(self) -> Option<Instance> {
        // SAFETY: called once, as `self` is taken.
        let module = call(Doing::Function(c"create_module"), || unsafe { (self.create_module)() });
        Some(Instance { module: NonNull::new(module)?, life: Cell::new(Life::Good), library: self })
    }

    /// Reads a string that the function of this name returned, and frees it.
    fn read<T>(&self, function: &'static CStr, string: *mut c_char, read: impl FnOnce(Option<&[u8]>) -> T) -> T {
        if string.is_null() {
            return read(None);
        }
        // SAFETY: a pointer that is not null is a string that is ours until it is freed, and it ends with a NUL.
        let result = during(Doing::Reading(function), || read(Some(unsafe { CStr::from_ptr(string) }.to_bytes())));
        // SAFETY: freed once, and not read again.
        call(Doing::Function(c"free_string"), || unsafe { (self.free_string)(string) });
        result
    }
}

/// A module that was made. Its functions are called on the thread that made it: it is neither `Send`
/// nor `Sync`.
pub(super) struct Instance {
    module: NonNull<c_void>,
    life: Cell<Life>,
    library: Library,
}

/// What may still be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Everything.
    Good,
    /// Only what must be done before answers leave: those that were given earlier still wait for it.
    InDoubt,
    /// Nothing.
    Ended,
}

impl Instance {
    /// What the library says of itself, passed to `read` if there is any.
    pub(super) fn metadata<T>(&self, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let function = self.library.get_module_metadata?;
        // SAFETY: it takes nothing.
        let string = call(Doing::Function(c"get_module_metadata"), || unsafe { function() });
        self.library.read(c"get_module_metadata", string, |bytes| bytes.map(read))
    }

    /// Lets the module handle a message and passes its answer to `read`: `None` is a null pointer.
    pub(super) fn handle<T>(&self, kind: &'static CStr, payload: &CString, read: impl FnOnce(Option<&[u8]>) -> T) -> T {
        assert!(self.life.get() == Life::Good, "nothing is handled after the end");
        // SAFETY: the module is alive, and both strings live until the function returns.
        let string = call(Doing::Message(kind), || unsafe {
            (self.library.handle_message)(self.module.as_ptr(), kind.as_ptr(), payload.as_ptr())
        });
        self.library.read(c"handle_message", string, read)
    }

    /// Whether anything must be done before answers leave.
    pub(super) fn has_barrier(&self) -> bool {
        self.library.before_answers.is_some()
    }

    /// Does it, and passes the reason of a failure to `read`: `None` is success.
    pub(super) fn before_answers<T>(&self, read: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let Some(function) = self.library.before_answers.filter(|_| self.life.get() != Life::Ended) else {
            return read(None);
        };
        // SAFETY: the module was not destroyed. It may be in the middle of `handle_message`, waiting for one of
        // our functions, which the contract allows.
        let string = call(Doing::Function(c"before_answers"), || unsafe { function(self.module.as_ptr()) });
        self.library.read(c"before_answers", string, read)
    }

    /// The module's state is in doubt: it is left as it is, not destroyed. It stays reachable, so that what it holds is
    /// no leak.
    pub(super) fn abandon(&self) {
        static ABANDONED: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        ABANDONED.store(self.module.as_ptr(), Ordering::Relaxed);
        self.life.set(Life::InDoubt);
    }

    /// Ends the module.
    pub(super) fn destroy(&self) {
        if self.life.replace(Life::Ended) == Life::Good {
            // SAFETY: the module was alive and is not from now on, so that this happens once and
            // nothing is called after it.
            call(Doing::Function(c"destroy_module"), || unsafe {
                (self.library.destroy_module)(self.module.as_ptr());
            });
        }
    }
}

/// Calls foreign code. An exception or a panic of another language's, or of another Rust's, that
/// comes out of it ends the process, as nothing can be known of what they left behind.
fn call<T>(doing: Doing, foreign: impl FnOnce() -> T) -> T {
    let result = during(doing, || exceptions::call(foreign));
    // A library that forks may have returned in a copy too. The copy calls nothing more of it.
    end_copy();
    result
}

fn last_dlerror() -> String {
    // SAFETY: called on the thread of the dlopen that failed, before anything else of its family.
    let sentence = unsafe { libc::dlerror() };
    if sentence.is_null() {
        return "the dynamic loader does not say why".to_owned();
    }
    // SAFETY: it is a string of the C library's that lives until the next such call on this thread.
    unsafe { CStr::from_ptr(sentence) }.to_string_lossy().into_owned()
}
