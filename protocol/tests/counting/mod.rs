//! An allocator that counts what a test's thread holds, and the comparison of that with what the value itself
//! says. A test binary includes this file by its path and makes [`Counting`] its global allocator.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, with an account for each thread of how many bytes it holds in how many pieces.
pub struct Counting;

fn count(bytes: isize, pieces: isize) {
    // While a thread ends there is no account any more, and no test that asks for it.
    let _ = HELD.try_with(|held| {
        let (before, number) = held.get();
        held.set((before.wrapping_add_signed(bytes), number.wrapping_add_signed(pieces)));
    });
}

// SAFETY: the system's allocator does everything; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed(), 1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed(), -1);
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed(), 0);
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Makes a value; what it holds in bytes and pieces, as the allocator has counted.
pub fn counted<T>(make: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = HELD.get();
    let made = make();
    let after = HELD.get();
    // What another thread has made may end here, so the account itself may be negative.
    (made, after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1))
}

/// Checks an account: never less than is held, and at most a quarter and the allocator's own cost of each
/// piece more.
#[track_caller]
pub fn check(what: &str, account: usize, held: usize, pieces: usize) {
    assert!(account >= held, "{what}: {held} bytes are held, and only {account} are counted");
    let most = held + held / 4 + 32 * pieces;
    assert!(account <= most, "{what}: {held} bytes are held in {pieces} pieces, and {account} are counted");
}
