//! What the host waits for, and which of it may have come: a set of futures, each of which is polled when it
//! was woken. What they are and what they yield is known to [`crate::event_loop`].
//!
//! There are two queues: the second is served when the first is empty. Which sources belong there, such as one
//! that has had its share of the host's time, is decided elsewhere.
//!
//! A slot in the set, with its waker, outlives the future in it. What is waited for again and again, such as the
//! next message of a link, reuses a slot of an ended wait, so no wait allocates anything.

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
pub(crate) struct Sources<F: Future> {
    slots: Vec<Slot<F>>,
    vacant: Vec<usize>,
    woken: Arc<Mutex<Woken>>,
    /// Which of those that were woken are still to be looked at, in the front queue and in the other.
    to_look_at: [VecDeque<usize>; 2],
    /// Whether one that came since the last look was ready at once.
    has_new: bool,
}

struct Slot<F: Future> {
    source: Option<F>,
    /// What its source has yielded when it came.
    yielded: Option<F::Output>,
    mark: Arc<Mark>,
    waker: Waker,
}

/// The queue that a source enters when it is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// With those that have not had their share.
    Front,
    /// After all of them.
    Second,
}

/// The slots that were woken since the last look, and the task that looks.
#[derive(Debug, Default)]
struct Woken {
    /// The front queue, and the other.
    lines: [VecDeque<usize>; 2],
    task: Option<Waker>,
    /// Whether the task is to be woken by the next of them.
    is_awaited: bool,
}

/// What wakes one slot.
#[derive(Debug)]
struct Mark {
    slot: usize,
    is_queued: AtomicBool,
    /// Whether what is waited for in it is served after the others.
    is_second: AtomicBool,
    woken: Arc<Mutex<Woken>>,
}

/// What the lock guards is consistent after each step, and nothing panics meanwhile.
fn lock(woken: &Mutex<Woken>) -> std::sync::MutexGuard<'_, Woken> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mark {
    /// Puts the slot into its queue, if it is in none, and wakes the task if that waits for one.
    fn queue(&self) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let line = usize::from(self.is_second.load(Ordering::Relaxed));
        let mut woken = lock(&self.woken);
        woken.lines[line].push_back(self.slot);
        if std::mem::take(&mut woken.is_awaited)
            && let Some(task) = &woken.task
        {
            task.wake_by_ref();
        }
    }
}

impl Wake for Mark {
    fn wake(self: Arc<Mark>) {
        self.queue();
    }

    fn wake_by_ref(self: &Arc<Mark>) {
        self.queue();
    }
}

impl<F: Future + Unpin> Sources<F> {
    pub(crate) fn new() -> Sources<F> {
        Sources {
            slots: Vec::new(),
            vacant: Vec::new(),
            woken: Arc::default(),
            to_look_at: Default::default(),
            has_new: false,
        }
    }

    /// Waits for one more. It is polled at once, so that it knows the task to wake; what it yields is served after
    /// the sources of its queue that were woken before.
    pub(crate) fn push(&mut self, mut source: F, line: Line) {
        let at = self.vacant.pop().unwrap_or_else(|| {
            let slot = self.slots.len();
            let mark = Arc::new(Mark {
                slot,
                is_queued: AtomicBool::new(false),
                is_second: AtomicBool::new(false),
                woken: self.woken.clone(),
            });
            self.slots.push(Slot { source: None, yielded: None, waker: mark.clone().into(), mark });
            slot
        });
        let slot = &mut self.slots[at];
        // Where a waker of an earlier wait in this slot has queued it already, it keeps that position.
        slot.mark.is_second.store(line == Line::Second, Ordering::Relaxed);
        match Pin::new(&mut source).poll(&mut Context::from_waker(&slot.waker)) {
            Poll::Pending => slot.source = Some(source),
            Poll::Ready(output) => {
                slot.yielded = Some(output);
                slot.mark.queue();
                self.has_new = true;
            }
        }
    }

