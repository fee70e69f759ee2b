//! The lines in flight, in the order of the input: an answer is written when all before it have been. When a connection
//! ends, the window decides which lines may be sent again over another one. Sending is done elsewhere.

use super::sent::{Kept, Lost, Sent, Taken};
use std::collections::VecDeque;
use std::time::Instant;

/// No further line is sent above this many bytes: of answers that wait for an earlier one or for the reader, and of the
/// likely answers to the lines in flight. A host queues as much for a client that stands still before it closes the
/// connection.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the lines in flight, after which no further line is sent: half of the default queue of a module.
const SENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Lines that are sent before the first answer has shown how long answers are.
const FIRST_LINES: usize = 16;

/// The lines in flight.
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

/// One line. The first slot has no answer: known answers at the front are written at once.
struct Slot {
    /// The number of its request. A line that was never sent has the one of the line sent before it, which keeps the
    /// numbers sorted; all after the first line that is to be sent again have [`NOT_YET`].
    id: u64,
    line: u64,
    state: State,
}

/// No request has this number.
const NOT_YET: u64 = u64::MAX;

enum State {
    /// Sent and not answered.
    Waiting { sent: Sent, bytes: usize, kept: Option<Kept> },
    /// To be sent, over another connection.
    Unsent { bytes: usize, kept: Option<Kept> },
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

