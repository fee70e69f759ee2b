//! The crash handler, for foreign code that ends the process: it writes one line on standard error that names the call
//! in progress, so that the host's report of the crash names it too.
//!
//! It deliberately changes nothing else: the signal still ends the process, and the exit code of
//! `exit` stays. Everything that runs in a signal handler here uses atomics, the stack and write(2).

use libc::{c_char, c_int, c_void, siginfo_t};
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

/// The signals by which a program that went wrong ends.
const SIGNALS: [(c_int, &CStr); 5] = [
    (libc::SIGSEGV, c"SIGSEGV"),
    (libc::SIGABRT, c"SIGABRT"),
    (libc::SIGBUS, c"SIGBUS"),
    (libc::SIGFPE, c"SIGFPE"),
    (libc::SIGILL, c"SIGILL"),
];

/// Bytes of the stack on which the handler runs: the module's own may be what overflowed.
const STACK_BYTES: usize = 64 * 1024;

/// Bytes of the line. A path that is longer is cut.
const LINE_BYTES_MAX: usize = 1024;

/// The call in progress, as three consecutive pieces of a sentence.
static WHERE: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
static SUBJECT: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
static AFTER: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
/// The thread that calls the module.
static THREAD: AtomicI32 = AtomicI32::new(0);
/// This process: the library may fork another, which has a copy of this state.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// Where the line is written.
static STDERR: AtomicI32 = AtomicI32::new(libc::STDERR_FILENO);
/// The process ends as it should.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The previous actions, in the order of [`SIGNALS`].
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

/// Something that foreign code is asked to do. Its name lives as long as the process, as a signal may come at any
/// moment, on any thread.
#[derive(Clone, Copy)]
pub(crate) enum Doing {
    /// Nothing: what runs is a thread of the library's own.
    Waiting,
    Loading(&'static CStr),
    /// The function of this name.
    Function(&'static CStr),
    /// `handle_message` of this type.
    Message(&'static CStr),
    /// Looking at the string that the function of this name returned.
    Reading(&'static CStr),
    /// The end of the process, after everything else.
    Unloading(&'static CStr),
}

impl Doing {
    fn pieces(self) -> [&'static CStr; 3] {
        match self {
            Doing::Waiting => [c"while no function of the library ran", c"", c""],
            Doing::Loading(path) => [c"while loading ", path, c" and running its constructors"],
            Doing::Function(name) => [c"in ", name, c""],
            Doing::Message(kind) => [c"in handle_message of ", kind, c""],
            Doing::Reading(name) => [c"while reading the string that ", name, c" returned"],
            Doing::Unloading(path) => [c"in the destructors of ", path, c", after everything else"],
        }
    }
}

/// Does `what`, which the crash handler's line calls `doing`. Afterwards the previous name is restored.
pub(crate) fn during<T>(doing: Doing, what: impl FnOnce() -> T) -> T {
    let places = [&WHERE, &SUBJECT, &AFTER];
    let before = places.map(|place| place.load(Ordering::Relaxed));
    set(doing);
    let result = what();
    for (place, before) in places.into_iter().zip(before) {
        place.store(before, Ordering::Relaxed);
    }
    result
}

fn set(doing: Doing) {
    for (place, piece) in [&WHERE, &SUBJECT, &AFTER].into_iter().zip(doing.pieces()) {
        place.store(piece.as_ptr().cast_mut(), Ordering::Relaxed);
    }
}

/// Installs the crash handler of this process. To be called once, on the thread that calls the module, before anything
/// foreign is loaded.
pub(crate) fn install() {
    set(Doing::Waiting);
    // SAFETY: neither has preconditions.
    let (thread, process) = unsafe { (libc::gettid(), libc::getpid()) };
    THREAD.store(thread, Ordering::Relaxed);
    PROCESS.store(process, Ordering::Relaxed);
    bulkhead_child::log::keep_standard_error();
    if let Some(kept) = bulkhead_child::log::kept_standard_error() {
        STDERR.store(kept.as_raw_fd(), Ordering::Relaxed);
    }
    let before = SIGNALS.map(|(signal, _)| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the new action is null, so that this only asks; a `sigaction` of zeros is valid,
        // also if the call should fail.
        unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
            action.assume_init()
        }
    });
    if BEFORE.set(before).is_err() {
        return;
    }
    use_a_stack_of_its_own();
    for (signal, _) in SIGNALS {
        // SAFETY: a `sigaction` of zeros is valid; the handler has the form that SA_SIGINFO asks for,
        // and does only what is safe in a signal handler.
        unsafe {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_signal;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &action, ptr::null_mut());
        }
    }
    // SAFETY: the function takes nothing and does not unwind. Registered first, it runs last, after
    // what the library registers.
    unsafe { libc::atexit(on_exit) };
}

/// From now on the end of the process is expected.
pub(crate) fn ending(library: &'static CStr) {
    set(Doing::Unloading(library));
    ENDING.store(true, Ordering::Relaxed);
}

fn use_a_stack_of_its_own() {
    // A static, since the kernel keeps the only reference to it.
    static STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));
    let stack = libc::stack_t { ss_sp: STACK.0.get().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the memory is there for as long as the process, and nothing but a handler on this thread
    // uses it. Where the kernel refuses, the handler runs on the stack that there is.
    unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
}

#[repr(align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: only the thread that calls `install` accesses it, once.
unsafe impl Sync for Stack {}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the location of errno is valid for as long as this thread lives.
    let errno = unsafe { *libc::__errno_location() };
    let name = SIGNALS.iter().find(|(number, _)| *number == signal).map_or(c"a signal", |(_, name)| name);
    let mut line = Line::new();
    line.add(name);
    line.add(c" ");
    line.add_what_is_done();
    line.write();

