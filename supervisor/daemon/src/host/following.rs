//! Those who follow events. What is stored is told from the store to whoever is behind, piece by piece
//! and only as fast as it is taken, and as it happens to whoever is not; nobody misses an event or is
//! told one twice. What the host says of its modules is told as it happens only.

use super::*;
use crate::clients::{Counted, FOLLOWER_BYTES, FOLLOWERS_PART};
use bulkhead_core::{Cursor, StoredEvent};
use bulkhead_layer1::{Job, outcome::EventPage};
use bulkhead_protocol::{HeldBytes, Pattern, layer1::time};

/// Events that are read at once for one follower, and their bytes.
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;

/// Events of the host's own that are held for a follower that has not begun.
const EARLY_MAX: usize = 1000;

/// Pages that the store reads at once for all followers together.
const PAGES_AT_ONCE: usize = 4;

/// What it costs the host to tell a follower of one event.
const TOLD_NANOS: u64 = 3000;

/// Whose turn it is to have a page read.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// How many are being read.
    in_hand: usize,
    /// With which follower to go on.
    next: usize,
    /// Whether there may be one that is behind and has room.
    pub(super) may_go_on: bool,
    /// Whether a module has ever followed events, of which it is not noted who they are.
    pub(super) are_for_modules: bool,
}

/// Somebody who follows events.
#[derive(Debug)]
pub(crate) struct Following {
    pattern: Pattern,
    /// Every stored event up to here was told, or is not wanted.
    position: Cursor,
    standing: Standing,
    /// The host's own events that came before it was told that it follows; `None` once it was.
    early: Option<Vec<Announced>>,
    /// The host's own events that it was not told, since it did not read.
    unheard: u64,
}

/// How a follower gets its next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// As it is stored.
    Live,
    /// From the store, once there is room for it.
    Behind,
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

    fn json(&self, position: Cursor) -> Json {
        event_json(position, self.time, self.name, self.data.as_str(), r#","live":true"#)
    }
}