    /// Begins a look at all that were woken up to now; one that is woken later wakes the task.
    pub(crate) fn look(&mut self, context: &Context<'_>) {
        self.has_new = false;
        let woken = &mut *lock(&self.woken);
        woken.is_awaited = true;
        if !woken.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            woken.task = Some(context.waker().clone());
        }
        for (line, woken) in self.to_look_at.iter_mut().zip(&mut woken.lines) {
            if line.is_empty() {
                std::mem::swap(line, woken);
            } else {
                line.append(woken);
            }
        }
    }

    /// What the next of them yields. One that yields is no longer waited for.
    pub(crate) fn next(&mut self) -> Option<F::Output> {
        self.next_in(0).or_else(|| self.next_in(1))
    }

    /// What the next source of the second queue yields.
    pub(crate) fn next_of_second(&mut self) -> Option<F::Output> {
        self.next_in(1)
    }

    fn next_in(&mut self, line: usize) -> Option<F::Output> {
        while let Some(at) = self.to_look_at[line].pop_front() {
            let Slot { source, yielded, mark, waker } = &mut self.slots[at];
            // From here on it may be woken again.
            mark.is_queued.store(false, Ordering::Release);
            if let Some(output) = yielded.take() {
                self.vacant.push(at);
                return Some(output);
            }
            // A waker of an earlier wait in this slot may still exist.
            let Some(future) = source else { continue };
            if let Poll::Ready(output) = Pin::new(future).poll(&mut Context::from_waker(waker)) {
                *source = None;
                self.vacant.push(at);
                return Some(output);
            }
        }
        None
    }

    /// Whether one came since the last look began that is ready.
    pub(crate) fn has_new(&self) -> bool {
        self.has_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc, sync::atomic::AtomicUsize};

    /// Yields its name on command; the test keeps the waker.
    struct Commanded(u32, Rc<Cell<bool>>, Rc<Cell<Option<Waker>>>);

    impl Future for Commanded {
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
        sources: Sources<Commanded>,
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
            let (may_yield, waker) = (Rc::default(), Rc::default());
            self.sources.push(Commanded(name, Rc::clone(&may_yield), Rc::clone(&waker)), line);
            (may_yield, waker)
        }

        /// Adds one that yields when it is asked first.
        fn add_yielding(&mut self, name: u32) {
            self.sources.push(Commanded(name, Rc::new(Cell::new(true)), Rc::default()), Line::Front);
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
        assert!(test.look().is_empty() && !test.sources.has_new());
        all.iter().for_each(|(may_yield, _)| may_yield.set(true));
        assert!(test.look().is_empty(), "no task was woken");
        for at in [2, 0] {
            all[at].1.take().unwrap().wake();
        }
        assert_eq!(test.times_woken(), 1, "once is enough until it looks");
        assert_eq!(test.look(), [2, 0]);
        assert!(test.look().is_empty());
    }

    #[test]
    fn what_is_in_the_second_queue_comes_when_the_front_queue_is_empty_or_on_request() {
        let mut test = Test::new();
        let second = [test.add_in(1, Line::Second), test.add_in(2, Line::Second)];
        let front = [test.add(3), test.add(4)];
        test.look();
        for (may_yield, waker) in second.iter().chain(&front) {
            may_yield.set(true);
            waker.take().unwrap().wake();
        }
        let waker = Waker::from(test.task.clone());
        test.sources.look(&Context::from_waker(&waker));
        assert_eq!(test.sources.next(), Some(3));
        assert_eq!(test.sources.next_of_second(), Some(1), "one that floods is heard all the same");
        assert_eq!((test.sources.next(), test.sources.next(), test.sources.next()), (Some(4), Some(2), None));
        let (may_yield, waker) = test.add(5);
        may_yield.set(true);
        waker.take().unwrap().wake();
        assert_eq!(test.look(), [5], "a slot forgets in which queue it was");
    }

    #[test]
    fn one_that_is_woken_while_it_is_polled_or_twice_is_polled_once_in_the_next_look() {
        let mut test = Test::new();
        let (may_yield, waker) = test.add(7);
        test.look();
        let again = waker.take().unwrap();
        again.wake_by_ref();
        again.wake_by_ref();
        assert_eq!(test.times_woken(), 1);
        test.look();
        again.wake();
        may_yield.set(true);
        assert_eq!(test.look(), [7]);
    }

    #[test]
    fn a_waker_of_one_that_has_yielded_does_the_next_one_in_its_slot_no_harm() {
        let mut test = Test::new();
        let (may_yield, waker) = test.add(1);
        test.look();
        let old = waker.take().unwrap();
        may_yield.set(true);
        old.wake_by_ref();
        assert_eq!(test.look(), [1]);
        old.wake_by_ref();
        assert!(test.look().is_empty(), "the slot is vacant");
        let (may_yield, _) = test.add(2);
        assert!(test.look().is_empty());
        old.wake_by_ref();
        assert!(test.look().is_empty());
        may_yield.set(true);
        old.wake();
        assert_eq!(test.look(), [2]);
        assert_eq!(test.sources.slots.len(), 1);
    }

    #[test]
    fn what_comes_or_is_woken_during_a_look_waits_for_the_next() {
        let mut test = Test::new();
        let (may_yield, waker) = test.add(1);
        may_yield.set(true);
        waker.take().unwrap().wake();
        let task = Waker::from(test.task.clone());
        test.sources.look(&Context::from_waker(&task));
        let (may_yield, own) = test.add(2);
        may_yield.set(true);
        own.take().unwrap().wake();
        test.add_yielding(3);
        assert_eq!((test.sources.next(), test.sources.next()), (Some(1), None));
        assert!(test.sources.has_new());
        assert_eq!(test.look(), [2, 3]);
        assert!(!test.sources.has_new());
    }

    #[test]
    fn what_has_something_to_say_when_it_comes_says_it_once_in_its_line() {
        let mut test = Test::new();
        test.look();
        test.sources.push(Commanded(1, Rc::new(Cell::new(true)), Rc::default()), Line::Second);
        test.add_yielding(2);
        assert!(test.sources.has_new());
        assert_eq!(test.times_woken(), 1, "what comes between two iterations is not slept over");
        assert_eq!(test.look(), [2, 1]);
        assert!(test.look().is_empty());
    }

    #[test]
    fn wakers_are_of_use_on_any_thread() {
        let mut test = Test::new();
        let (may_yield, waker) = test.add(3);
        assert!(test.look().is_empty());
        let waker = waker.take().unwrap();
        std::thread::spawn(move || waker.wake()).join().unwrap();
        may_yield.set(true);
        assert_eq!((test.times_woken(), test.look()), (1, vec![3]));
    }
}
