//! Strings that pass the border: bytes with a NUL at the end. Each allocation of ours begins with its
//! own size, so that it can be freed by its pointer alone, also after writes into it.
#![expect(unsafe_code, reason = "a C border is made of pointers")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ffi::{CStr, c_char};

/// What precedes the bytes.
const HEADER_BYTES: usize = size_of::<usize>();

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEADER_BYTES)?, align_of::<usize>()).ok()
}

/// The bytes of a string, without its NUL; `None` of a null pointer.
///
/// # Safety
/// `string` is null, or ends in NUL and is neither changed nor freed during `'a`.
pub(super) unsafe fn read<'a>(string: *const c_char) -> Option<&'a [u8]> {
    if string.is_null() {
        return None;
    }
    // SAFETY: it is not null, and the rest is the caller's promise.
    Some(unsafe { CStr::from_ptr(string) }.to_bytes())
}

/// Room for so many bytes; null when there is none. Freed with [`take_back`].
pub(super) fn reserve(bytes: usize) -> *mut c_char {
    let Some(layout) = layout(bytes) else { return std::ptr::null_mut() };
    // SAFETY: the layout has the size of the header at least, which is not zero.
    let start = unsafe { alloc(layout) };
    if start.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the allocation is aligned for a `usize` and begins with room for one, and what follows
    // the header is inside or one past the end.
    unsafe {
        start.cast::<usize>().write(bytes);
        start.add(HEADER_BYTES).cast()
    }
}

/// A copy of the text for the other side. Freed with [`take_back`].
pub(super) fn give(text: &str) -> *mut c_char {
    let bytes = text.len() + 1;
    let string = reserve(bytes);
    if string.is_null() {
        handle_alloc_error(layout(bytes).unwrap_or(Layout::new::<usize>()));
    }
    // SAFETY: `string` has room for the text and a NUL, and is not part of the text.
    unsafe {
        string.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        string.add(text.len()).write(0);
    }
    string
}

/// Frees what [`give`] or [`reserve`] made; null is ignored.
///
/// # Safety
/// `string` is null, or came from one of the two and was not freed before.
pub(super) unsafe fn take_back(string: *mut c_char) {
    if string.is_null() {
        return;
    }
    // SAFETY: by the caller's promise it points directly after a header that `reserve` wrote, and whose layout could be
    // made then.
    unsafe {
        let start = string.cast::<u8>().sub(HEADER_BYTES);
        let bytes = start.cast::<usize>().read();
        dealloc(start, layout(bytes).expect("it was made with this layout"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_can_be_read_and_taken_back_whatever_was_written_into_it() {
        for text in ["", "é", &"x".repeat(100_000)] {
            let string = give(text);
            // SAFETY: it was just made, and is freed once.
            unsafe {
                assert_eq!(read(string), Some(text.as_bytes()));
                string.write(0);
                take_back(string);
            }
        }
        // SAFETY: null is ignored, and the other was just made.
        unsafe {
            assert_eq!(read(std::ptr::null()), None);
            take_back(std::ptr::null_mut());
            take_back(reserve(0));
        }
        assert!(reserve(usize::MAX).is_null());
    }
}
