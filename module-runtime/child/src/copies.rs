//! Copies of this process: a process that the module forked, and that returns into our code instead of running another
//! program or ending. A copy has the channel and all state, so two processes would answer one request. It is ended
//! before it sends, receives or answers anything.
//!
//! A check whether this is a copy costs one read of memory: a page that the kernel fills with zeros in every copy,
//! however it was made. A process that shares its memory with this one is not noticed: a thread is no copy, and a child
//! of `vfork` may by its contract do nothing but `exec` and `_exit`.
//!
//! One of the two files of this crate with unsafe code.

use nix::libc;
use nix::unistd::getpid;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, Ordering};

/// What the first byte of the page says in the process that was started.
const ORIGINAL: u8 = 1;

/// What the length of the mapping is rounded up from: the kernel maps whole pages.
const PAGE_BYTES: usize = 4096;

/// The exit code of a copy. Its parent is the module, which does not wait for it.
const EXIT_COPY: i32 = 1;

/// The page; null as long as nothing is marked, and where the kernel does not wipe pages.
static PAGE: AtomicPtr<AtomicU8> = AtomicPtr::new(ptr::null_mut());

/// The id of this process where the kernel does not wipe pages, else zero.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// The last line of a copy, in the form of the log. It is complete here, as another thread may have held
/// a lock of the allocator or of standard error when the copy was made.
const LAST_LINE: &[u8] = concat!(
    r#"{"level":"error","message":"a copy of the module's process, made by a fork, came back to serve the channel "#,
    r#"as well and was ended, as two processes would answer one request; a forked process has to call exec or "#,
    r#"_exit before it returns"}"#,
    "\n"
)
.as_bytes();

/// From now on this process is the one that serves the channel, and each process forked from it is a copy.
///
/// # Errors
/// When there is no memory for a page.
pub(crate) fn mark() -> io::Result<()> {
    if !PAGE.load(Ordering::Relaxed).is_null() || PROCESS.load(Ordering::Relaxed) != 0 {
        return Ok(());
    }
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice, which nothing else refers to.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the page is the one that was just mapped, and ours alone.
    if unsafe { libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK) } == 0 {
        let page: *mut AtomicU8 = page.cast();
        // SAFETY: it is mapped, writable, aligned for a byte, and never unmapped.
        unsafe { &*page }.store(ORIGINAL, Ordering::Relaxed);
        PAGE.store(page, Ordering::Relaxed);
    } else {
        // Some sandboxes know no such pages. The process id serves as well, for one system call.
        PROCESS.store(getpid().as_raw(), Ordering::Relaxed);
    }
    Ok(())
}

/// Whether this is a copy of the process that serves the channel.
#[inline]
fn is_copy() -> bool {
    let page = PAGE.load(Ordering::Relaxed);
    if page.is_null() {
        return is_of_another_number();
    }
    // SAFETY: a pointer that is not null is that of a page which is never unmapped.
    unsafe { &*page }.load(Ordering::Relaxed) != ORIGINAL
}

#[cold]
fn is_of_another_number() -> bool {
    let marked = PROCESS.load(Ordering::Relaxed);
    marked != 0 && marked != getpid().as_raw()
}

/// Ends this process if it is a copy of the one that serves the channel; to be called after each return from foreign
/// code. It takes no lock and no memory, and runs nothing that is registered for an exit: buffers and destructors
/// belong to the process that was copied.
#[inline]
pub fn end_copy() {
    if is_copy() {
        end();
    }
}

#[cold]
fn end() -> ! {
    // SAFETY: the buffer has the length that is given, and both functions may be called in a copy of a process that has
    // many threads. A write that fails is ignored: only the end matters.
    unsafe {
        libc::write(libc::STDERR_FILENO, LAST_LINE.as_ptr().cast(), LAST_LINE.len());
        libc::_exit(EXIT_COPY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_copy_is_a_line_of_the_log() {
        let text = std::str::from_utf8(LAST_LINE).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(line["level"], "error");
        assert!(line["message"].as_str().unwrap().contains("_exit before it returns"));
    }

    #[test]
    fn the_process_that_is_marked_is_no_copy() {
        mark().unwrap();
        assert!(!is_copy());
        end_copy();
    }
}
