//! The events of this host: the last ones are kept, each with a cursor, for those who follow.

use crate::clock::wall_clock;
use bulkhead_protocol::Json;
use std::collections::VecDeque;

/// Events that are kept.
const KEPT_MAX: usize = 10_000;

/// Bytes of events that are kept.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One event that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) cursor: u64,
    pub(crate) name: String,
    /// What a follower is told: cursor, time, event and data.
    pub(crate) json: Json,
}

/// The last events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: VecDeque<Event>,
    bytes: usize,
    last: u64,
}

impl Events {
    /// Keeps an event. `data` is the text of one JSON value.
    pub(crate) fn push(&mut self, name: &str, data: &str) -> Event {
        self.last += 1;
        let json = format!(
            r#"{{"cursor":{},"time":"{}","event":{},"data":{data}}}"#,
            self.last,
            wall_clock(),
            Json::of(name).as_str()
        );
        let json = Json::parse(&json).expect("it is made of JSON");
        let event = Event { cursor: self.last, name: name.to_owned(), json };
        self.bytes += event.json.as_str().len();
        self.kept.push_back(event.clone());
        while self.kept.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.json.as_str().len();
        }
        event
    }

    /// The cursor of the newest event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The kept events behind `cursor`, oldest first, and how many behind it are not kept any more.
    pub(crate) fn after(&self, cursor: u64) -> (u64, impl Iterator<Item = &Event>) {
        let oldest = self.kept.front().map_or(self.last + 1, |event| event.cursor);
        let lost = oldest.saturating_sub(cursor.saturating_add(1)).min(self.last);
        (lost, self.kept.iter().filter(move |event| event.cursor > cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_continues_behind_its_cursor_and_is_told_what_is_lost() {
        let mut events = Events::default();
        for n in 0..KEPT_MAX + 5 {
            events.push("a.b", &n.to_string());
        }
        let (lost, rest) = events.after(0);
        assert_eq!((lost, rest.count()), (5, KEPT_MAX));
        let (lost, mut rest) = events.after(events.last() - 1);
        assert_eq!((lost, rest.next().unwrap().cursor), (0, events.last()));
        assert!(rest.next().is_none());
    }

    #[test]
    fn a_cursor_that_no_event_has_had_yet_finds_nothing_and_harms_nobody() {
        let mut events = Events::default();
        events.push("a.b", "1");
        for cursor in [2, u64::MAX] {
            let (lost, mut rest) = events.after(cursor);
            assert!(lost == 0 && rest.next().is_none());
        }
    }
}
