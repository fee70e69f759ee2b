//! When the files of the configuration are read again, for which requests, and when a reading is given up: a
//! rule without clock, file and thread. What is done with what was read is decided by the host.
//!
//! What a reading finds may be older than a request that came after its begin. So such a request waits for
//! the next one, which serves all that have come by then.

use bulkhead_core::{Caller, Recipient, Time};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, ModuleName};
use std::{collections::HashSet, time::Duration};

/// How long the look at one file may take. All files together have no limit: they keep only other readings
/// waiting.
pub(crate) const FILE_TIME_MAX: Duration = Duration::from_secs(10);

/// Requests that may wait for the next reading.
const WAITING_MAX: usize = 256;

/// One module that is to be what its files say now.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The recipient; none if it is gone, or was answered that this takes too long.
    pub(crate) who: Option<Recipient>,
    /// Which one; none where the request is about several, and the host knows which.
    pub(crate) name: Option<ModuleName>,
    /// When it is answered that this takes too long.
    pub(crate) until: Time,
}

/// What a reading is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// Everything is to be as the files say.
    All,
    Modules(Vec<Wanted>),
}

impl Purpose {
    fn without_doubles(mut self) -> Purpose {
        if let Purpose::Modules(list) = &mut self {
            drop_doubles(list);
        }
        self
    }
}

/// What is asked for without being waited for is done once, and with what is waited for, if there is that.
fn drop_doubles(list: &mut Vec<Wanted>) {
    list.sort_by_key(|wanted| wanted.who.is_none());
    let mut names = HashSet::new();
    list.retain(|wanted| names.insert(wanted.name.clone()) || wanted.who.is_some());
}

/// The readings.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    last: u64,
    in_progress: Option<InProgress>,
    all_wanted: bool,
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct InProgress {
    number: u64,
    purpose: Purpose,
    /// When it is checked how long it has been at its file.
    until: Time,
}

impl Readings {
    /// Everything is to be as the files say from now on.
    pub(crate) fn want_all(&mut self) {
        self.all_wanted = true;
    }

    /// One module is.
    ///
    /// # Errors
    /// When too many wait already.
    pub(crate) fn want(&mut self, wanted: Wanted) -> Result<(), Failure> {
        if self.wanted.len() >= WAITING_MAX {
            drop_doubles(&mut self.wanted);
        }
        if self.wanted.len() >= WAITING_MAX {
            let reason = format!("{WAITING_MAX} reloads wait for the files to be read already; try again in a moment");
            return Err(Failure::new(ErrorCode::Overloaded, reason).delivery(Delivery::NotStarted));
        }
        self.wanted.push(wanted);
        Ok(())
    }

    /// Begins the next reading, if one is wanted and none is in progress: its number, and what it is for.
    pub(crate) fn begin(&mut self, now: Time) -> Option<(u64, &Purpose)> {
        if self.in_progress.is_some() {
            return None;
        }
        let purpose = if std::mem::take(&mut self.all_wanted) {
            Purpose::All
        } else if self.wanted.is_empty() {
            return None;
        } else {
            Purpose::Modules(std::mem::take(&mut self.wanted))
        };
        self.last += 1;
        let in_progress = InProgress { number: self.last, purpose, until: now + FILE_TIME_MAX };
        let in_progress = self.in_progress.insert(in_progress);
        Some((in_progress.number, &in_progress.purpose))
    }

    /// A reading has ended: what it was for. Nothing if it was given up before.
    pub(crate) fn end(&mut self, number: u64) -> Option<Purpose> {
        self.in_progress.take_if(|reading| reading.number == number).map(|reading| reading.purpose.without_doubles())
    }

    /// Gives up on the reading in progress if it has been at the same file for too long, which it has for `at_file`.
    pub(crate) fn give_up(&mut self, now: Time, at_file: Duration) -> Option<Purpose> {
        let reading = self.in_progress.as_mut().filter(|reading| reading.until <= now)?;
        if at_file < FILE_TIME_MAX {
            reading.until = now + (FILE_TIME_MAX - at_file);
            return None;
        }
        self.in_progress.take().map(|reading| reading.purpose.without_doubles())
    }

