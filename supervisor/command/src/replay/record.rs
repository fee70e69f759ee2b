//! What a crash record says: which message the process had in hand, and how it ended. Nothing is guessed: a record from
//! which a whole message cannot be taken is refused.

use crate::lenient::{as_it_is, or_empty};
use crate::output::printable;
use bulkhead_protocol::{Exit, Json, RequestType};
use serde::Deserialize;

/// A payload of more bytes than this is cut in a record, and then it is a text that is at least as long. A text that
/// was not cut is shorter by its quotes.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// How many of the other messages are named.
const OTHERS_MAX: usize = 5;

/// A record from which a message can be sent again.
#[derive(Debug)]
pub(crate) struct Record {
    /// The module that crashed.
    pub(crate) module: String,
    pub(super) end: End,
    pub(super) message: Message,
    /// A sentence about what is not sent again with the message.
    pub(super) remarks: Vec<String>,
}

/// How the process ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) reason: String,
    pub(super) exit: Option<Exit>,
    /// The message of its last answer, or `success`, if it gave one.
    pub(super) answered: Option<String>,
}

/// What is sent again.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: RequestType,
    pub(super) payload: Json,
}

#[derive(Deserialize)]
struct Members {
    #[serde(default, deserialize_with = "or_empty")]
    module: String,
    #[serde(default, deserialize_with = "or_empty")]
    reason: String,
    #[serde(default, deserialize_with = "or_empty")]
    exit: Option<Exit>,
    in_flight: Option<Vec<InFlight>>,
}

#[derive(Deserialize)]
pub(super) struct InFlight {
    pub(super) r#type: String,
    #[serde(default, deserialize_with = "as_it_is")]
    pub(super) payload: Option<Json>,
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(default)]
    delivery: Option<String>,
    #[serde(default)]
    answered: Option<String>,
}

impl Record {
    /// Reads a record, as it is in its file or as the daemon sends it.
    ///
    /// # Errors
    /// Why no message can be sent again by it, and what to do.
    pub(crate) fn read(json: &Json) -> Result<Record, String> {
        let members: Members = json.read().map_err(|error| {
            format!("expected a crash record of this version, found {error}; send the message with `bulkhead call`")
        })?;
        let Members { module, reason, exit, in_flight } = members;
        let Some(in_flight) = in_flight else {
            return Err(match reason.strip_prefix("unknown: ") {
                Some(why) => format!("expected a whole crash record, found another: {}", printable(why)),
                None => {
                    "expected a crash record with the member \"in_flight\", found none: it is no crash record, or one \
                         of another version"
                        .into()
                }
            });
        };
        if module.is_empty() {
            return Err("expected a crash record with the member \"module\", found none".into());
        }
        let suspects: Vec<&InFlight> = in_flight.iter().filter(|one| one.may_have_begun()).collect();
        let in_hand = suspects.iter().position(|one| one.answered.is_some());
        let in_hand = in_hand.or_else(|| suspects.iter().position(|one| one.has_started())).unwrap_or(0);
        let Some(chosen) = suspects.get(in_hand) else {
            return Err("the process had no message in hand, so there is none to send again".into());
        };
        let message = chosen.message(&module)?;
        let mut remarks = Vec::new();
        if let Some(key) = &chosen.key {
            remarks.push(format!("the message had the key {key:?} and is sent without it: it does its work again"));
        }
        // A last answer says that no other one has begun.
        let others = suspects.len() - 1;
        if others > 0 && chosen.answered.is_none() {
            let rest = suspects.iter().enumerate().filter(|(at, _)| *at != in_hand);
            let named: Vec<String> = rest.take(OTHERS_MAX).map(|(_, one)| one.name()).collect();
            let more = others.saturating_sub(OTHERS_MAX);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            remarks.push(format!(
                "only {} is sent; the process may have been working on these as well: {}{more}",
                chosen.name(),
                named.join(", ")
            ));
        }
        let end = End { reason, exit, answered: chosen.answered.clone() };
        Ok(Record { module, end, message, remarks })
    }
}

impl InFlight {
    fn has_started(&self) -> bool {
        self.delivery.as_deref() == Some("started")
    }

    fn may_have_begun(&self) -> bool {
        self.answered.is_some() || self.has_started() || self.delivery.as_deref() == Some("unknown")
    }

