//! What is under way, in the order of the input: an answer is written when all before it have been.

use std::collections::VecDeque;
use std::time::Instant;

/// Answers that wait for an earlier one may hold this many bytes before no further line is sent.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The lines under way.
pub(super) struct Window {
    slots: VecDeque<Slot>,
    lines_max: usize,
    held_bytes: usize,
    last_id: u64,
}

/// One line. The first slot always waits: what is known in front is written at once.
struct Slot {
    /// The number of its request; a line that was never sent has the one of the line sent before
    /// it, which keeps the numbers sorted.
    id: u64,
    line: u64,
    state: State,
}

enum State {
    /// Sent then, and not answered.
    Waiting(Instant),
    /// What is to be written, line end included.
    Known(Vec<u8>),
}

impl Window {
    /// Of at most `lines_max` lines, answered ones that wait for an earlier one included.
    pub(super) fn new(lines_max: usize) -> Window {
        Window { slots: VecDeque::new(), lines_max, held_bytes: 0, last_id: 0 }
    }

    /// Whether another line may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < self.lines_max && self.held_bytes < HELD_BYTES_MAX
    }

    /// How many lines are under way.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When the line was sent that has waited longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.slots.front().map(|slot| match slot.state {
            State::Waiting(sent) => sent,
            State::Known(_) => unreachable!("the first slot waits"),
        })
    }

    /// Notes that a line was sent as request `id`; ids grow.
    pub(super) fn sent(&mut self, id: u64, line: u64, now: Instant) {
        debug_assert!(id > self.last_id, "the connection counts upwards");
        self.last_id = id;
        self.slots.push_back(Slot { id, line, state: State::Waiting(now) });
    }

    /// Notes a line whose output is known without sending it.
    pub(super) fn known(&mut self, line: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.slots.is_empty() {
            return write(out);
        }
        let mut text = Vec::new();
        write(&mut text);
        self.held_bytes += text.len();
        self.slots.push_back(Slot { id: self.last_id, line, state: State::Known(text) });
    }

    /// Takes the answer to request `id`, which `write` writes when told the line, and appends to
    /// `out` all that can now be written in order. An answer that no line waits for is dropped.
    pub(super) fn answer(&mut self, id: u64, out: &mut Vec<u8>, write: impl FnOnce(u64, &mut Vec<u8>)) {
        let at = self.slots.partition_point(|slot| slot.id < id);
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.id == id) else { return };
        if matches!(slot.state, State::Known(_)) {
            return;
        }
        if at > 0 {
            let mut text = Vec::new();
            write(slot.line, &mut text);
            self.held_bytes += text.len();
            slot.state = State::Known(text);
            return;
        }
        write(slot.line, out);
        self.slots.pop_front();
        while let Some(Slot { state: State::Known(text), .. }) = self.slots.front() {
            out.extend_from_slice(text);
            self.held_bytes -= text.len();
            self.slots.pop_front();
        }
    }

    /// The requests that have no answer yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Waiting(_))).map(|slot| slot.id)
    }

    /// Writes everything that is left, `write` for each line without an answer, and returns the
    /// first and the last of those.
    pub(super) fn abandon(
        &mut self,
        out: &mut Vec<u8>,
        mut write: impl FnMut(u64, &mut Vec<u8>),
    ) -> Option<(u64, u64)> {
        let mut lines = None;
        for slot in self.slots.drain(..) {
            match slot.state {
                State::Known(text) => out.extend_from_slice(&text),
                State::Waiting(_) => {
                    write(slot.line, out);
                    lines = Some((lines.map_or(slot.line, |(first, _)| first), slot.line));
                }
            }
        }
        self.held_bytes = 0;
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(number.to_string().as_bytes());
    }

    fn window() -> Window {
        let mut window = Window::new(5);
        window.sent(1, 1, Instant::now());
        window.known(2, &mut Vec::new(), |out| out.push(b'x'));
        window.sent(2, 3, Instant::now());
        window.known(4, &mut Vec::new(), |out| out.push(b'y'));
        window.sent(3, 5, Instant::now());
        window
    }

    #[test]
    fn answers_come_out_in_the_order_of_the_lines() {
        for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
            let mut window = window();
            assert!(!window.has_room());
            let mut out = Vec::new();
            for id in order {
                window.answer(id, &mut out, line);
                window.answer(id, &mut out, |_, _| panic!("a second answer is dropped"));
            }
            assert_eq!(String::from_utf8(out).unwrap(), "1x3y5", "{order:?}");
            assert_eq!((window.len(), window.held_bytes), (0, 0));
        }
    }

    #[test]
    fn what_is_known_with_nothing_before_it_is_written_at_once() {
        let mut out = Vec::new();
        Window::new(1).known(1, &mut out, |out| out.push(b'x'));
        assert_eq!(out, b"x");
    }

    #[test]
    fn an_answer_to_nothing_is_dropped() {
        let mut out = Vec::new();
        window().answer(99, &mut out, line);
        window().answer(0, &mut out, line);
        assert_eq!(out, b"");
    }

    #[test]
    fn what_is_abandoned_keeps_its_place() {
        let mut window = window();
        let mut out = Vec::new();
        window.answer(2, &mut out, line);
        let lines = window.abandon(&mut out, |_, out| out.push(b'-'));
        assert_eq!((String::from_utf8(out).unwrap(), lines), ("-x3y-".to_owned(), Some((1, 5))));
    }
}
