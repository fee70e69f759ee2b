//! Which history of the stream a cursor belongs to, and what follows for a reader that goes on after it. A store
//! that was restored from a backup gives the same cursors again: without their epoch, no reader could distinguish an
//! event that it got from another one with the same cursor.

use super::Cursor;
use crate::core::Core;
use std::sync::Arc;

/// One history of the stream. It continues where the one before it has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Its name, a short text.
    pub name: Arc<str>,
    /// The newest event when it began.
    pub since: Cursor,
}

/// The histories that are known, oldest first; the last one is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs(Vec<Epoch>);

/// Where a follower begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// After this event.
    pub position: Cursor,
    /// How many events, up to the cursor that was named, are not in the history that is in force, or cannot be
    /// known to be: at least one where the cursor is of another past.
    pub lost: u64,
}

impl Epochs {
    /// These, oldest first.
    ///
    /// # Panics
    /// Where there is none: a store always has one.
    pub fn new(known: Vec<Epoch>) -> Epochs {
        assert!(!known.is_empty(), "a store has an epoch");
        Epochs(known)
    }

    /// The one in force.
    pub fn current(&self) -> &Arc<str> {
        &self.last().name
    }

    fn last(&self) -> &Epoch {
        self.0.last().expect("there is one from the beginning")
    }

    /// Where a follower begins that has seen everything up to a cursor of this epoch, if the epoch is known.
    ///
    /// A cursor of a known epoch holds up to where the next one began. What is beyond is of a past that the store
    /// has lost; everything that replaced it is sent. Of an unknown epoch, and where a cursor without one has
    /// had no event yet, it is only known that the history in force was another one before its beginning:
    /// everything since is sent.
    pub fn begin(&self, after: Cursor, epoch: Option<&str>, newest: Cursor) -> Begin {
        let position = epoch.map(|name| self.0.iter().position(|epoch| *epoch.name == *name));
        let end = match position {
            Some(Some(position)) => self.0.get(position + 1).map_or(newest, |next| next.since),
            None if after <= newest => newest,
            Some(None) | None => {
                let position = after.min(self.last().since);
                return Begin { position, lost: (after.0 - position.0).max(1) };
            }
        };
        let position = after.min(end);
        Begin { position, lost: after.0 - position.0 }
    }
}

impl Core {
    /// Sets the history that the cursors sent from now on belong to: a name of letters and digits.
    pub fn set_epoch(&mut self, epoch: &str) {
        debug_assert!(epoch.bytes().all(|byte| byte.is_ascii_alphanumeric()), "it is text that needs no escape");
        self.layer1.epoch_beside = format!(r#","epoch":"{epoch}""#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first epoch had 10 events when a backup was restored, the second 4 more.
    fn epochs() -> Epochs {
        let epoch = |(name, since): (&str, u64)| Epoch { name: name.into(), since: Cursor(since) };
        Epochs::new([("first", 0), ("second", 10), ("third", 14)].map(epoch).into())
    }

    #[track_caller]
    fn check(after: u64, epoch: Option<&str>, position: u64, lost: u64) {
        let newest = Cursor(20);
        assert_eq!(epochs().begin(Cursor(after), epoch, newest), Begin { position: Cursor(position), lost });
    }

    #[test]
    fn a_cursor_within_its_epoch_goes_on_exactly() {
        for after in [0, 3, 10] {
            check(after, Some("first"), after, 0);
        }
        // A cursor from before an epoch's beginning belongs to the past that the epoch has, too.
        for after in [0, 3, 10, 11, 14] {
            check(after, Some("second"), after, 0);
        }
        for after in [0, 14, 15, 20] {
            check(after, Some("third"), after, 0);
        }
    }

    #[test]
    fn a_cursor_beyond_the_end_of_its_epoch_goes_on_after_that_and_is_reported_as_lost() {
        check(11, Some("first"), 10, 1);
        // Also where the history in force has gone beyond it.
        check(16, Some("first"), 10, 6);
        check(100, Some("second"), 14, 86);
        check(21, Some("third"), 20, 1);
        check(u64::MAX, Some("first"), 10, u64::MAX - 10);
    }

    #[test]
    fn a_cursor_of_an_unknown_epoch_is_reported_as_lost_and_is_given_everything_since_the_last_one_began() {
        check(16, Some("other"), 14, 2);
        check(100, Some("other"), 14, 86);
        check(14, Some("other"), 14, 1);
        check(3, Some("other"), 3, 1);
        check(0, Some("other"), 0, 1);
        check(5, Some(""), 5, 1);
    }

    #[test]
    fn a_cursor_without_an_epoch_is_taken_for_one_of_the_history_in_force_if_that_has_come_so_far() {
        for after in [0, 3, 14, 20] {
            check(after, None, after, 0);
        }
        check(21, None, 14, 7);
        check(u64::MAX, None, 14, u64::MAX - 14);
    }

    #[test]
    fn the_epoch_follows_the_cursor_in_what_modules_and_callers_get() {
        let mut core = Core::new(crate::HostSettings::default(), 1);
        let given = |core: &Core| {
            let data = bulkhead_protocol::Json::parse("1").unwrap();
            let (event, source) = ("a.b".to_owned(), String::new());
            let event = crate::StoredEvent { cursor: Cursor(7), time: 0, event, source, data };
            let epoch = &core.layer1.epoch_beside;
            let published = |cursor| super::super::publish::published(2, cursor, epoch).as_str().to_owned();
            let payload = super::super::streams::payload(&event, epoch);
            [payload.as_str().to_owned(), published(Some(Cursor(7))), published(None)]
        };
        let [payload, published, in_a_unit] = given(&core);
        assert_eq!(payload, r#"{"event":"a.b","data":1,"cursor":7}"#);
        assert_eq!(published, r#"{"subscribers":2,"cursor":7}"#);
        core.set_epoch("5f0c9a1e");
        assert_eq!(given(&core)[0], r#"{"event":"a.b","data":1,"cursor":7,"epoch":"5f0c9a1e"}"#);
        assert_eq!(given(&core)[1], r#"{"subscribers":2,"cursor":7,"epoch":"5f0c9a1e"}"#);
        assert_eq!((&*given(&core)[2], &*in_a_unit), (r#"{"subscribers":2}"#, r#"{"subscribers":2}"#));
    }

    #[test]
    fn an_empty_store_reports_every_cursor_but_the_first_as_lost() {
        let epochs = Epochs::new(vec![Epoch { name: "only".into(), since: Cursor(0) }]);
        let begin = |after, epoch| epochs.begin(Cursor(after), epoch, Cursor(0));
        assert_eq!(begin(0, None), Begin { position: Cursor(0), lost: 0 });
        assert_eq!(begin(6, None), Begin { position: Cursor(0), lost: 6 });
        assert_eq!(begin(6, Some("only")), Begin { position: Cursor(0), lost: 6 });
        assert_eq!((begin(0, Some("only")).lost, begin(0, Some("gone")).lost), (0, 1));
    }
}