    pub(super) fn message(&self, module: &str) -> Result<Message, String> {
        let kind = match RequestType::from_name(&self.r#type) {
            kind @ (RequestType::Command | RequestType::Query | RequestType::Mutation) => kind,
            RequestType::Event => {
                return Err(format!(
                    "the process had an event in hand, and only the daemon hands events to modules: it sends it again by \
                     itself, and `bulkhead layer1 set-aside list {}` has those that it has given up",
                    printable(module)
                ));
            }
            other => {
                return Err(format!(
                    "expected a command, a query or a mutation in hand, found {}, which only the daemon sends",
                    printable(other.name())
                ));
            }
        };
        match &self.payload {
            None => Err(format!("expected the payload of {}, found none: the record is not whole", self.name())),
            Some(payload) if is_cut(payload) => Err(format!(
                "the payload of {} is cut: it had more than {PAYLOAD_BYTES_MAX} bytes, which is what a record keeps of one; \
                 send the message from where it came, with `bulkhead call`",
                self.r#type
            )),
            Some(payload) => Ok(Message { kind, payload: payload.clone() }),
        }
    }

    /// For a person: its type, and of a command its name.
    fn name(&self) -> String {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let named = self.payload.as_ref().filter(|_| self.r#type == "command");
        match named.and_then(|payload| payload.read::<Named>().ok()) {
            Some(Named { name }) => format!("the command {name:?}"),
            None => format!("the {}", printable(&self.r#type)),
        }
    }
}

/// Whether a record has the beginning of the payload only.
fn is_cut(payload: &Json) -> bool {
    payload.as_str().len() >= PAYLOAD_BYTES_MAX
        && payload.read::<String>().is_ok_and(|text| text.len() >= PAYLOAD_BYTES_MAX && text.ends_with('…'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(in_flight: Value) -> Result<Record, String> {
        let record =
            json!({ "module": "m", "reason": "SIGSEGV", "exit": { "signal": "SIGSEGV" }, "in_flight": in_flight });
        Record::read(&record.into())
    }

    fn command(name: &str, delivery: &str) -> Value {
        json!({ "type": "command", "payload": { "name": name }, "delivery": delivery })
    }

    #[test]
    fn the_message_in_hand_is_the_one_that_was_answered_last_or_the_first_that_had_begun() {
        let mut answered = command("c", "started");
        answered["answered"] = "no ink".into();
        for (in_flight, expected) in [
            (json!([command("a", "started"), command("b", "started")]), "a"),
            (json!([command("a", "not_started"), command("b", "started")]), "b"),
            (json!([command("a", "unknown"), command("b", "unknown")]), "a"),
            (json!([command("a", "unknown"), command("b", "started")]), "b"),
            (json!([command("a", "started"), answered]), "c"),
        ] {
            let record = read(in_flight.clone()).unwrap();
            assert_eq!(record.message.payload.as_str(), json!({ "name": expected }).to_string(), "{in_flight}");
        }
        let record = read(json!([command("a", "unknown"), command("b", "unknown")])).unwrap();
        let expected =
            "only the command \"a\" is sent; the process may have been working on these as well: the command \"b\"";
        assert_eq!(record.remarks, [expected]);
        assert_eq!(record.end.exit, Some(Exit::Signal("SIGSEGV".into())));
    }

    #[test]
    fn a_key_is_left_out_and_this_is_said() {
        let keyed = json!([{ "type": "mutation", "payload": null, "key": "k", "delivery": "started" }]);
        let record = read(keyed).unwrap();
        assert_eq!(record.message.payload, Json::null());
        assert_eq!(record.remarks, ["the message had the key \"k\" and is sent without it: it does its work again"]);
    }

    #[test]
    fn what_has_no_whole_message_is_refused_with_the_reason() {
        let cut = format!("{}…", "x".repeat(PAYLOAD_BYTES_MAX));
        for (in_flight, expected) in [
            (json!([]), "the process had no message in hand"),
            (json!([command("a", "not_started")]), "the process had no message in hand"),
            (json!([{ "type": "query", "delivery": "started" }]), "expected the payload of the query, found none"),
            (json!([{ "type": "query", "payload": cut, "delivery": "started" }]), "the payload of query is cut"),
            (json!([{ "type": "event", "payload": {}, "delivery": "started" }]), "only the daemon hands events"),
            (json!([{ "type": "ping", "payload": null, "delivery": "started" }]), "found ping, which only the daemon"),
            (json!([{ "payload": 1, "delivery": "started" }]), "expected a crash record of this version"),
            (json!("none"), "expected a crash record of this version"),
            (Value::Null, "expected a crash record with the member \"in_flight\""),
        ] {
            let found = read(in_flight.clone()).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
        let substitute = json!({ "module": "m", "reason": "unknown: the record is too long to be sent" });
        let found = Record::read(&substitute.into()).unwrap_err();
        assert!(found.contains("the record is too long to be sent"), "{found}");
        assert!(Record::read(&json!([1]).into()).is_err());
    }

    #[test]
    fn the_longest_payload_that_is_whole_is_sent() {
        let text = format!("{}…", "x".repeat(PAYLOAD_BYTES_MAX - 5));
        assert_eq!(Json::of(&text).as_str().len(), PAYLOAD_BYTES_MAX);
        assert!(read(json!([{ "type": "query", "payload": text, "delivery": "started" }])).is_ok());
    }
}