    // SAFETY: SA_SIGINFO promises a valid `info`; the actions are what the kernel gave us and the
    // default, for which zeros stand; sigaction and raise are safe in a handler.
    unsafe {
        let was_sent = (*info).si_code <= 0;
        let default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        let index = SIGNALS.iter().position(|(number, _)| *number == signal);
        let before = BEFORE.get().zip(index).map(|(before, index)| &before[index]);
        // A fault of the processor is raised again when the handler returns, and goes to the previous handler: the
        // standard library's reports an overflow of the stack. That handler would swallow a signal that was sent, which
        // is raised again for the default.
        let action = before.filter(|_| !was_sent).unwrap_or(&default);
        libc::sigaction(signal, action, ptr::null_mut());
        if was_sent {
            libc::raise(signal);
        }
        *libc::__errno_location() = errno;
    }
}

extern "C" fn on_exit() {
    if ENDING.load(Ordering::Relaxed) || is_forked() {
        return;
    }
    let mut line = Line::new();
    line.add(c"the library called exit ");
    line.add_what_is_done();
    line.write();
}

/// Whether this is another process than the one that installed the handler: its end is up to the library, and only a
/// crash is reported.
fn is_forked() -> bool {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() != PROCESS.load(Ordering::Relaxed) }
}

/// A line that is composed without allocation.
struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    length: usize,
}

impl Line {
    fn new() -> Line {
        let mut line = Line { bytes: [0; LINE_BYTES_MAX], length: 0 };
        line.add(c"module-runtime: ");
        line
    }

    /// Leaves room for the line's end.
    fn add(&mut self, text: &CStr) {
        for byte in text.to_bytes() {
            if self.length + 1 < LINE_BYTES_MAX {
                self.bytes[self.length] = *byte;
                self.length += 1;
            }
        }
    }

    fn add_what_is_done(&mut self) {
        // SAFETY: gettid has no preconditions.
        let thread = unsafe { libc::gettid() };
        if is_forked() {
            self.add(c"in a process that the library forked, ");
        } else if thread != THREAD.load(Ordering::Relaxed) {
            self.add(c"on a thread of the library's own, ");
        }
        for place in [&WHERE, &SUBJECT, &AFTER] {
            let piece = place.load(Ordering::Relaxed);
            if !piece.is_null() {
                // SAFETY: every piece that `set` stores lives as long as the process.
                self.add(unsafe { CStr::from_ptr(piece) });
            }
        }
    }

    fn write(&mut self) {
        self.bytes[self.length] = b'\n';
        // SAFETY: the buffer is as long as is said. A write that fails is ignored: there is no other way to report it.
        unsafe { libc::write(STDERR.load(Ordering::Relaxed), self.bytes.as_ptr().cast(), self.length + 1) };
    }
}
