//! Those who follow events. What is stored is told from the store to whoever is behind, piece by piece
//! and only as fast as it is taken, and as it happens to whoever is not; nobody misses an event or is
//! told one twice. What the host says of its modules is told as it happens only.

use super::*;
use bulkhead_core::{Cursor, StoredEvent};
use bulkhead_layer1::{Job, outcome::EventPage};
use bulkhead_protocol::{Pattern, layer1::time};

/// Events that are read at once for one follower, and their bytes.
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;

/// Events of the host's own that are held for a follower that has not begun.
const EARLY_MAX: usize = 1000;

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
        self.followers.push(Follower { recipient: who, what: Followed::Events(following) });
        self.pump_followers();
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
            let Follower { recipient, what: Followed::Events(following) } = &mut self.followers[index] else {
                continue;
            };
            if following.standing != Standing::Live || event.cursor <= following.position {
                continue;
            }
            if !has_room || event.cursor.0 != following.position.0 + 1 {
                following.standing = Standing::Behind;
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
        let mut told = Vec::new();
        for index in 0..self.followers.len() {
            let has_room = self.has_room_for(self.followers[index].recipient.caller, clients::LIVE_BYTES_MAX);
            let Follower { recipient, what: Followed::Events(following) } = &mut self.followers[index] else {
                continue;
            };
            match &mut following.early {
                _ if !following.pattern.matches(name) => {}
                Some(early) if early.len() < EARLY_MAX => early.push(announced.clone()),
                Some(_) => following.unheard += 1,
                None if !has_room || following.unheard > 0 => following.unheard += 1,
                None => told.push((*recipient, announced.json(following.position))),
            }
        }
        told.into_iter().for_each(|(who, json)| self.reply(who, Status::Progress(json)));
    }

    /// A module has written a line. Those who follow its log and do not read are told later how many they missed.
    pub(super) fn tell_line(&mut self, of: &str, line: &Line) {
        let mut told = Vec::new();
        for index in 0..self.followers.len() {
            let has_room = self.has_room_for(self.followers[index].recipient.caller, clients::LIVE_BYTES_MAX);
            match &mut self.followers[index] {
                Follower { recipient, what: Followed::Log { module, left_out } } if module == of => {
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
                let line =
                    Line::new(Stream::Host, format!("[{count} lines were left out here: they were not read in time]"));
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

    /// Lets whoever is behind, and has taken what it was told, have more.
    pub(super) fn pump_followers(&mut self) {
        let newest = self.store.newest();
        for index in 0..self.followers.len() {
            self.tell_missed(index);
            let Follower { recipient, what: Followed::Events(following) } = &self.followers[index] else { continue };
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
                    Ok(errand) => Standing::Reading(errand),
                    Err(_) => return self.retry_in(RETRY_INTERVAL),
                }
            } else {
                continue;
            };
            if let Followed::Events(following) = &mut self.followers[index].what {
                following.standing = standing;
            }
        }
    }

    /// The store has read events for a follower, which may have gone meanwhile.
    pub(super) fn page_read(&mut self, errand: u64, outcome: Outcome) {
        let of_errand = |follower: &Follower| match &follower.what {
            Followed::Events(following) => following.standing == Standing::Reading(errand),
            Followed::Log { .. } => false,
        };
        let Some(index) = self.followers.iter().position(of_errand) else { return };
        let who = self.followers[index].recipient;
        match outcome {
            Outcome::Events(page) => {
                for told in self.turn_page(index, page) {
                    self.reply(who, Status::Progress(told));
                }
                self.pump_followers();
            }
            Outcome::Failed(failure) => {
                self.followers.remove(index);
                self.reply(who, failure.into());
            }
            other => unreachable!("events were asked for, and the store answered {other:?}"),
        }
    }

    /// What a follower is told of what was read for it.
    fn turn_page(&mut self, index: usize, page: EventPage) -> Vec<Json> {
        let (newest, most) = (self.store.newest(), self.config.frame_bytes_max);
        let Followed::Events(following) = &mut self.followers[index].what else { return Vec::new() };
        let early = following.early.take();
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