    /// When [`Readings::give_up`] or [`Readings::expire`] has something to do.
    pub(crate) fn due(&self) -> Option<Time> {
        // Requests wait only while a reading is in progress.
        let reading = self.in_progress.as_ref()?;
        let asked = self.asked().filter(|wanted| wanted.who.is_some()).map(|wanted| wanted.until);
        asked.chain([reading.until]).min()
    }

    /// Those whose timeout has passed. Their modules are brought in line all the same.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Recipient> {
        let late = self.asked_mut().filter(|wanted| wanted.until <= now);
        late.filter_map(|wanted| wanted.who.take()).collect()
    }

    /// A caller is gone, and its requests with it, but not what they ask for.
    pub(crate) fn forget(&mut self, caller: Caller) {
        for wanted in self.asked_mut().filter(|wanted| wanted.who.is_some_and(|who| who.caller == caller)) {
            wanted.who = None;
        }
    }

    /// Takes a request back; `false` if there is none of that number.
    pub(crate) fn cancel(&mut self, who: Recipient) -> bool {
        let before = self.asked().count();
        let others = |wanted: &Wanted| wanted.who != Some(who);
        self.wanted.retain(others);
        if let Some(InProgress { purpose: Purpose::Modules(list), .. }) = &mut self.in_progress {
            list.retain(others);
        }
        self.asked().count() < before
    }

    /// The host ends: nothing more is read. Returns the recipients that waited for it.
    pub(crate) fn stop(&mut self) -> Vec<Recipient> {
        let waited = self.asked().filter_map(|wanted| wanted.who).collect();
        *self = Readings { last: self.last, ..Readings::default() };
        waited
    }

    /// Whether a caller's number is that of a request that waits.
    pub(crate) fn has(&self, who: Recipient) -> bool {
        self.asked().any(|wanted| wanted.who == Some(who))
    }

    pub(crate) fn has_of(&self, caller: Caller) -> bool {
        self.asked().any(|wanted| wanted.who.is_some_and(|who| who.caller == caller))
    }

    fn asked(&self) -> impl Iterator<Item = &Wanted> {
        let in_progress = match &self.in_progress {
            Some(InProgress { purpose: Purpose::Modules(list), .. }) => list.as_slice(),
            Some(InProgress { purpose: Purpose::All, .. }) | None => &[],
        };
        in_progress.iter().chain(&self.wanted)
    }

    fn asked_mut(&mut self) -> impl Iterator<Item = &mut Wanted> {
        let in_progress = match &mut self.in_progress {
            Some(InProgress { purpose: Purpose::Modules(list), .. }) => list.as_mut_slice(),
            Some(InProgress { purpose: Purpose::All, .. }) | None => &mut [],
        };
        in_progress.iter_mut().chain(&mut self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::ClientId;

    fn who(id: u64) -> Recipient {
        Recipient { caller: Caller::Client(ClientId(id)), id }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn want(readings: &mut Readings, id: u64, until: u64) {
        let name = ModuleName::new("a").unwrap();
        readings.want(Wanted { who: Some(who(id)), name: Some(name), until: at(until) }).unwrap();
    }

    fn ids(purpose: &Purpose) -> Option<Vec<u64>> {
        match purpose {
            Purpose::All => None,
            Purpose::Modules(list) => Some(list.iter().filter_map(|wanted| Some(wanted.who?.id)).collect()),
        }
    }

    #[test]
    fn what_is_wanted_during_a_reading_is_served_by_another_one_after_it_and_only_one() {
        let mut readings = Readings::default();
        assert!(readings.begin(at(0)).is_none());
        want(&mut readings, 1, 60);
        let (first, purpose) = readings.begin(at(0)).unwrap();
        assert_eq!(ids(purpose), Some(vec![1]));
        want(&mut readings, 2, 60);
        readings.want_all();
        readings.want_all();
        want(&mut readings, 3, 60);
        assert!(readings.begin(at(1)).is_none());
        assert_eq!(ids(&readings.end(first).unwrap()), Some(vec![1]));
        let (second, purpose) = readings.begin(at(1)).unwrap();
        assert_eq!(ids(purpose), None, "SIGHUP goes first");
        assert!(matches!(readings.end(second), Some(Purpose::All)));
        let (third, purpose) = readings.begin(at(1)).unwrap();
        assert_eq!(ids(purpose), Some(vec![2, 3]));
        readings.end(third).unwrap();
        assert!(readings.begin(at(1)).is_none() && readings.due().is_none());
    }

    #[test]
    fn a_reading_may_take_long_but_not_at_one_file() {
        let mut readings = Readings::default();
        readings.want_all();
        let number = readings.begin(at(0)).unwrap().0;
        assert_eq!(readings.due(), Some(at(10)));
        let seconds = Duration::from_secs;
        assert!(readings.give_up(at(9), seconds(99)).is_none(), "it is not asked yet");
        assert!(readings.give_up(at(10), seconds(2)).is_none());
        assert_eq!(readings.due(), Some(at(18)));
        assert!(readings.give_up(at(18), seconds(1)).is_none());
        assert!(matches!(readings.give_up(at(27), seconds(10)), Some(Purpose::All)));
        assert!(readings.end(number).is_none(), "what it finds in the end changes nothing");
    }

    #[test]
    fn a_caller_that_waits_too_long_is_answered_and_the_reading_goes_on() {
        let mut readings = Readings::default();
        want(&mut readings, 1, 3);
        let number = readings.begin(at(0)).unwrap().0;
        want(&mut readings, 2, 2);
        assert_eq!(readings.due(), Some(at(2)));
        assert_eq!(readings.expire(at(2)), [who(2)]);
        assert_eq!(readings.expire(at(3)), [who(1)]);
        assert!(readings.expire(at(60)).is_empty());
        let Some(Purpose::Modules(list)) = readings.end(number) else { panic!("it is for one module") };
        assert_eq!((list.len(), list[0].who), (1, None));
    }

    #[test]
    fn a_caller_that_is_gone_gets_nothing_and_what_is_cancelled_is_not_done() {
        let mut readings = Readings::default();
        want(&mut readings, 1, 60);
        want(&mut readings, 2, 60);
        let number = readings.begin(at(0)).unwrap().0;
        want(&mut readings, 3, 60);
        assert!(readings.has(who(2)) && readings.has_of(who(3).caller));
        readings.forget(who(1).caller);
        readings.wanted.push(Wanted { who: None, name: ModuleName::new("a").ok(), until: at(60) });
        assert!(readings.cancel(who(2)) && readings.cancel(who(3)) && !readings.cancel(who(4)));
        let Some(Purpose::Modules(list)) = readings.end(number) else { panic!("it is for one module") };
        assert_eq!((list.len(), list[0].who), (1, None));
        assert!(readings.begin(at(1)).is_some(), "what has gone is still wanted");
    }

    #[test]
    fn a_reload_without_an_asker_is_done_with_one_that_has_one() {
        let mut readings = Readings::default();
        for id in [1, 2, 3, 4] {
            want(&mut readings, id, 60);
        }
        for id in [1, 3] {
            readings.forget(who(id).caller);
        }
        let number = readings.begin(at(0)).unwrap().0;
        let Some(purpose) = readings.end(number) else { panic!("it was in progress") };
        assert_eq!(ids(&purpose), Some(vec![2, 4]));
        for id in [1, 2] {
            want(&mut readings, id, 60);
            readings.forget(who(id).caller);
        }
        let number = readings.begin(at(0)).unwrap().0;
        let Some(Purpose::Modules(list)) = readings.end(number) else { panic!("it is for one module") };
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn only_so_many_wait_and_the_end_of_the_host_lets_all_go() {
        let mut readings = Readings::default();
        want(&mut readings, 0, 60);
        let number = readings.begin(at(0)).unwrap().0;
        for id in 1..=WAITING_MAX as u64 {
            want(&mut readings, id, 60);
        }
        let name = ModuleName::new("a").unwrap();
        let refused = readings.want(Wanted { who: Some(who(999)), name: Some(name), until: at(60) }).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded);
        readings.forget(who(1).caller);
        readings.forget(who(2).caller);
        want(&mut readings, 999, 60);
        assert_eq!(readings.stop().len(), WAITING_MAX);
        assert!(readings.end(number).is_none() && readings.begin(at(0)).is_none() && readings.due().is_none());
    }
}
