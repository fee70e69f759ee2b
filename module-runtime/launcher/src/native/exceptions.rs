//! Where exceptions of foreign code end. None of them comes through here, and none is caught: the unwinder of the
//! language that threw it gets the answer that there is no handler, while the stack is still whole. C++ then calls its
//! `std::terminate`, which says what was thrown and aborts; nothing of C++ is needed for that.
//!
//! A frame of machine code stands between the foreign code and ours, with a personality routine that gives that answer
//! in the first phase of unwinding, the search. Where there is no such frame (another processor than those below), the
//! exception is stopped by Rust, which can only abort.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use framed::call;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use plain::call;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod framed {
    use libc::{c_int, c_void};
    use std::arch::global_asm;
    use std::mem::MaybeUninit;

    /// What a personality routine answers (`_URC_FATAL_PHASE1_ERROR` and `_URC_FATAL_PHASE2_ERROR`).
    const FATAL_IN_SEARCH: c_int = 3;
    const FATAL_IN_CLEANUP: c_int = 2;

    /// The action of a personality routine that only looks for a handler (`_UA_SEARCH_PHASE`).
    const SEARCH_PHASE: c_int = 1;

    /// How the class of an exception begins, whose last byte is a kind of the same: that of GNU's C++ and
    /// that of LLVM's.
    const CPP_CLASSES: [u64; 2] = [u64::from_be_bytes(*b"GNUCC++\0"), u64::from_be_bytes(*b"CLNGC++\0")];

    unsafe extern "C" {
        /// Calls `function` with `data`. Nothing unwinds through it.
        fn bulkhead_native_call(function: unsafe extern "C-unwind" fn(*mut c_void), data: *mut c_void);
    }

    #[cfg(target_arch = "x86_64")]
    global_asm!(
        ".pushsection .text.bulkhead_native_call, \"ax\", @progbits",
        ".globl bulkhead_native_call",
        ".hidden bulkhead_native_call",
        ".type bulkhead_native_call, @function",
        "bulkhead_native_call:",
        ".cfi_startproc",
        ".cfi_personality 0x1b, {personality}",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        ".size bulkhead_native_call, . - bulkhead_native_call",
        ".popsection",
        personality = sym personality,
    );

    #[cfg(target_arch = "aarch64")]
    global_asm!(
        ".pushsection .text.bulkhead_native_call, \"ax\", @progbits",
        ".globl bulkhead_native_call",
        ".hidden bulkhead_native_call",
        ".type bulkhead_native_call, @function",
        "bulkhead_native_call:",
        ".cfi_startproc",
        ".cfi_personality 0x1b, {personality}",
        "stp x29, x30, [sp, #-16]!",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset 29, -16",
        ".cfi_offset 30, -8",
        "mov x29, sp",
        ".cfi_def_cfa_register 29",
        "mov x8, x0",
        "mov x0, x1",
        "blr x8",
        "ldp x29, x30, [sp], #16",
        ".cfi_def_cfa 31, 0",
        ".cfi_restore 29",
        ".cfi_restore 30",
        "ret",
        ".cfi_endproc",
        ".size bulkhead_native_call, . - bulkhead_native_call",
        ".popsection",
        personality = sym personality,
    );

    /// What the unwinder asks when it comes to the frame above.
    extern "C" fn personality(_: c_int, actions: c_int, class: u64, _: *mut c_void, _: *mut c_void) -> c_int {
        // A thread that is cancelled or ends amid a call unwinds without a search.
        if actions & SEARCH_PHASE == 0 {
            return FATAL_IN_CLEANUP;
        }
        if CPP_CLASSES.contains(&(class & !0xff)) {
            return FATAL_IN_SEARCH;
        }
        // A runtime that does not handle a failed search would continue as if nothing had been thrown.
        std::process::abort()
    }

    /// A call through the frame: first what to call, then its result.
    struct Passage<F, T> {
        what: Option<F>,
        result: MaybeUninit<T>,
    }

    /// Calls foreign code. An exception that comes out of it ends the process here.
    pub(in super::super) fn call<F: FnOnce() -> T, T>(what: F) -> T {
        unsafe extern "C-unwind" fn pass<F: FnOnce() -> T, T>(data: *mut c_void) {
            // SAFETY: the passage is on the stack of `call`, which waits and does not touch it.
            let passage = unsafe { &mut *data.cast::<Passage<F, T>>() };
            let what = passage.what.take().expect("it is passed once");
            passage.result.write(what());
        }
        let mut passage: Passage<F, T> = Passage { what: Some(what), result: MaybeUninit::uninit() };
        // SAFETY: `pass` takes a pointer to such a passage, which outlives the call. The frame keeps to the
        // calling convention, and by its personality routine nothing unwinds through it.
        unsafe { bulkhead_native_call(pass::<F, T>, (&raw mut passage).cast()) };
        // SAFETY: `pass` has come back, and wrote the result before it did.
        unsafe { passage.result.assume_init() }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod plain {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Calls foreign code. An exception that comes out of it ends the process: `catch_unwind` aborts for
    /// it, as nothing can be known of what it left behind.
    pub(in super::super) fn call<T>(what: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|_| std::process::abort())
    }
}