    /// How many lines are in flight.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When the line was sent that has waited longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.slots.iter().find_map(|slot| match &slot.state {
            State::Waiting { sent, .. } => Some(sent.at),
            State::Unsent { .. } | State::Known(_) => None,
        })
    }

    /// Notes that a line of so many bytes was sent.
    pub(super) fn sent(&mut self, line: u64, bytes: usize, sent: Sent, kept: Option<Kept>) {
        debug_assert!(sent.id > self.last_id, "the connection counts upwards");
        self.last_id = sent.id;
        self.waiting += 1;
        self.sent_bytes += bytes;
        self.slots.push_back(Slot { id: sent.id, line, state: State::Waiting { sent, bytes, kept } });
    }

    /// Notes a line of so many bytes that could not be sent, since the connection has ended.
    pub(super) fn unsent(&mut self, line: u64, bytes: usize, kept: Option<Kept>) {
        self.waiting += 1;
        self.sent_bytes += bytes;
        self.slots.push_back(Slot { id: NOT_YET, line, state: State::Unsent { bytes, kept } });
    }

    /// The first line that is to be sent again, with its number.
    pub(super) fn next_to_send(&mut self) -> Option<(u64, &Kept)> {
        // What is known between such lines has waited with them.
        let mut at = self.slots.partition_point(|slot| slot.id != NOT_YET);
        while let Some(slot) = self.slots.get_mut(at).filter(|slot| matches!(slot.state, State::Known(_))) {
            slot.id = self.last_id;
            at += 1;
        }
        match self.slots.get(at) {
            Some(Slot { line, state: State::Unsent { kept: Some(kept), .. }, .. }) => Some((*line, kept)),
            Some(_) | None => None,
        }
    }

    /// Notes that the line of [`Window::next_to_send`] was sent.
    pub(super) fn sent_again(&mut self, sent: Sent) {
        let at = self.slots.partition_point(|slot| slot.id != NOT_YET);
        let Some(slot) = self.slots.get_mut(at) else { return };
        let State::Unsent { bytes, kept } = &mut slot.state else { return };
        debug_assert!(sent.id > self.last_id, "the connection counts upwards");
        (self.last_id, slot.id) = (sent.id, sent.id);
        slot.state = State::Waiting { sent, bytes: *bytes, kept: kept.take() };
    }

    /// Notes that the line of [`Window::next_to_send`] cannot be sent; `write` writes its answer.
    pub(super) fn not_sent(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.slots.partition_point(|slot| slot.id != NOT_YET);
        let Some(slot) = self.slots.get_mut(at) else { return };
        let State::Unsent { bytes, .. } = slot.state else { return };
        (self.waiting, self.sent_bytes) = (self.waiting - 1, self.sent_bytes - bytes);
        let mut text = Vec::new();
        write(&mut text);
        self.held_bytes += text.len();
        (slot.id, slot.state) = (self.last_id, State::Known(text));
        self.release(out);
    }

    /// Takes note that the host refused request `id`, since it is stopping. `false` if the line cannot be sent
    /// again: that would have to be kept, and have a key unless it was not begun.
    pub(super) fn give_back(&mut self, id: u64, may_have_begun: bool) -> bool {
        let at = self.slots.partition_point(|slot| slot.id < id);
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.id == id) else { return false };
        let State::Waiting { bytes, kept, .. } = &mut slot.state else { return false };
        let Some(kept) = Kept::take_if_safe(kept, may_have_begun) else { return false };
        slot.state = State::Unsent { bytes: *bytes, kept: Some(kept) };
        true
    }

    /// Whether no line waits for an answer over this connection.
    pub(super) fn is_given_back(&self) -> bool {
        self.oldest().is_none()
    }

    /// The connection has ended. What is safe is to be sent again: lines that have a key or were not sent. `write`
    /// writes the answer of any other, and `out` gets all that can now be written in order.
    pub(super) fn lose(&mut self, taken: Taken, out: &mut Vec<u8>, mut write: impl FnMut(u64, &mut Vec<u8>)) -> Lost {
        let mut lost = Lost::default();
        let mut id = 0;
        for slot in &mut self.slots {
            if let State::Waiting { sent, bytes, kept } = &mut slot.state {
                if let Some(kept) = Kept::take_if_safe(kept, taken.may_have_begun(sent)) {
                    slot.state = State::Unsent { bytes: *bytes, kept: Some(kept) };
                } else {
                    (self.waiting, self.sent_bytes) = (self.waiting - 1, self.sent_bytes - *bytes);
                    lost.unknown += 1;
                    let mut text = Vec::new();
                    write(slot.line, &mut text);
                    self.held_bytes += text.len();
                    slot.state = State::Known(text);
                }
            }
            if matches!(slot.state, State::Unsent { .. }) {
                lost.again += 1;
                id = NOT_YET;
            }
            slot.id = id;
        }
        self.last_id = 0;
        self.release(out);
        lost
    }

    /// Writes the known answers at the front.
    fn release(&mut self, out: &mut Vec<u8>) {
        while let Some(Slot { state: State::Known(text), .. }) = self.slots.front() {
            out.extend_from_slice(text);
            self.held_bytes -= text.len();
            self.slots.pop_front();
        }
    }

    /// Notes a line whose output is known without sending it.
    pub(super) fn known(&mut self, line: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.slots.is_empty() {
            return write(out);
        }
        let mut text = Vec::new();
        write(&mut text);
        self.held_bytes += text.len();
        let id = self.slots.back().map_or(self.last_id, |slot| slot.id);
        self.slots.push_back(Slot { id, line, state: State::Known(text) });
    }

    /// Takes the answer to request `id`, which `write` writes when given the line, and appends to `out` all that can
    /// now be written in order. An answer that no line waits for is dropped.
    pub(super) fn answer(&mut self, id: u64, out: &mut Vec<u8>, write: impl FnOnce(u64, &mut Vec<u8>)) {
        let at = self.slots.partition_point(|slot| slot.id < id);
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.id == id) else { return };
        let State::Waiting { bytes, .. } = slot.state else { return };
        self.waiting -= 1;
        self.sent_bytes -= bytes;
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
        self.release(out);
    }

    /// One long answer among short ones is remembered for a while.
    fn note_length(&mut self, bytes: usize) {
        let before = self.answer_bytes.unwrap_or(0);
        self.answer_bytes = Some(bytes.max(before - before / 64));
    }

    /// The requests that have no answer yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Waiting { .. })).map(|slot| slot.id)
    }

    /// Writes everything that is left, calls `write` for each line without an answer, with whether it may have
    /// been begun, and returns the first and the last of those.
    pub(super) fn abandon(
        &mut self,
        taken: Taken,
        out: &mut Vec<u8>,
        mut write: impl FnMut(u64, bool, &mut Vec<u8>),
    ) -> Option<(u64, u64)> {
        let mut lines = None;
        for slot in self.slots.drain(..) {
            let may_have_begun = match slot.state {
                State::Known(text) => {
                    out.extend_from_slice(&text);
                    continue;
                }
                State::Waiting { sent, kept, .. } => {
                    taken.may_have_begun(&sent) || kept.is_some_and(|kept| kept.may_have_begun)
                }
                State::Unsent { kept, .. } => kept.is_some_and(|kept| kept.may_have_begun),
            };
            write(slot.line, may_have_begun, out);
            lines = Some((lines.map_or(slot.line, |(first, _)| first), slot.line));
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

    fn sent(id: u64) -> Sent {
        Sent { id, end: 10 * id, at: Instant::now() }
    }

    /// Lines 1, 3 and 5 are sent, and the answers to 2 and 4 known.
    fn window_of(keys: [Option<&str>; 3]) -> Window {
        let mut window = Window::new(5);
        let kept = |key: Option<&str>| key.map(|key| Kept { json: "1".into(), key: key.into(), may_have_begun: false });
        window.sent(1, 7, sent(1), kept(keys[0]));
        window.known(2, &mut Vec::new(), |out| out.push(b'x'));
        window.sent(3, 7, sent(2), kept(keys[1]));
        window.known(4, &mut Vec::new(), |out| out.push(b'y'));
        window.sent(5, 7, sent(3), kept(keys[2]));
        window
    }

    fn window() -> Window {
        window_of([None; 3])
    }

    /// Sends all that is to be sent again, and returns the numbers of these lines.
    fn send_again(window: &mut Window) -> Vec<u64> {
        let mut lines = Vec::new();
        while let Some((line, _)) = window.next_to_send() {
            lines.push(line);
            window.sent_again(sent(lines.len() as u64));
        }
        lines
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
        let megabyte = 1024 * 1024;
        let mut window = Window::new(1024);
        let mut id = 0;
        let mut fill = |window: &mut Window, output_bytes| {
            while window.has_room(output_bytes) {
                id += 1;
                window.sent(id, 10, sent(id), None);
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
        // Once answers are short, as many lines are in flight as were requested.
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
        window.sent(1, SENT_BYTES_MAX, sent(1), None);
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
        let write = |_, may_have_begun, out: &mut Vec<u8>| out.push(if may_have_begun { b'?' } else { b'-' });
        let lines = window.abandon(Taken::Bytes(29), &mut out, write);
        assert_eq!((String::from_utf8(out).unwrap(), lines), ("?x3y-".to_owned(), Some((1, 5))));
    }

    #[test]
    fn what_has_a_key_or_was_not_taken_is_sent_again_and_the_rest_is_unknown() {
        for (keys, taken, again, expected) in [
            ([Some("a"), Some("b"), Some("c")], Taken::Bytes(30), vec![1, 3, 5], "1x3y5"),
            ([Some(""), Some(""), Some("")], Taken::Bytes(29), vec![5], "?x?y5"),
            ([Some(""), Some(""), Some("")], Taken::Nothing, vec![1, 3, 5], "1x3y5"),
            ([Some(""), Some("b"), Some("")], Taken::Bytes(30), vec![3], "?x3y?"),
            ([None, None, None], Taken::Bytes(0), vec![], "?x?y?"),
        ] {
            let mut window = window_of(keys);
            let mut out = Vec::new();
            let lost = window.lose(taken, &mut out, |_, out| out.push(b'?'));
            assert_eq!((lost.again, lost.unknown), (again.len() as u64, 3 - again.len() as u64), "{keys:?}");
            assert_eq!(window.oldest(), None, "nothing waits for an answer");
            assert_eq!(send_again(&mut window), again, "{keys:?}");
            assert!(window.next_to_send().is_none());
            for id in (1..=again.len() as u64).rev() {
                window.answer(id, &mut out, line);
            }
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{keys:?}");
            assert_eq!((window.len(), window.held_bytes, window.waiting, window.sent_bytes), (0, 0, 0, 0));
        }
    }

    #[test]
    fn what_is_lost_twice_is_sent_three_times_and_keeps_its_place() {
        let mut window = window_of([Some("a"), Some("b"), Some("c")]);
        let mut out = Vec::new();
        window.answer(2, &mut out, line);
        let lost = |again| Lost { again, unknown: 0 };
        assert_eq!(window.lose(Taken::Bytes(30), &mut out, |_, _| panic!("all have keys")), lost(2));
        assert_eq!(window.next_to_send().map(|(line, _)| line), Some(1));
        window.sent_again(sent(1));
        assert_eq!(window.lose(Taken::Bytes(0), &mut out, |_, _| panic!("all have keys")), lost(2));
        assert_eq!(send_again(&mut window), [1, 5]);
        window.answer(2, &mut out, line);
        window.sent(6, 7, sent(3), None);
        window.answer(3, &mut out, line);
        window.answer(1, &mut out, line);
        assert_eq!(String::from_utf8(out).unwrap(), "1x3y56");
    }

    #[test]
    fn what_can_not_be_sent_again_has_its_answer_in_its_place() {
        let mut window = window_of([Some("a"), Some("b"), Some("c")]);
        let mut out = Vec::new();
        window.lose(Taken::Bytes(0), &mut out, |_, _| panic!("all have keys"));
        assert_eq!(window.next_to_send().map(|(line, _)| line), Some(1));
        window.sent_again(sent(1));
        assert_eq!(window.next_to_send().map(|(line, _)| line), Some(3));
        window.not_sent(&mut out, |out| out.push(b'!'));
        assert_eq!(out, b"", "the line before it has no answer");
        assert_eq!(window.next_to_send().map(|(line, _)| line), Some(5));
        window.sent_again(sent(2));
        window.answer(2, &mut out, line);
        window.answer(1, &mut out, line);
        assert_eq!(String::from_utf8(out).unwrap(), "1x!y5");
        assert_eq!((window.len(), window.held_bytes, window.waiting, window.sent_bytes), (0, 0, 0, 0));
    }

    #[test]
    fn what_is_given_back_is_sent_again_once_the_connection_has_ended() {
        let mut window = window_of([Some(""), Some("b"), Some("")]);
        assert!(!window.give_back(1, true), "without a key it may have been done");
        assert!(window.give_back(1, false) && window.give_back(2, true));
        assert!(!window.give_back(2, true), "once is enough");
        assert!(!window.is_given_back());
        let mut out = Vec::new();
        window.answer(3, &mut out, line);
        assert!(window.is_given_back());
        window.lose(Taken::Bytes(30), &mut out, |_, _| panic!("nothing waits"));
        assert_eq!(send_again(&mut window), [1, 3]);
        window.lose(Taken::Bytes(0), &mut out, |_, _| panic!("nothing was taken"));
        let write = |_, may_have_begun, out: &mut Vec<u8>| out.push(if may_have_begun { b'?' } else { b'-' });
        window.abandon(Taken::Bytes(0), &mut out, write);
        assert_eq!(String::from_utf8(out).unwrap(), "-x?y5", "what may have been begun once is not forgotten");
    }
}
