//! Ends a wait from this side. A socket can be shut down; a pipe whose other end is held by a process
//! outside of the module's tree never ends by itself, and the wait would keep it open.

use std::{
    cell::{Cell, RefCell},
    ops::Deref,
    task::{Context, Poll, Waker},
};

/// A descriptor for which one wait at a time can be ended.
#[derive(Debug)]
pub(crate) struct Releasable<T> {
    descriptor: T,
    is_released: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Releasable<T> {
    pub(crate) fn new(descriptor: T) -> Releasable<T> {
        Releasable { descriptor, is_released: Cell::new(false), waker: RefCell::new(None) }
    }

    /// Ready once it was released; until then the task that asked last is woken by that.
    pub(crate) fn poll_released(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_released.get() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Ends the wait, and every later one at once.
    pub(crate) fn release(&self) {
        self.is_released.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Deref for Releasable<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream::FuturesUnordered};
    use std::{future::poll_fn, rc::Rc};

    #[test]
    fn a_wait_ends_with_its_release_and_lets_go_of_the_descriptor() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pipe = Rc::new(Releasable::new(()));
            let waiting = pipe.clone();
            let mut waits = FuturesUnordered::new();
            waits.push(poll_fn(move |context| waiting.poll_released(context)));
            let first = poll_fn(|context| Poll::Ready(waits.poll_next_unpin(context))).await;
            assert_eq!(first, Poll::Pending);
            pipe.release();
            assert_eq!(waits.next().await, Some(()));
            assert_eq!(Rc::strong_count(&pipe), 1);
        });
    }
}
