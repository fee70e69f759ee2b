//! Followers of events. Stored events are sent from the store to a follower that lags, piece by piece
//! and only as fast as it reads, and as they happen to one that does not; no follower misses an event or
//! gets one twice. The host's own events about its modules are sent only as they happen.

use super::*;
use crate::{
    clients::{Counted, FOLLOWERS_PART},
    followers::FOLLOWER_BYTES,
};
use bulkhead_core::{Begin, Cursor, StoredEvent};
use bulkhead_layer1::{Job, outcome::EventPage};
use bulkhead_protocol::{HeldBytes, Pattern, time};

/// Events that are read at once for one follower, and their bytes.
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;

/// Events of the host's own that are held for a follower that has not begun.
const EARLY_MAX: usize = 1000;

/// Lines of a log that are held for a follower that has not begun.
const EARLY_LINES_MAX: usize = 10_000;

/// Pages that the store reads at once for all followers together.
const PAGES_AT_ONCE: usize = 4;

/// What it costs the host to send a follower one event.
const SENT_NANOS: u64 = 3000;

/// The follower that has a page read next.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Those that are being read, by the number of their job, each with its follower.
    in_progress: HashMap<u64, FollowerId>,
    /// The follower after which to go on.
    last: FollowerId,
    /// Whether there may be a follower that lags and has room.
    pub(super) may_go_on: bool,
    /// Whether a module has ever followed events, for which it is not noted which ones.
    pub(super) are_for_modules: bool,
}

/// A follower of events.
#[derive(Debug)]
pub(crate) struct Following {
    pattern: Pattern,
    /// Every stored event up to here was sent, or is not wanted.
    position: Cursor,
    state: FollowerState,
    /// The host's own events that came before its first answer; `None` after that.
    early: Option<Vec<Announced>>,
    /// The host's own events that it was not sent, since it did not read.
    unheard: u64,
    /// Events of another past, up to the cursor that it named, whose number it gets when it begins.
    lost: u64,
}

impl Following {
    /// Whether it is to learn that it was not sent some of the host's own events. Until it has begun, that waits.
    fn has_unheard(&self) -> bool {
        self.unheard > 0 && self.early.is_none()
    }
}

/// How a follower gets its next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowerState {
    /// As it is stored.
    Live,
    /// From the store, once there is room for it.
    CatchingUp,
    /// From the store, which is reading it.
    Reading(u64),
}

/// An event of the host's own.
#[derive(Clone, Debug)]
struct Announced {
    name: &'static str,
    time: i64,
    data: Json,
}

impl Announced {
    /// What it takes in a list that has grown by doubling.
    fn bytes(&self) -> usize {
        2 * size_of::<Announced>() + self.data.held_bytes()
    }