/// An event as a follower is told it.
fn event_json(cursor: Cursor, micros: i64, name: &str, data: &str, more: &str) -> Json {
    let (time, name) = (time::format(micros), Json::of(name));
    let text = format!(r#"{{"cursor":{cursor},"time":"{time}","event":{},"data":{data}{more}}}"#, name.as_str());
    Json::parse(&text).expect("it is made of JSON")
}

/// A stored event, without its data where that does not fit into a frame, which may be shorter than it
/// was when the event came.
fn stored_json(event: &StoredEvent, frame_bytes_max: usize) -> Json {
    // A module's name is text that needs no escape.
    let source = match event.source.as_str() {
        "" => String::new(),
        module => format!(r#","source":"{module}""#),
    };
    let data = event.data.as_str();
    let json = event_json(event.cursor, event.time, &event.event, data, &source);
    // What a response has around it has room in the bytes by which the host may lengthen a message.
    if json.as_str().len() <= frame_bytes_max {
        return json;
    }
    event_json(event.cursor, event.time, &event.event, "null", &format!(r#"{source},"omitted":{}"#, data.len()))
}

impl Host {
    /// Begins to tell somebody of events: those behind the cursor first, then as they happen.
    pub(crate) fn follow(&mut self, who: Recipient, pattern: Pattern, after: Option<u64>) {
        let newest = self.store.newest();
        let position = after.map_or(newest, Cursor).min(newest);
        let (standing, early) = match position == newest {
            true => (Standing::Live, None),
            false => (Standing::Behind, Some(Vec::new())),
        };
        if early.is_none() {
            self.tell_begin(who, newest, 0);
        }
        let following = Following { pattern, position, standing, early, unheard: 0 };
        let held = Counted::new(&self.followers_bytes, FOLLOWER_BYTES);
        self.followers.push(Follower { recipient: who, what: Followed::Events(following), held });
        self.note_follower(who.caller);
        self.pump_followers();
    }

    /// A caller follows something from now on: when it has room again, it may be told more.
    pub(crate) fn note_follower(&mut self, caller: Caller) {
        match caller {
            Caller::Client(client) => {
                self.clients.by_id.get_mut(&client).expect("it has just asked").follows = true;
            }
            Caller::Run(_) => self.pages.are_for_modules = true,
        }
        self.pages.may_go_on = true;
    }

    fn tell_begin(&mut self, who: Recipient, cursor: Cursor, lost: u64) {
        let begin = serde_json::json!({ "following": true, "cursor": cursor.0, "lost": lost });
        self.reply(who, Status::Progress(Json::of(&begin)));
    }

    /// An event was stored.
    pub(super) fn tell(&mut self, event: &StoredEvent) {
        if self.followers.is_empty() {
            return;
        }
        let mut told = Vec::new();
        for index in 0..self.followers.len() {
            let has_room = self.has_room(self.followers[index].recipient.caller);
            let Follower { recipient, what: Followed::Events(following), .. } = &mut self.followers[index] else {
                continue;
            };
            if following.standing != Standing::Live || event.cursor <= following.position {
                continue;
            }
            if !has_room || event.cursor.0 != following.position.0 + 1 {
                following.standing = Standing::Behind;
                self.pages.may_go_on = true;
                continue;
            }
            following.position = event.cursor;
            if following.pattern.matches(&event.event) {
                told.push(*recipient);
            }
        }
        if !told.is_empty() {
            let json = stored_json(event, self.config.frame_bytes_max);
            told.into_iter().for_each(|who| self.reply(who, Status::Progress(json.clone())));
        }
        self.pump_followers();
    }

    /// The host has something to say of a module.
    pub(super) fn tell_announced(&mut self, name: &'static str, data: &Json) {
        if self.followers.is_empty() {
            return;
        }
        let announced = Announced { name, time: wall_micros(), data: data.clone() };
        let bytes = announced.bytes();
        let has_room = self.followers_bytes.get() + bytes <= self.config.clients_bytes_max / FOLLOWERS_PART;
        let mut told = Vec::new();
        for index in 0..self.followers.len() {
            let takes = self.has_room_for(self.followers[index].recipient.caller, clients::LIVE_BYTES_MAX);
            let Follower { recipient, what: Followed::Events(following), held } = &mut self.followers[index] else {
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
                None => told.push((*recipient, announced.json(following.position))),
            }
        }
        told.into_iter().for_each(|(who, json)| self.reply(who, Status::Progress(json)));
    }

    /// A module has written a line. Those who follow its log and do not read are told later how many they missed.
    /// Returns whether any follow it.
    pub(super) fn tell_line(&mut self, of: &str, number: Option<u64>, line: &LogLine) -> bool {
        let mut is_followed = false;
        let mut told = Vec::new();
        for index in 0..self.followers.len() {
            let has_room = self.has_room_for(self.followers[index].recipient.caller, clients::LIVE_BYTES_MAX);
            match &mut self.followers[index] {
                Follower { recipient, what: Followed::Log { module, after, left_out }, .. } if **module == *of => {
                    is_followed = true;
                    // What it was shown at its beginning may still be on its way.
                    if number.is_some_and(|number| number <= *after) {
                        continue;
                    }
                    if has_room && *left_out == 0 {
                        told.push(*recipient);
                    } else {
                        *left_out += 1;
                    }
                }
                Follower { what: Followed::Log { .. } | Followed::Events(_), .. } => {}
            }
        }
        for who in told {
            self.reply(who, Status::Progress(crate::builtin::log_json(line)));
        }
        is_followed
    }

    /// Tells those who read again what they were not told.
    fn tell_missed(&mut self, index: usize) {
        let who = self.followers[index].recipient;
        if !self.has_room(who.caller) {
            return;
        }
        match &mut self.followers[index].what {
            Followed::Log { left_out, .. } if *left_out > 0 => {
                let count = std::mem::take(left_out);
                let line = LogLine::new(
                    Stream::Host,
                    format!("[{count} lines were left out here: they were not read in time]"),
                );
                self.reply(who, Status::Progress(crate::builtin::log_json(&line)));
            }
            Followed::Events(Following { unheard, early: None, .. }) if *unheard > 0 => {
                let lost = std::mem::take(unheard);
                self.tell_begin(who, self.store.newest(), lost);
            }
            Followed::Log { .. } | Followed::Events(_) => {}
        }
    }

    /// Whether a follower takes what it is told.
    fn has_room(&self, caller: Caller) -> bool {
        self.has_room_for(caller, clients::OUTPUT_HIGH_WATER_BYTES / 2)
    }

    /// Whether no more than so many bytes wait for a follower.
    fn has_room_for(&self, caller: Caller, most: usize) -> bool {
        let pending = match caller {
            Caller::Client(client) => self.clients.by_id.get(&client).map(|client| client.link.pending_bytes()),
            Caller::Run(run) => self.processes.get(&run).map(|process| process.link.pending_bytes()),
        };
        pending.is_some_and(|pending| pending <= most)
    }

    /// Lets those who are behind, and have taken what they were told, have more: a page each, one after the
    /// other, and only so many pages at once, so that many who follow cost the others no more than few do.
    pub(super) fn pump_followers(&mut self) {
        if !self.pages.may_go_on || self.pages.in_hand >= PAGES_AT_ONCE {
            return;
        }
        let (newest, count) = (self.store.newest(), self.followers.len());
        for _ in 0..count {
            let index = self.pages.next % count;
            self.pages.next = index + 1;
            self.tell_missed(index);
            let Follower { recipient, what: Followed::Events(following), .. } = &self.followers[index] else {
                continue;
            };
            if following.standing != Standing::Behind {
                continue;
            }
            let standing = if following.position >= newest {
                Standing::Live
            } else if self.has_room(recipient.caller) {
                let job = Job::ReadEvents {
                    after: following.position.0,
                    patterns: vec![following.pattern.clone()],
                    limit: PAGE_EVENTS,
                    bytes_max: PAGE_BYTES,
                };
                match self.store.errand(job) {
                    Ok(errand) => {
                        self.pages.in_hand += 1;
                        Standing::Reading(errand)
                    }
                    Err(_) => return self.retry_in(RETRY_INTERVAL),
                }
            } else {
                continue;
            };
            if let Followed::Events(following) = &mut self.followers[index].what {
                following.standing = standing;
            }
            if self.pages.in_hand >= PAGES_AT_ONCE {
                return;
            }
        }
        // A follower that is behind still has no room: when it has, that is told.
        self.pages.may_go_on = false;
    }

    /// The store has read events for a follower, which may have gone meanwhile.
    pub(super) fn page_read(&mut self, errand: u64, outcome: Outcome) {
        self.pages.in_hand -= 1;
        self.pages.may_go_on = true;
        let of_errand = |follower: &Follower| match &follower.what {
            Followed::Events(following) => following.standing == Standing::Reading(errand),
            Followed::Log { .. } => false,
        };
        if let Some(index) = self.followers.iter().position(of_errand) {
            let who = self.followers[index].recipient;
            match outcome {
                Outcome::Events(page) => {
                    let told = self.turn_page(index, page);
                    self.charge(who.caller, TOLD_NANOS * told.len() as u64);
                    told.into_iter().for_each(|event| self.reply(who, Status::Progress(event)));
                }
                Outcome::Failed(failure) => {
                    self.followers.remove(index);
                    self.reply(who, failure.into());
                }
                other => unreachable!("events were asked for, and the store answered {other:?}"),
            }
        }
        self.pump_followers();
    }

    /// Puts what was done for a caller outside of its portions on its account.
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

    /// What a follower is told of what was read for it.
    fn turn_page(&mut self, index: usize, page: EventPage) -> Vec<Json> {
        let (newest, most) = (self.store.newest(), self.config.frame_bytes_max);
        let Followed::Events(following) = &mut self.followers[index].what else { return Vec::new() };
        let early = following.early.take();
        self.followers[index].held.shrink_to(FOLLOWER_BYTES);
        let Followed::Events(following) = &mut self.followers[index].what else { return Vec::new() };
        let mut told = Vec::new();
        if early.is_some() || page.lost > 0 {
            let begin = serde_json::json!({ "following": true, "cursor": newest.0, "lost": page.lost });
            told.push(Json::of(&begin));
        }
        told.extend(early.into_iter().flatten().map(|announced| announced.json(following.position)));
        told.extend(page.events.into_iter().map(|event| stored_json(&crate::layer1::stored_event(event), most)));
        following.position = Cursor(page.cursor).max(following.position);
        following.standing = Standing::Behind;
        told
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

    fn follower(sum: &Rc<Cell<usize>>, id: u64, early: Option<Vec<Announced>>) -> Follower {
        let pattern = Pattern::new(&format!("{}*", "x".repeat(200))).unwrap();
        let following = Following { pattern, position: Cursor(0), standing: Standing::Behind, early, unheard: 0 };
        let recipient = Recipient { caller: Caller::Client(ClientId(1)), id };
        Follower { recipient, what: Followed::Events(following), held: Counted::new(sum, FOLLOWER_BYTES) }
    }

    #[test]
    fn followers_are_counted_with_what_they_hold_and_no_more_when_they_are_gone() {
        let sum = Rc::<Cell<usize>>::default();
        for number in [4, 450, 900] {
            let (followers, held, _) = counted(|| {
                let mut followers = Vec::new();
                (0..number).for_each(|id| followers.push(follower(&sum, id, None)));
                followers
            });
            let (account, most) = (sum.get(), 2 * held + FOLLOWER_BYTES);
            assert!((held..=most).contains(&account), "{held} bytes are held, and {account} are counted");
            drop(followers);
            assert_eq!(sum.get(), 0);
        }
    }

    #[test]
    fn what_is_kept_for_a_follower_that_has_not_begun_is_counted_until_it_is_told() {
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
