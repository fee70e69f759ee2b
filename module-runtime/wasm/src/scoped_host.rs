//! Two references, scoped to a call. The functions that a module calls back into are made once and outlive every
//! message, while the host that a handler uses lives for one message only; and work before answers leave may have to
//! enter the module again while it waits in one of those functions. Both are scoped to this thread here, until the call
//! ends.
//!
//! One of the two files with unsafe code: it hides a lifetime from the compiler and guards it itself.

use bulkhead_child::{Error, Host};
use std::cell::Cell;
use std::ptr::NonNull;
use std::thread::LocalKey;

/// A module that waits in a function of the host and can be entered again.
pub(crate) trait Inside {
    /// Lets the module do what it wants done before answers leave.
    fn before_answers(&mut self) -> Result<(), Error>;
}

type Slot<T> = Cell<Option<NonNull<T>>>;

thread_local! {
    static HOST: Slot<dyn Host> = const { Cell::new(None) };
    static INSIDE: Slot<dyn Inside> = const { Cell::new(None) };
}

/// Scopes `host` to all that `call` calls.
pub(crate) fn scoped_host<R>(host: &mut (dyn Host + '_), call: impl FnOnce() -> R) -> R {
    // SAFETY: only the lifetime changes. `scoped` takes the pointer back before it returns, so before
    // the borrow that it was made of ends.
    let host = unsafe { std::mem::transmute::<&mut (dyn Host + '_), &mut (dyn Host + 'static)>(host) };
    scoped(&HOST, NonNull::from(host), call)
}

/// Lets `work` use the host, unless none is scoped or another use is in progress further up the stack.
pub(crate) fn with_host<R>(work: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
    borrow(&HOST, |host| work(host))
}

/// Scopes the module that waits to all that `call` calls.
pub(crate) fn scoped_inside<R>(inside: &mut (dyn Inside + '_), call: impl FnOnce() -> R) -> R {
    // SAFETY: as in `scoped_host`.
    let inside = unsafe { std::mem::transmute::<&mut (dyn Inside + '_), &mut (dyn Inside + 'static)>(inside) };
    scoped(&INSIDE, NonNull::from(inside), call)
}

/// Lets `work` enter the module that waits, unless none does.
pub(crate) fn with_inside<R>(work: impl FnOnce(&mut dyn Inside) -> R) -> Option<R> {
    borrow(&INSIDE, |inside| work(inside))
}

/// Restores the slot, however the scope ends.
struct Restore<T: ?Sized + 'static> {
    slot: &'static LocalKey<Slot<T>>,
    before: Option<NonNull<T>>,
}

impl<T: ?Sized> Drop for Restore<T> {
    fn drop(&mut self) {
        self.slot.set(self.before);
    }
}

fn scoped<T: ?Sized, R>(slot: &'static LocalKey<Slot<T>>, value: NonNull<T>, call: impl FnOnce() -> R) -> R {
    let _restore = Restore { slot, before: slot.replace(Some(value)) };
    call()
}

fn borrow<T: ?Sized, R>(slot: &'static LocalKey<Slot<T>>, work: impl FnOnce(&mut T) -> R) -> Option<R> {
    // Taken out for as long as it is used: the slot is empty for other uses meanwhile.
    let restore = Restore { slot, before: slot.take() };
    let mut value = restore.before?;
    // SAFETY: the pointer came from a unique borrow that the caller of `scoped` does not use before the scope ends, and
    // we are within the scope, as its `Restore` empties the slot when it ends. No second reference exists, as the
    // pointer is in no slot while this one is used.
    Some(work(unsafe { value.as_mut() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count(u32);

    impl Inside for Count {
        fn before_answers(&mut self) -> Result<(), Error> {
            self.0 += 1;
            Ok(())
        }
    }

    #[test]
    fn a_scope_ends_with_its_call() {
        let mut count = Count(0);
        assert!(with_inside(|_| ()).is_none());
        scoped_inside(&mut count, || {
            assert!(with_inside(|inside| inside.before_answers().unwrap()).is_some());
            assert!(with_inside(|inside| inside.before_answers().unwrap()).is_some());
        });
        assert!(with_inside(|_| ()).is_none());
        assert_eq!(count.0, 2);
    }

    #[test]
    fn a_second_use_within_the_first_gets_nothing() {
        let mut count = Count(0);
        scoped_inside(&mut count, || {
            let inner = with_inside(|_| with_inside(|_| ()));
            assert_eq!(inner, Some(None));
        });
    }

    #[test]
    fn an_inner_scope_hides_the_outer_one_while_it_lasts() {
        let (mut outer, mut inner) = (Count(0), Count(10));
        scoped_inside(&mut outer, || {
            scoped_inside(&mut inner, || with_inside(|inside| inside.before_answers().unwrap()));
            with_inside(|inside| inside.before_answers().unwrap());
        });
        assert_eq!((outer.0, inner.0), (1, 11));
    }

    #[test]
    fn a_scope_ends_with_a_panic_too() {
        let mut count = Count(0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            scoped_inside(&mut count, || with_inside(|_| panic!("within the loan")))
        }));
        assert!(panicked.is_err());
        assert!(with_inside(|_| ()).is_none());
    }
}