    fn json(&self, position: Cursor, epoch: &str) -> Json {
        event_json(position, epoch, self.time, self.name, self.data.as_str(), r#","live":true"#)
    }
}

/// The first answer to a follower: where it begins, and what it misses.
fn begin_json(newest: Cursor, epoch: &str, lost: u64) -> Json {
    Json::of(&serde_json::json!({ "following": true, "cursor": newest.0, "epoch": epoch, "lost": lost }))
}

/// An event as a follower gets it.
fn event_json(cursor: Cursor, epoch: &str, micros: i64, name: &str, data: &str, more: &str) -> Json {
    let (time, name) = (time::format(micros), Json::of(name));
    let text = format!(
        r#"{{"cursor":{cursor},"epoch":"{epoch}","time":"{time}","event":{},"data":{data}{more}}}"#,
        name.as_str()
    );
    Json::parse(&text).expect("it is made of JSON")
}

/// A stored event, without its data where that does not fit into a frame, which may be shorter than it
/// was when the event came.
fn stored_json(event: &StoredEvent, epoch: &str, frame_bytes_max: usize) -> Json {
    // A module's name is text that needs no escape.
    let source = match event.source.as_str() {
        "" => String::new(),
        module => format!(r#","source":"{module}""#),
    };
    let data = event.data.as_str();
    let json = event_json(event.cursor, epoch, event.time, &event.event, data, &source);
    // What a response has around it has room in the bytes by which the host may lengthen a message.
    if json.as_str().len() <= frame_bytes_max {
        return json;
    }
    event_json(event.cursor, epoch, event.time, &event.event, "null", &format!(r#"{source},"omitted":{}"#, data.len()))
}

impl HostState {
    /// Begins to send events to a caller: those after the cursor, of this epoch if it names one, first, then as
    /// they happen.
    pub(crate) fn follow(&mut self, who: Recipient, pattern: Pattern, after: Option<u64>, epoch: Option<&str>) {
        let newest = self.store.newest();
        let Begin { position, lost } = match after {
            Some(after) => self.store.epochs().begin(Cursor(after), epoch, newest),
            None => Begin { position: newest, lost: 0 },
        };
        let (state, early) = match position == newest {
            true => (FollowerState::Live, None),
            false => (FollowerState::CatchingUp, Some(Vec::new())),
        };
        if early.is_none() {
            self.send_begin(who, newest, lost);
        }
        if !self.is_listening(who.caller) {
            return;
        }
        let following = Following { pattern, position, state, early, unheard: 0, lost };
        let held = Counted::new(&self.followers_bytes, FOLLOWER_BYTES);
        let id = self.followers.add(Follower { recipient: who, what: Followed::Events(following), held });
        self.followers.set_waiting(id, state == FollowerState::CatchingUp);
        self.note_follower(who.caller);
        self.pump_followers();
    }

    /// A caller follows something from now on: when it has room again, it may be sent more.
    pub(crate) fn note_follower(&mut self, caller: Caller) {
        match caller {
            Caller::Client(client) => {
                if let Some(client) = self.clients.by_id.get_mut(&client) {
                    client.follows = true;
                }
            }
            Caller::Run(_) => self.pages.are_for_modules = true,
        }
        self.pages.may_go_on = true;
    }

    /// Whether a caller still reads its answers: the first answer to a request may be one too many for a
    /// client that leaves its answers unread.
    pub(crate) fn is_listening(&self, caller: Caller) -> bool {
        match caller {
            Caller::Client(client) => self.clients.by_id.get(&client).is_some_and(|client| !client.is_cut_off),
            Caller::Run(_) => true,
        }
    }

    fn send_begin(&mut self, who: Recipient, cursor: Cursor, lost: u64) {
        let begin = begin_json(cursor, self.store.epochs().current(), lost);
        self.reply(who, Status::Progress(begin));
    }

    /// An event was stored.
    pub(super) fn notify_followers(&mut self, event: &StoredEvent) {
        if self.followers.is_empty() {
            return;
        }
        let mut recipients = Vec::new();
        for id in self.followers.of_events() {
            let Some(has_room) = self.followers.get(id).map(|it| self.has_room(it.recipient.caller)) else { continue };
            let Some(Follower { recipient, what: Followed::Events(following), .. }) = self.followers.get_mut(id) else {
                continue;
            };
            if following.state != FollowerState::Live || event.cursor <= following.position {
                continue;
            }
            if !has_room || event.cursor.0 != following.position.0 + 1 {
                following.state = FollowerState::CatchingUp;
                self.followers.set_waiting(id, true);
                self.pages.may_go_on = true;
                continue;
            }
            following.position = event.cursor;
            if following.pattern.matches(&event.event) {
                recipients.push(*recipient);
            }
        }
        if !recipients.is_empty() {
            let json = stored_json(event, self.store.epochs().current(), self.config.frame_bytes_max);
            recipients.into_iter().for_each(|who| self.reply(who, Status::Progress(json.clone())));
        }
        self.pump_followers();
    }

    /// The host announces something about a module.
    pub(super) fn announce_to_followers(&mut self, name: &'static str, data: &Json) {
        if self.followers.is_empty() {
            return;
        }
        let announced = Announced { name, time: wall_micros(), data: data.clone() };
        let bytes = announced.bytes();
        let has_room = self.followers_bytes.get() + bytes <= self.config.clients_bytes_max / FOLLOWERS_PART;
        let mut replies = Vec::new();
        for id in self.followers.of_events() {
            let Some(caller) = self.followers.get(id).map(|it| it.recipient.caller) else { continue };
            let takes = self.has_room_for(caller, clients::LIVE_BYTES_MAX);
            let Some(Follower { recipient, what: Followed::Events(following), held }) = self.followers.get_mut(id)
            else {
                continue;
            };
            match &mut following.early {
                _ if !following.pattern.matches(name) => {}
                Some(early) if early.len() < EARLY_MAX && has_room => {
                    early.push(announced.clone());
                    held.add(bytes);
                }
                Some(_) => following.unheard += 1,
                None if !takes || following.unheard > 0 => following.unheard += 1,
                None => replies.push((*recipient, announced.json(following.position, self.store.epochs().current()))),
            }
            if following.unheard > 0 {
                self.followers.set_waiting(id, true);
            }
        }
        replies.into_iter().for_each(|(who, json)| self.reply(who, Status::Progress(json)));
    }

    /// A module has written a line. Followers of its log that do not read learn later how many they missed.
    /// Returns whether any follow it.
    pub(super) fn send_line(&mut self, of: &str, number: Option<u64>, line: &LogLine) -> bool {
        let mut recipients = Vec::new();
        let followers = self.followers.of_log(of);
        let bytes = 2 * size_of::<LogLine>() + line.held_bytes();
        let is_followed = !followers.is_empty();
        for id in followers {
            let Some(caller) = self.followers.get(id).map(|it| it.recipient.caller) else { continue };
            let has_room = self.has_room_for(caller, clients::LIVE_BYTES_MAX);
            let may_wait = self.followers_bytes.get() + bytes <= self.config.clients_bytes_max / FOLLOWERS_PART;
            let Some(Follower { recipient, what: Followed::Log { after, left_out, early, .. }, held }) =
                self.followers.get_mut(id)
            else {
                continue;
            };
            // What it was shown at its beginning may still be on its way.
            if number.is_some_and(|number| number <= *after) {
                continue;
            }
            match early {
                Some(early) if may_wait && *left_out == 0 && early.len() < EARLY_LINES_MAX => {
                    early.push(line.clone());
                    held.add(bytes);
                }
                None if has_room && *left_out == 0 => recipients.push(*recipient),
                Some(_) | None => {
                    *left_out += 1;
                    self.followers.set_waiting(id, true);
                }
            }
        }
        for who in recipients {
            self.reply(who, Status::Progress(crate::history::json_of(line)));
        }
        is_followed
    }

    /// Sends a follower that reads again how much it missed.
    fn send_missed(&mut self, id: FollowerId) {
        let Some(who) = self.followers.get(id).map(|follower| follower.recipient) else { return };
        if !self.has_room(who.caller) {
            return;
        }
        match self.followers.get_mut(id).map(|follower| &mut follower.what) {
            Some(Followed::Log { left_out, early: None, .. }) if *left_out > 0 => {
                let count = std::mem::take(left_out);
                let line = LogLine::new(
                    Stream::Host,
                    format!("[{count} lines were left out here: they were not read in time]"),
                );
                self.reply(who, Status::Progress(crate::history::json_of(&line)));
            }
            Some(Followed::Events(Following { unheard, early: None, .. })) if *unheard > 0 => {
                let lost = std::mem::take(unheard);
                self.send_begin(who, self.store.newest(), lost);
            }
            Some(Followed::Messages(inspected)) if inspected.has_left_out() => {
                let notice = inspected.take_left_out();
                self.reply(who, Status::Progress(notice));
            }
            Some(Followed::Log { .. } | Followed::Events(_) | Followed::Messages(_)) | None => {}
        }
    }

    /// Whether a follower has room for more.
    fn has_room(&self, caller: Caller) -> bool {
        self.has_room_for(caller, clients::OUTPUT_HIGH_WATER_BYTES / 2)
    }

    /// Whether no more than so many bytes wait for a follower.
    pub(super) fn has_room_for(&self, caller: Caller, most: usize) -> bool {
        let pending = match caller {
            Caller::Client(client) => self.clients.by_id.get(&client).map(|client| client.link.pending_bytes()),
            Caller::Run(run) => self.processes.get(&run).map(|process| process.link.pending_bytes()),
        };
        pending.is_some_and(|pending| pending <= most)
    }

    /// Sends more to followers that lag and have read what they were sent: a page each, one after the
    /// other, and only so many pages at once, so that many followers cost the others no more than few do.
    pub(super) fn pump_followers(&mut self) {
        if !self.pages.may_go_on || self.pages.in_progress.len() >= PAGES_AT_ONCE {
            return;
        }
        let newest = self.store.newest();
        for id in self.followers.waiting_after(self.pages.last) {
            self.pages.last = id;
            self.send_missed(id);
            let Some(Follower { recipient, what, .. }) = self.followers.get(id) else { continue };
            let caller = recipient.caller;
            let Followed::Events(following) = what else {
                let waits = what.has_left_out();
                self.followers.set_waiting(id, waits);
                continue;
            };
            if following.state != FollowerState::CatchingUp {
                let waits = following.has_unheard();
                self.followers.set_waiting(id, waits);
                continue;
            }
            let state = if following.position >= newest {
                FollowerState::Live
            } else if self.has_room(caller) {
                let job = Job::ReadEvents {
                    after: following.position,
                    patterns: vec![following.pattern.clone()],
                    limit: PAGE_EVENTS,
                    bytes_max: PAGE_BYTES,
                };
                match self.store.admin_job(job) {
                    Ok(admin_job) => {
                        self.pages.in_progress.insert(admin_job, id);
                        FollowerState::Reading(admin_job)
                    }
                    Err(_) => return self.retry_in(RETRY_INTERVAL),
                }
            } else {
                continue;
            };
            let Some(Follower { what: Followed::Events(following), .. }) = self.followers.get_mut(id) else { continue };
            following.state = state;
            // While something is read for it, its end will be noticed; what it missed is reported later.
            let waits = following.has_unheard();
            self.followers.set_waiting(id, waits);
            if self.pages.in_progress.len() >= PAGES_AT_ONCE {
                return;
            }
        }
        // A follower that still lags has no room: when it has, that will be noticed.
        self.pages.may_go_on = false;
    }

    /// The store has read events for a follower, which may be gone meanwhile.
    pub(super) fn page_read(&mut self, admin_job: u64, outcome: Outcome) {
        let id = self.pages.in_progress.remove(&admin_job);
        self.pages.may_go_on = true;
        let reads_page = |follower: &&Follower| match &follower.what {
            Followed::Events(following) => following.state == FollowerState::Reading(admin_job),
            Followed::Log { .. } | Followed::Messages(_) => false,
        };
        if let Some(id) = id
            && let Some(follower) = self.followers.get(id).filter(reads_page)
        {
            let who = follower.recipient;
            match outcome {
                Outcome::Events(page) => {
                    let replies = self.next_page(id, page);
                    self.charge(who.caller, SENT_NANOS * replies.len() as u64);
                    replies.into_iter().for_each(|event| self.reply(who, Status::Progress(event)));
                }
                Outcome::Failed(failure) => {
                    self.followers.remove(id);
                    self.reply(who, failure.into());
                }
                other => unreachable!("events were asked for, and the store answered {other:?}"),
            }
        }
        self.pump_followers();
    }

    /// Charges a caller's account for what was done outside of its portions.
    fn charge(&mut self, caller: Caller, nanos: u64) {
        let now = self.now;
        let link = match caller {
            Caller::Client(client) => LinkId::Client(client),
            Caller::Run(run) => LinkId::Run(run),
        };
        if let Some(link) = self.link(link) {
            link.account.charge(now, nanos);
        }
    }

    /// What a follower gets of what was read for it.
    fn next_page(&mut self, id: FollowerId, page: EventPage) -> Vec<Json> {
        let (newest, most) = (self.store.newest(), self.config.frame_bytes_max);
        let epoch = self.store.epochs().current().as_ref();
        self.followers.set_waiting(id, true);
        let Some(Follower { what: Followed::Events(following), held, .. }) = self.followers.get_mut(id) else {
            return Vec::new();
        };
        let early = following.early.take();
        held.shrink_to(FOLLOWER_BYTES);
        let mut replies = Vec::new();
        let lost = page.lost.saturating_add(std::mem::take(&mut following.lost));
        if early.is_some() || lost > 0 {
            replies.push(begin_json(newest, epoch, lost));
        }
        replies.extend(early.into_iter().flatten().map(|announced| announced.json(following.position, epoch)));
        replies.extend(page.events.into_iter().map(|event| stored_json(&event, epoch, most)));
        following.position = page.cursor.max(following.position);
        following.state = FollowerState::CatchingUp;
        replies
    }
}

/// Microseconds since 1970.
fn wall_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counting::counted;
    use std::{cell::Cell, rc::Rc};

    /// One of a client of its own.
    fn follower(sum: &Rc<Cell<usize>>, id: u64, early: Option<Vec<Announced>>) -> Follower {
        let pattern = Pattern::new(&format!("{}*", "x".repeat(200))).unwrap();
        let following =
            Following { pattern, position: Cursor(0), state: FollowerState::CatchingUp, early, unheard: 0, lost: 0 };
        let recipient = Recipient { caller: Caller::Client(ClientId(id)), id };
        Follower { recipient, what: Followed::Events(following), held: Counted::new(sum, FOLLOWER_BYTES) }
    }

    #[test]
    fn followers_are_counted_with_what_they_hold_and_no_more_when_they_are_gone() {
        let sum = Rc::<Cell<usize>>::default();
        for number in [4, 450, 900] {
            let (followers, held, _) = counted(|| {
                let mut followers = Followers::default();
                (0..number).for_each(|id| _ = followers.add(follower(&sum, id, None)));
                followers
            });
            let (account, most) = (sum.get(), 3 * held + FOLLOWER_BYTES);
            assert!((held..=most).contains(&account), "{held} bytes are held, and {account} are counted");
            drop(followers);
            assert_eq!(sum.get(), 0);
        }
    }

    #[test]
    fn what_is_kept_for_a_follower_that_has_not_begun_is_counted_until_it_is_sent() {
        let sum = Rc::<Cell<usize>>::default();
        let mut one = follower(&sum, 1, Some(Vec::new()));
        let before = sum.get();
        let ((), held, _) = counted(|| {
            for number in 0..700 {
                let data = Json::of(&serde_json::json!({ "module": "m", "detail": "x".repeat(number) }));
                let announced = Announced { name: "module.ready", time: 0, data };
                one.held.add(announced.bytes());
                let Followed::Events(Following { early: Some(early), .. }) = &mut one.what else { unreachable!() };
                early.push(announced);
            }
        });
        let account = sum.get() - before;
        assert!((held..=held + held / 2).contains(&account), "{held} bytes are held, and {account} are counted");
        one.held.shrink_to(FOLLOWER_BYTES);
        assert_eq!(sum.get(), before);
    }
}
