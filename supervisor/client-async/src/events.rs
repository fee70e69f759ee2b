//! Events as a stream. Missed stored events are always reported: the stream resumes after its last event when it
//! lagged, and over another connection.

use crate::{
    answers::Answers,
    connection::Connection,
    error::{CallError, Error},
};
use bulkhead_protocol::{Json, Pattern, Request, RequestType, Response, Status};
use futures_util::StreamExt;
use serde::Deserialize;

/// An event.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// Its position among all stored events; of a live event, that of the last stored event before it.
    pub cursor: u64,
    /// Which history of the data store the cursor belongs to.
    pub epoch: String,
    /// When it was stored, by the wall clock: RFC 3339.
    pub time: String,
    /// Its name.
    pub event: String,
    /// Its data; `null` where [`Event::omitted`] has the reason.
    pub data: Json,
    /// The module that sent it; of events of clients and of the host there is none.
    #[serde(default)]
    pub source: Option<String>,
    /// Whether it is only sent as it happens, and not stored.
    #[serde(default)]
    pub live: bool,
    /// How many bytes the data has where it is too long for a frame.
    #[serde(default)]
    pub omitted: Option<u64>,
}

/// An item of a stream of events.
#[derive(Clone, Debug)]
pub enum EventItem {
    /// It follows from here on. It comes first, and again when the stream begins anew.
    Following {
        /// The newest event of all.
        cursor: u64,
        /// Which history of the data store that belongs to.
        epoch: String,
        /// How many events that were requested, or that the stream should have had by now, are gone.
        lost: u64,
    },
    /// An event.
    Event(Event),
    /// The connection ended, or this reader lagged by more than is kept for it. It begins anew after the last event
    /// that it gave. Live events in between are lost.
    Interrupted,
}

/// Why a stream of events ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EventsError {
    /// The host refused, or ended it.
    #[error(transparent)]
    Failed(#[from] CallError),
    /// A message of the host is not understood.
    #[error("the host's event is not understood: {0}")]
    NotUnderstood(String),
}

/// A stream of events. Dropped, it is cancelled.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
    pattern: Pattern,
    /// After which event it resumes.
    after: Option<(u64, Option<String>)>,
    answers: Option<Answers>,
}

impl Connection {
    /// Follows the events that a pattern matches: those after the cursor `after`, or those from now on. The cursor's
    /// epoch, where it is known, shows whether the data store was restored or made anew.
    pub fn events(&self, pattern: Pattern, after: Option<(u64, Option<String>)>) -> Events {
        Events { connection: self.clone(), pattern, after, answers: None }
    }
}

/// The host's report where it begins, and what is missing.
#[derive(Deserialize)]
struct Following {
    #[serde(rename = "following")]
    _following: bool,
    cursor: u64,
    epoch: String,
    lost: u64,
}

impl Events {
    /// The next item; `None` when the host has ended the stream.
    ///
    /// # Errors
    /// When the host refuses, or the connection has ended for good.
    pub async fn next(&mut self) -> Option<Result<EventItem, EventsError>> {
        let answers = match &mut self.answers {
            Some(answers) => answers,
            None => match self.begin().await {
                Ok(answers) => self.answers.insert(answers),
                Err(error) => return Some(Err(CallError::Unanswered(error).into())),
            },
        };
        // What was dropped came after all that is kept.
        if answers.left_out() > 0 && answers.is_empty() {
            self.answers = None;
            return Some(Ok(EventItem::Interrupted));
        }
        match answers.next().await? {
            Ok(Response { status: Status::Progress(data), .. }) => Some(self.said(&data)),
            Ok(Response { status: Status::Success(_), .. }) => None,
            Ok(Response { status: Status::Error(failure), .. }) => Some(Err(CallError::Failed(failure).into())),
            Err(Error::Ended { .. }) => {
                self.answers = None;
                Some(Ok(EventItem::Interrupted))
            }
            Err(error) => Some(Err(CallError::Unanswered(error).into())),
        }
    }

    async fn begin(&self) -> Result<Answers, Error> {
        let mut args = serde_json::json!({ "pattern": self.pattern.as_str() });
        if let Some((cursor, epoch)) = &self.after {
            args["after"] = (*cursor).into();
            epoch.iter().for_each(|epoch| args["epoch"] = epoch.as_str().into());
        }
        let payload = bulkhead_client::command_payload("events", &args.to_string());
        self.connection.send(Request::new(None, RequestType::Command, payload).to("supervisor")).await
    }

    fn said(&mut self, data: &Json) -> Result<EventItem, EventsError> {
        if let Ok(Following { cursor, epoch, lost, .. }) = data.read() {
            // The previous cursor stays until an event is given, so that a loss is reported again.
            self.after.get_or_insert_with(|| (cursor, Some(epoch.clone())));
            return Ok(EventItem::Following { cursor, epoch, lost });
        }
        let event: Event = data.read().map_err(|error| EventsError::NotUnderstood(error.to_string()))?;
        self.after = Some((event.cursor, Some(event.epoch.clone())));
        Ok(EventItem::Event(event))
    }
}
