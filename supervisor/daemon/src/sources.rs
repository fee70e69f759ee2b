//! What the host waits for, and which of it may have come: a set of futures, each of which is polled when it
//! was woken. What they are and what they yield is [`crate::loop_`]'s business.
//!
//! A place in the set, with its waker, outlives the future in it. What is waited for again and again, as the
//! next message of a link is, finds a place that the last wait has left, so no wait allocates anything.

use futures_util::task::AtomicWaker;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Futures that are waited for together.
#[derive(Debug)]
pub(crate) struct Sources<F> {
    places: Vec<Place<F>>,
    vacant: Vec<usize>,
    woken: Arc<Woken>,
    /// How many of those that were woken are still to be looked at.
    to_look_at: usize,
    /// Whether one came that was never polled.
    has_new: bool,
}

#[derive(Debug)]
struct Place<F> {
    source: Option<F>,
    mark: Arc<Mark>,
    waker: Waker,
}

/// The places that were woken and not looked at since.
#[derive(Debug, Default)]
struct Woken {
    queue: Mutex<VecDeque<usize>>,
    /// Whoever polls.
    task: AtomicWaker,
}

/// What wakes one place.
#[derive(Debug)]
struct Mark {
    place: usize,
    is_queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Mark {
    /// Puts the place into the queue; `false` if it is there.
    fn queue(&self) -> bool {
        let is_new = !self.is_queued.swap(true, Ordering::AcqRel);
        if is_new {
            self.woken.lock().push_back(self.place);
        }
        is_new
    }
}

impl Wake for Mark {
    fn wake(self: Arc<Mark>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Mark>) {
        if self.queue() {
            self.woken.task.wake();
        }
    }
}

impl Woken {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<usize>> {
        // Nothing panics while it is held, and a queue of numbers is whole after each step.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future + Unpin> Sources<F> {
    pub(crate) fn new() -> Sources<F> {
        Sources { places: Vec::new(), vacant: Vec::new(), woken: Arc::default(), to_look_at: 0, has_new: false }
    }

    /// Waits for one more, behind those that were woken before.
    pub(crate) fn push(&mut self, source: F) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            let place = self.places.len();
            let mark = Arc::new(Mark { place, is_queued: AtomicBool::new(false), woken: self.woken.clone() });
            self.places.push(Place { source: None, waker: mark.clone().into(), mark });
            place
        });
        self.places[place].source = Some(source);
        self.places[place].mark.queue();
        self.has_new = true;
    }

    /// Begins a look at all that were woken up to now; whoever is woken later wakes the task.
    pub(crate) fn look(&mut self, context: &Context<'_>) {
        self.woken.task.register(context.waker());
        self.has_new = false;
        self.to_look_at = self.woken.lock().len();
    }

    /// What the next of them yields. One that yields is waited for no more.
    pub(crate) fn next(&mut self) -> Option<F::Output> {
        while self.to_look_at > 0 {
            self.to_look_at -= 1;
            let at = self.woken.lock().pop_front()?;
            let Place { source, mark, waker } = &mut self.places[at];
            // From here on it may be woken again.
            mark.is_queued.store(false, Ordering::Release);
            // A waker of what was waited for in this place before may still be about.
            let Some(future) = source else { continue };
            if let Poll::Ready(output) = Pin::new(future).poll(&mut Context::from_waker(waker)) {
                *source = None;
                self.vacant.push(at);
                return Some(output);
            }
        }
        None
    }

    /// Whether one came since the last look began, which must be polled once to be heard.
    pub(crate) fn has_new(&self) -> bool {
        self.has_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc, sync::atomic::AtomicUsize};

    /// Yields its name once it was told to; the test keeps the waker.
    struct Told(u32, Rc<Cell<bool>>, Rc<Cell<Option<Waker>>>);

    impl Future for Told {
        type Output = u32;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
            self.2.set(Some(context.waker().clone()));
            if self.1.get() { Poll::Ready(self.0) } else { Poll::Pending }
        }
    }

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Task>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Test {
        sources: Sources<Told>,
        task: Arc<Task>,
    }

    impl Test {
        fn new() -> Test {
            Test { sources: Sources::new(), task: Arc::default() }
        }

        fn add(&mut self, name: u32) -> (Rc<Cell<bool>>, Rc<Cell<Option<Waker>>>) {
            let (told, waker) = (Rc::default(), Rc::default());
            self.sources.push(Told(name, Rc::clone(&told), Rc::clone(&waker)));
            (told, waker)
        }

        fn look(&mut self) -> Vec<u32> {
            let waker = Waker::from(self.task.clone());
            self.sources.look(&Context::from_waker(&waker));
            std::iter::from_fn(|| self.sources.next()).collect()
        }

        fn times_woken(&self) -> usize {
            self.task.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn what_was_woken_is_polled_in_that_order_and_nothing_else_is() {
        let mut test = Test::new();
        let all = [0, 1, 2].map(|name| test.add(name));
        assert!(test.sources.has_new());
        assert!(test.look().is_empty() && !test.sources.has_new());
        all.iter().for_each(|(told, _)| told.set(true));
        assert!(test.look().is_empty(), "nobody was woken");
        for at in [2, 0] {
            all[at].1.take().unwrap().wake();
        }
        assert_eq!(test.times_woken(), 1, "once is enough until it looks");
        assert_eq!(test.look(), [2, 0]);
        assert!(test.look().is_empty());
    }

    #[test]
    fn one_that_is_woken_while_it_is_polled_or_twice_is_polled_once_in_the_next_look() {
        let mut test = Test::new();
        let (told, waker) = test.add(7);
        test.look();
        let again = waker.take().unwrap();
        again.wake_by_ref();
        again.wake_by_ref();
        assert_eq!(test.times_woken(), 1);
        test.look();
        again.wake();
        told.set(true);
        assert_eq!(test.look(), [7]);
    }

    #[test]
    fn a_waker_of_one_that_has_yielded_does_the_next_one_in_its_place_no_harm() {
        let mut test = Test::new();
        let (told, waker) = test.add(1);
        test.look();
        let old = waker.take().unwrap();
        told.set(true);
        old.wake_by_ref();
        assert_eq!(test.look(), [1]);
        old.wake_by_ref();
        assert!(test.look().is_empty(), "the place is vacant");
        let (told, _) = test.add(2);
        test.look();
        old.wake_by_ref();
        assert!(test.look().is_empty());
        told.set(true);
        old.wake();
        assert_eq!(test.look(), [2]);
        assert_eq!(test.sources.places.len(), 1);
    }

    #[test]
    fn what_comes_or_wakes_itself_during_a_look_waits_for_the_next() {
        let mut test = Test::new();
        test.add(1).0.set(true);
        let waker = Waker::from(test.task.clone());
        test.sources.look(&Context::from_waker(&waker));
        let (told, own) = test.add(2);
        assert_eq!(test.sources.next(), Some(1));
        assert_eq!(test.sources.next(), None);
        assert!(test.sources.has_new());
        test.look();
        own.take().unwrap().wake();
        told.set(true);
        assert_eq!(test.look(), [2]);
    }

    #[test]
    fn wakers_are_of_use_on_any_thread() {
        let mut test = Test::new();
        let (told, waker) = test.add(3);
        test.look();
        let waker = waker.take().unwrap();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        told.set(true);
        assert_eq!((test.times_woken(), test.look()), (1, vec![3]));
    }
}
