//! Cuts what one stream of a process prints into lines, and bounds their rate.
//!
//! A line feed ends a line, and so does a carriage return: with one, programs overwrite what they have
//! printed, as progress bars do. Those lines have a small rate of their own, so that a bar neither fills a log
//! nor leaves no room for what follows it. Of what is beyond either rate the last lines are held: for a line
//! that is overwritten, its last state; when the process ends, its last lines.

use super::{Line, Stream, cutting::Partial};
use bulkhead_core::Time;
use std::collections::VecDeque;

/// Bounds of what a process may print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) line_bytes_max: usize,
    pub(crate) lines_per_second: u32,
    pub(crate) burst: u32,
}

/// Lines that end in a carriage return, each second and at once.
const OVERWRITTEN_PER_SECOND: u32 = 1;
const OVERWRITTEN_BURST: u32 = 8;

/// Lines beyond the rate that are held, as the last ones of all.
const HELD_MAX: usize = 16;

/// One stream of one process.
#[derive(Debug)]
pub(crate) struct Splitter {
    stream: Stream,
    bounds: Bounds,
    partial: Partial,
    /// A carriage return has come, which ends the line unless a line feed follows.
    after_return: bool,
    lines: Rate,
    overwritten: Rate,
    held: Held,
}

impl Splitter {
    pub(crate) fn new(stream: Stream, bounds: Bounds) -> Splitter {
        Splitter {
            stream,
            bounds,
            partial: Partial::default(),
            after_return: false,
            lines: Rate::new(bounds.lines_per_second, bounds.burst),
            overwritten: Rate::new(OVERWRITTEN_PER_SECOND, OVERWRITTEN_BURST),
            held: Held::default(),
        }
    }

    /// Takes what was read and passes every whole line to `each`.
    pub(crate) fn feed(&mut self, now: Time, mut bytes: &[u8], each: &mut impl FnMut(Line)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let text = &bytes[..end.unwrap_or(bytes.len())];
            if !text.is_empty() {
                self.end_overwritten(now, each);
                self.partial.extend(text, self.bounds.line_bytes_max);
            }
            let Some(end) = end else { return };
            match bytes[end] {
                b'\r' => self.after_return = true,
                _ => self.end_line(now, each),
            }
            bytes = &bytes[end + 1..];
        }
    }

    /// The stream or its process has ended: an unfinished line counts as one, and what was held back is passed on.
    pub(crate) fn finish(&mut self, now: Time, each: &mut impl FnMut(Line)) {
        self.after_return = false;
        if self.partial.is_empty() {
            return self.pass_on(HELD_MAX, HELD_MAX, each);
        }
        let text = self.partial.take();
        if !self.lines.may_pass(now) {
            self.hold(Rank::Dropped, text);
            return self.pass_on(HELD_MAX, HELD_MAX, each);
        }
        self.pass_on(HELD_MAX, HELD_MAX, each);
        each(Line::new(self.stream, text));
    }

    /// A line feed has come. The line that it ends is empty where only carriage returns came before it.
    fn end_line(&mut self, now: Time, each: &mut impl FnMut(Line)) {
        self.after_return = false;
        let text = self.partial.take();
        if self.lines.may_pass(now) {
            // The overwritten lines that are shown count for the same rate.
            let room = (0..self.held.count(Rank::Overwritten)).take_while(|_| self.lines.may_pass(now)).count();
            self.pass_on(room, 0, each);
            each(Line::new(self.stream, text));
        } else {
            self.hold(Rank::Dropped, text);
        }
    }

    /// Something follows a carriage return: if there is anything before that, it is a line.
    fn end_overwritten(&mut self, now: Time, each: &mut impl FnMut(Line)) {
        if !std::mem::take(&mut self.after_return) || self.partial.is_empty() {
            return;
        }
        let text = self.partial.take();
        if self.held.dropped == 0 && self.overwritten.may_pass(now) {
            // Those before it are no longer the last ones, and only counted.
            self.held.lines.clear();
            self.held.bytes = 0;
            each(Line::new(self.stream, text));
        } else {
            self.hold(Rank::Overwritten, text);
        }
    }

    fn hold(&mut self, rank: Rank, text: String) {
        match rank {
            Rank::Overwritten => self.held.overwritten += 1,
            Rank::Dropped => self.held.dropped += 1,
        }
        self.held.push(rank, text, self.bounds.line_bytes_max);
    }

    /// Passes on how much was held back, and the last of it: at most so many lines of each kind.
    fn pass_on(&mut self, overwritten_max: usize, dropped_max: usize, each: &mut impl FnMut(Line)) {
        if self.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        let mut too_many = held.count(Rank::Overwritten).saturating_sub(overwritten_max);
        let mut too_many_dropped = held.count(Rank::Dropped).saturating_sub(dropped_max);
        let shown: Vec<(Rank, String)> = held
            .lines
            .into_iter()
            .filter(|(rank, _)| {
                let too_many = match rank {
                    Rank::Overwritten => &mut too_many,
                    Rank::Dropped => &mut too_many_dropped,
                };
                let is_shown = *too_many == 0;
                *too_many = too_many.saturating_sub(1);
                is_shown
            })
            .collect();
        let count = |rank: Rank| shown.iter().filter(|(other, _)| *other == rank).count() as u64;
        let (overwritten, dropped) = (held.overwritten - count(Rank::Overwritten), held.dropped - count(Rank::Dropped));
        let stream = self.stream.name();
        if overwritten > 0 {
            let text = format!("[{overwritten} lines of {stream} that others were written over are left out]");
            each(Line::new(Stream::Host, text));
        }
        if dropped > 0 {
            let most = self.bounds.lines_per_second;
            let text = format!("[{dropped} lines of {stream} were dropped: more than {most} a second]");
            each(Line::new(Stream::Host, text));
        }
        for (_, text) in shown {
            each(Line::new(self.stream, text));
        }
    }
}

