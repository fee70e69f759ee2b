//! What is under way, in the order of the input: an answer is written when all before it have been.

use std::collections::VecDeque;
use std::time::Instant;

/// What was answered and waits for an earlier answer or for the reader, and what is likely to be answered to
/// the lines under way, is at most this many bytes before no further line is sent. A host lets as much wait for
/// a client that stands still before it cuts that off.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the lines under way, after which no further line is sent: half of what may wait for a module
/// unless its manifest says otherwise.
const SENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Lines that are sent before the first answer has shown how long answers are.
const FIRST_LINES: usize = 16;

/// The lines under way.
pub(super) struct Window {
    slots: VecDeque<Slot>,
    lines_max: usize,
    held_bytes: usize,
    /// Lines that have no answer, and the bytes of them.
    waiting: usize,
    sent_bytes: usize,
    /// How long the longest of the last answers was.
    answer_bytes: Option<usize>,
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
    /// Sent then, so many bytes, and not answered.
    Waiting(Instant, usize),
    /// What is to be written, line end included.
    Known(Vec<u8>),
}

impl Window {
    /// Of at most `lines_max` lines, answered ones that wait for an earlier one included.
    pub(super) fn new(lines_max: usize) -> Window {
        Window {
            slots: VecDeque::new(),
            lines_max,
            held_bytes: 0,
            waiting: 0,
            sent_bytes: 0,
            answer_bytes: None,
            last_id: 0,
        }
    }

    /// Whether another line may be taken while so many bytes wait for the reader.
    pub(super) fn has_room(&self, output_bytes: usize) -> bool {
        if self.slots.is_empty() {
            return output_bytes < HELD_BYTES_MAX;
        }
        let held = self.held_bytes + output_bytes;
        let expected = match self.answer_bytes {
            Some(bytes) => bytes.saturating_mul(self.waiting + 1),
            None if self.waiting < FIRST_LINES => 0,
            None => return false,
        };
        self.slots.len() < self.lines_max
            && self.sent_bytes < SENT_BYTES_MAX
            && held.saturating_add(expected) < HELD_BYTES_MAX
    }

    /// How many lines are under way.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When the line was sent that has waited longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.slots.front().map(|slot| match slot.state {
            State::Waiting(sent, _) => sent,
            State::Known(_) => unreachable!("the first slot waits"),
        })
    }

    /// Notes that a line of so many bytes was sent as request `id`; ids grow.
    pub(super) fn sent(&mut self, id: u64, line: u64, bytes: usize, now: Instant) {
        debug_assert!(id > self.last_id, "the connection counts upwards");
        self.last_id = id;
        self.waiting += 1;
        self.sent_bytes += bytes;
        self.slots.push_back(Slot { id, line, state: State::Waiting(now, bytes) });
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
        let State::Waiting(_, sent_bytes) = slot.state else { return };
        self.waiting -= 1;
        self.sent_bytes -= sent_bytes;
        if at > 0 {
            let mut text = Vec::new();
            write(slot.line, &mut text);
            self.held_bytes += text.len();
            let bytes = text.len();
            slot.state = State::Known(text);
            self.note_length(bytes);
            return;
        }
        let before = out.len();
        write(slot.line, out);
        self.note_length(out.len() - before);
        self.slots.pop_front();
        while let Some(Slot { state: State::Known(text), .. }) = self.slots.front() {
            out.extend_from_slice(text);
            self.held_bytes -= text.len();
            self.slots.pop_front();
        }
    }

    /// One long answer among short ones is remembered for a while.
    fn note_length(&mut self, bytes: usize) {
        let before = self.answer_bytes.unwrap_or(0);
        self.answer_bytes = Some(bytes.max(before - before / 64));
    }

    /// The requests that have no answer yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Waiting(..))).map(|slot| slot.id)
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
                State::Waiting(..) => {
                    write(slot.line, out);
                    lines = Some((lines.map_or(slot.line, |(first, _)| first), slot.line));
                }
            }
        }
        (self.held_bytes, self.waiting, self.sent_bytes) = (0, 0, 0);
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
        window.sent(1, 1, 7, Instant::now());
        window.known(2, &mut Vec::new(), |out| out.push(b'x'));
        window.sent(2, 3, 7, Instant::now());
        window.known(4, &mut Vec::new(), |out| out.push(b'y'));
        window.sent(3, 5, 7, Instant::now());
        window
    }

    #[test]
    fn answers_come_out_in_the_order_of_the_lines() {
        for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
            let mut window = window();
            assert!(!window.has_room(0));
            let mut out = Vec::new();
            for id in order {
                window.answer(id, &mut out, line);
                window.answer(id, &mut out, |_, _| panic!("a second answer is dropped"));
            }
            assert_eq!(String::from_utf8(out).unwrap(), "1x3y5", "{order:?}");
            assert_eq!((window.len(), window.held_bytes), (0, 0));
            assert_eq!((window.waiting, window.sent_bytes), (0, 0));
        }
    }

    #[test]
    fn what_is_known_with_nothing_before_it_is_written_at_once() {
        let mut out = Vec::new();
        Window::new(1).known(1, &mut out, |out| out.push(b'x'));
        assert_eq!(out, b"x");
    }

    #[test]
    fn what_is_under_way_is_bounded_by_the_length_of_the_answers_that_came() {
        let (now, megabyte) = (Instant::now(), 1024 * 1024);
        let mut window = Window::new(1024);
        let mut id = 0;
        let mut fill = |window: &mut Window, output_bytes| {
            while window.has_room(output_bytes) {
                id += 1;
                window.sent(id, id, 10, now);
            }
        };
        fill(&mut window, 0);
        assert_eq!(window.len(), FIRST_LINES, "nothing is known of the answers yet");
        let mut out = Vec::new();
        window.answer(1, &mut out, |_, out| out.resize(2 * megabyte, b'x'));
        fill(&mut window, out.len());
        assert_eq!(window.len(), 30, "30 answers of 2 MiB and the one that waits are less than 64 MiB");
        fill(&mut window, 64 * megabyte);
        assert_eq!(window.len(), 30, "the reader stands still");
        // Once answers are short, as many lines are under way as were asked for.
        for id in 2..=31 {
            window.answer(id, &mut out, |_, out| out.push(b'x'));
        }
        for _ in 0..20 {
            fill(&mut window, 0);
            for id in window.waiting().collect::<Vec<_>>() {
                window.answer(id, &mut out, |_, out| out.push(b'x'));
            }
        }
        fill(&mut window, 0);
        assert_eq!(window.len(), 1024);
    }

    #[test]
    fn what_is_under_way_is_bounded_by_the_bytes_of_the_lines() {
        let mut window = Window::new(1024);
        window.sent(1, 1, SENT_BYTES_MAX, Instant::now());
        assert!(!window.has_room(0));
        window.answer(1, &mut Vec::new(), line);
        assert!(window.has_room(0), "one may always go");
        assert!(!window.has_room(HELD_BYTES_MAX), "unless too much waits for the reader");
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
