//! What the host waits for, and which of it may have come: a set of futures, each of which is polled when it
//! was woken. What they are and what they yield is [`crate::loop_`]'s business.
//!
//! There are two lines: what stands in the second comes when the first is empty. Who belongs there, as one
//! that has had its share of the host's time, is decided elsewhere.
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
    /// How many of those that were woken are still to be looked at, in each line.
    to_look_at: [usize; 2],
    /// Whether one came that was never polled.
    has_new: bool,
}

#[derive(Debug)]
struct Place<F> {
    source: Option<F>,
    mark: Arc<Mark>,
    waker: Waker,
}

/// Which line a source stands in when it was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// With those that have not had their share.
    Front,
    /// Behind all of them.
    Behind,
}

/// The places that were woken and not looked at since.
#[derive(Debug, Default)]
struct Woken {
    /// In front, and behind.
    lines: Mutex<[VecDeque<usize>; 2]>,
    /// Whoever polls.
    task: AtomicWaker,
}

/// What wakes one place.
#[derive(Debug)]
struct Mark {
    place: usize,
    is_queued: AtomicBool,
    /// Whether what is waited for in it stands behind the others.
    is_behind: AtomicBool,
    woken: Arc<Woken>,
}

impl Mark {
    /// Puts the place into the queue; `false` if it is there.
    fn queue(&self) -> bool {
        let is_new = !self.is_queued.swap(true, Ordering::AcqRel);
        if is_new {
            let line = usize::from(self.is_behind.load(Ordering::Relaxed));
            self.woken.lock()[line].push_back(self.place);
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
    fn lock(&self) -> std::sync::MutexGuard<'_, [VecDeque<usize>; 2]> {
        // Nothing panics while it is held, and a queue of numbers is whole after each step.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future + Unpin> Sources<F> {
    pub(crate) fn new() -> Sources<F> {
        Sources { places: Vec::new(), vacant: Vec::new(), woken: Arc::default(), to_look_at: [0; 2], has_new: false }
    }

    /// Waits for one more, behind those of its line that were woken before.
    pub(crate) fn push(&mut self, source: F, line: Line) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            let place = self.places.len();
            let mark = Arc::new(Mark {
                place,
                is_queued: AtomicBool::new(false),
                is_behind: AtomicBool::new(false),
                woken: self.woken.clone(),
            });
            self.places.push(Place { source: None, waker: mark.clone().into(), mark });
            place
        });
        self.places[place].source = Some(source);
        let mark = &self.places[place].mark;
        // Where a waker of what was waited for here before has queued it already, it stands where that stood.
        mark.is_behind.store(line == Line::Behind, Ordering::Relaxed);
        mark.queue();
        self.has_new = true;
    }

    /// Begins a look at all that were woken up to now; whoever is woken later wakes the task.
    pub(crate) fn look(&mut self, context: &Context<'_>) {
        self.woken.task.register(context.waker());
        self.has_new = false;
        let lines = self.woken.lock();
        self.to_look_at = [lines[0].len(), lines[1].len()];
    }

    /// What the next of them yields. One that yields is waited for no more.
    pub(crate) fn next(&mut self) -> Option<F::Output> {
        self.next_in(0).or_else(|| self.next_in(1))
    }

    /// What the next of those yields that stand behind the others.
    pub(crate) fn next_behind(&mut self) -> Option<F::Output> {
        self.next_in(1)
    }

    fn next_in(&mut self, line: usize) -> Option<F::Output> {
        while self.to_look_at[line] > 0 {
            self.to_look_at[line] -= 1;
            let at = self.woken.lock()[line].pop_front()?;
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
            self.add_in(name, Line::Front)
        }

        fn add_in(&mut self, name: u32, line: Line) -> (Rc<Cell<bool>>, Rc<Cell<Option<Waker>>>) {
            let (told, waker) = (Rc::default(), Rc::default());
            self.sources.push(Told(name, Rc::clone(&told), Rc::clone(&waker)), line);
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
    fn what_stands_behind_comes_when_nothing_is_left_in_front_or_is_asked_for() {
        let mut test = Test::new();
        let behind = [test.add_in(1, Line::Behind), test.add_in(2, Line::Behind)];
        let front = [test.add(3), test.add(4)];
        test.look();
        for (told, waker) in behind.iter().chain(&front) {
            told.set(true);
            waker.take().unwrap().wake();
        }
        let waker = Waker::from(test.task.clone());
        test.sources.look(&Context::from_waker(&waker));
        assert_eq!(test.sources.next(), Some(3));
        assert_eq!(test.sources.next_behind(), Some(1), "one that floods is heard all the same");
        assert_eq!((test.sources.next(), test.sources.next(), test.sources.next()), (Some(4), Some(2), None));
        let (told, _) = test.add(5);
        told.set(true);
        assert_eq!(test.look(), [5], "a place forgets in which line it stood");
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