/// Why a line is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// It ended in a carriage return.
    Overwritten,
    /// It came beyond the rate.
    Dropped,
}

/// What is held back.
#[derive(Debug, Default)]
struct Held {
    /// The last of it.
    lines: VecDeque<(Rank, String)>,
    bytes: usize,
    /// How many there were of each kind.
    overwritten: u64,
    dropped: u64,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.overwritten == 0 && self.dropped == 0
    }

    /// How many lines of a kind are here.
    fn count(&self, rank: Rank) -> usize {
        self.lines.iter().filter(|(other, _)| *other == rank).count()
    }

    fn push(&mut self, rank: Rank, text: String, bytes_max: usize) {
        self.bytes += text.len();
        self.lines.push_back((rank, text));
        while self.lines.len() > HELD_MAX || (self.bytes > bytes_max && self.lines.len() > 1) {
            if let Some((_, text)) = self.lines.pop_front() {
                self.bytes -= text.len();
            }
        }
    }
}

/// So many a second, and some at once.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled_at: Option<Time>,
}

impl Rate {
    fn new(per_second: u32, burst: u32) -> Rate {
        let burst = f64::from(burst);
        Rate { per_second: f64::from(per_second), burst, tokens: burst, filled_at: None }
    }

    fn may_pass(&mut self, now: Time) -> bool {
        let elapsed = now.since(self.filled_at.replace(now).unwrap_or(now)).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { line_bytes_max: 256, lines_per_second: 10, burst: 3 };

    fn splitter() -> Splitter {
        Splitter::new(Stream::Stderr, BOUNDS)
    }

    fn lines(splitter: &mut Splitter, now: u64, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        splitter.feed(Time::from_millis(now), bytes, &mut |line| found.push(line.text.to_string()));
        found
    }

    fn finish(splitter: &mut Splitter) -> Vec<String> {
        let mut found = Vec::new();
        splitter.finish(Time::ZERO, &mut |line| found.push(line.text.to_string()));
        found
    }

    #[test]
    fn a_line_may_come_in_pieces_and_a_long_one_is_cut_in_its_middle() {
        let mut splitter = splitter();
        let long = format!("{}\r\npart", "x".repeat(300));
        let cut = format!("{0} […44 bytes cut…] {0}", "x".repeat(128));
        assert_eq!(lines(&mut splitter, 0, b"short\r"), Vec::<String>::new());
        assert_eq!(lines(&mut splitter, 0, b"\n"), ["short"]);
        assert_eq!(lines(&mut splitter, 0, long.as_bytes()), [cut]);
        assert_eq!(lines(&mut splitter, 0, b"ial\n"), ["partial"]);
    }

    #[test]
    fn line_ends_of_all_kinds_end_one_line_each() {
        for (bytes, expected) in [
            (&b"a\r\nb\r\n"[..], &["a", "b"][..]),
            (b"a\r\r\nb\n", &["a", "b"]),
            (b"a\n\rb\n", &["a", "b"]),
            (b"a\rb\rc\n", &["a", "b", "c"]),
            (b"\ra\r\rb\n", &["a", "b"]),
            (b"a\n\nb\n", &["a", "", "b"]),
            (b"\r\n", &[""]),
        ] {
            assert_eq!(lines(&mut splitter(), 0, bytes), expected, "{bytes:?}");
            let mut in_pieces = splitter();
            let found: Vec<String> = bytes.chunks(1).flat_map(|byte| lines(&mut in_pieces, 0, byte)).collect();
            assert_eq!(found, expected, "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn what_is_beyond_the_rate_is_counted() {
        let mut splitter = splitter();
        assert_eq!(lines(&mut splitter, 0, b"1\n2\n3\n4\n5\n"), ["1", "2", "3"]);
        let later = lines(&mut splitter, 100, b"6\n");
        assert_eq!(later, ["[2 lines of stderr were dropped: more than 10 a second]", "6"]);
        assert!(finish(&mut splitter).is_empty());
    }

    #[test]
    fn a_progress_bar_leaves_room_for_the_last_lines() {
        let mut splitter = splitter();
        let bar: String = (1..=3000).map(|n| format!("\rworking {n}")).collect();
        let first = lines(&mut splitter, 0, bar.as_bytes());
        assert_eq!(first, (1..=8).map(|n| format!("working {n}")).collect::<Vec<_>>());
        // Two of the overwritten lines are shown, since the rate allows so many more.
        let last = lines(&mut splitter, 0, b" FATAL: no such table\n");
        let expected = ["[2989 lines of stderr that others were written over are left out]", "working 2998"];
        assert_eq!(last[..2], expected);
        assert_eq!(last[2..], ["working 2999", "working 3000 FATAL: no such table"]);
    }

    #[test]
    fn a_slow_bar_is_shown_as_it_moves() {
        let mut splitter = splitter();
        lines(&mut splitter, 0, "x\r".repeat(9).as_bytes());
        for second in 1..5 {
            assert_eq!(lines(&mut splitter, second * 1000, format!("{second}\r").as_bytes()).len(), 1, "{second}");
        }
    }

    #[test]
    fn an_error_that_a_bar_writes_over_is_seen_wherever_it_stands() {
        for (before, after) in [(0, 1000), (1000, 0), (1000, 10)] {
            let mut splitter = splitter();
            let text = format!("{}FATAL: it\r{}", "bar\r".repeat(before), "tidying up\r".repeat(after));
            let mut all = lines(&mut splitter, 0, text.as_bytes());
            all.extend(finish(&mut splitter));
            assert!(all.iter().any(|line| line == "FATAL: it"), "{before} before, {after} after: {all:?}");
            assert!(all.len() < 40, "{all:?}");
        }
    }

    #[test]
    fn the_last_lines_before_an_end_are_kept_whatever_the_rate() {
        let mut splitter = splitter();
        let flood: String = (0..1000).map(|n| format!("{n}\n")).collect();
        lines(&mut splitter, 0, flood.as_bytes());
        lines(&mut splitter, 0, b"FATAL: no such table");
        let last = finish(&mut splitter);
        assert_eq!(last[0], "[982 lines of stderr were dropped: more than 10 a second]");
        assert_eq!((last.len(), last[15].as_str(), last[16].as_str()), (17, "999", "FATAL: no such table"));
        assert!(finish(&mut splitter).is_empty(), "they are reported once");
    }

    #[test]
    fn what_is_held_back_is_bounded_in_bytes() {
        let mut splitter = splitter();
        let flood = format!("{}\n", "x".repeat(100)).repeat(1000);
        lines(&mut splitter, 0, flood.as_bytes());
        assert!(splitter.held.bytes <= BOUNDS.line_bytes_max && splitter.held.lines.len() == 2);
        let held: usize = splitter.held.lines.iter().map(|(_, text)| text.len()).sum();
        assert_eq!(held, splitter.held.bytes);
    }
}
