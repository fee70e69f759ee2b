//! What the record of a quarantined message says: the message, how the last process ended, and whose its key is. Whether
//! it is sent with its key is decided here: a message whose work a key could do once more is not sent by chance.

use super::record::{End, InFlight, Record};
use crate::cli::Sending;
use crate::lenient::or_empty;
use crate::output::printable;
use bulkhead_protocol::{Exit, Json};
use serde::Deserialize;

/// A quarantined message.
#[derive(Debug)]
pub(crate) struct Quarantined {
    pub(crate) record: Record,
    key: Option<Key>,
}

/// A key, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    key: String,
    owner: Owner,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// All clients together.
    Clients,
    Module(String),
    /// A host of an earlier version wrote the record.
    Unknown,
}

/// Why a message is not sent, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

#[derive(Deserialize)]
struct Members {
    #[serde(default, deserialize_with = "or_empty")]
    module: String,
    #[serde(default, deserialize_with = "or_empty")]
    reason: String,
    #[serde(default, deserialize_with = "or_empty")]
    exit: Option<Exit>,
    /// That there is none is not the same as `null`, which is a client.
    #[serde(default, deserialize_with = "crate::lenient::as_it_is")]
    from: Option<Json>,
}

impl Quarantined {
    /// Reads a record as the daemon sends it.
    ///
    /// # Errors
    /// Why no message can be sent again by it, and what to do.
    pub(crate) fn read(json: &Json) -> Result<Quarantined, Refused> {
        let of_this_version =
            |error| Refused(format!("expected a record of a quarantined message of this version, found {error}"));
        let Members { module, reason, exit, from } = json.read().map_err(of_this_version)?;
        let in_flight: InFlight = json.read().map_err(of_this_version)?;
        if module.is_empty() {
            return Err(Refused("expected a record with the member \"module\", found none".into()));
        }
        let message = in_flight.message(&module).map_err(Refused)?;
        let owner = match from.map(|from| from.read::<Option<String>>()) {
            None => Owner::Unknown,
            Some(Ok(None)) => Owner::Clients,
            Some(Ok(Some(module))) => Owner::Module(module),
            Some(Err(error)) => return Err(of_this_version(error)),
        };
        let key = in_flight.key.map(|key| Key { key, owner });
        let end = End { reason, exit, answered: None };
        Ok(Quarantined { record: Record { module, end, message, remarks: Vec::new() }, key })
    }

    /// The key that the message is sent with, and what a person is to know of it.
    ///
    /// # Errors
    /// When it cannot be sent so that its work is done once.
    pub(crate) fn key_for(&mut self, sending: &Sending, choice: KeyChoice) -> Result<Option<String>, Refused> {
        let Some(Key { key, owner }) = self.key.clone() else { return Ok(None) };
        let shown = printable(&key);
        let is_elsewhere = sending.private || sending.to.as_ref().is_some_and(|to| *to != self.record.module);
        if is_elsewhere || choice == KeyChoice::Left {
            let remark = match is_elsewhere {
                true => format!("the message had the key {shown:?}, which counts for its own module under the daemon"),
                false => format!(
                    "the message had the key {shown:?} and is sent without it: if it is sent again with the key, its work \
                     is done once more"
                ),
            };
            self.record.remarks.push(remark);
            return Ok(None);
        }
        let whose = match owner {
            Owner::Clients if sending.times.is_some() || sending.until_crash => {
                return Err(Refused(format!(
                    "the message has the key {shown:?}, with which its work is done once, however often it is sent: \
                     --times and --until-crash need --private or --without-key"
                )));
            }
            Owner::Clients => return Ok(Some(key)),
            Owner::Module(module) => format!("of the module {}, which alone can use it", printable(&module)),
            Owner::Unknown => "of a caller that the record, of an earlier version, does not name".to_owned(),
        };
        Err(Refused(format!(
            "the message has the key {shown:?} {whose}: sent from here, its work would be done now, and once more when it \
             is sent again with the key; --without-key sends it all the same, --private sends it to a private host"
        )))
    }
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyChoice {
    /// The message is sent with it, if that can be.
    Used,
    /// It is left out.
    Left,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn sending() -> Sending {
        Sending {
            to: None,
            times: None,
            until_crash: false,
            private: false,
            modules: Vec::new(),
            trusted_users: Vec::new(),
            timeout: Duration::from_secs(1),
            json: false,
        }
    }

    fn record(more: Value) -> Json {
        let mut record = json!({ "module": "m", "type": "mutation", "payload": {}, "delivery": "started", "crashes": 5,
            "reason": "SIGSEGV", "exit": { "signal": "SIGSEGV" }, "key": "k", "from": null });
        for (name, value) in more.as_object().unwrap() {
            record[name] = value.clone();
        }
        record.into()
    }

    #[test]
    fn a_clients_key_is_used_and_no_other_is() {
        let key = |more: Value, sending: &Sending, choice| {
            Quarantined::read(&record(more)).unwrap().key_for(sending, choice).map_err(|Refused(why)| why)
        };
        let used = KeyChoice::Used;
        assert_eq!(key(json!({}), &sending(), used), Ok(Some("k".into())));
        assert_eq!(key(json!({ "key": null }), &sending(), used), Ok(None));
        let of_module = key(json!({ "from": "shop" }), &sending(), used).unwrap_err();
        assert!(of_module.contains("of the module shop, which alone can use it"), "{of_module}");
        let often = Sending { times: Some(3), ..sending() };
        assert!(key(json!({}), &often, used).unwrap_err().contains("--times and --until-crash need --private"));
        for elsewhere in [Sending { private: true, ..sending() }, Sending { to: Some("n".into()), ..sending() }] {
            assert_eq!(key(json!({ "from": "shop" }), &elsewhere, used), Ok(None));
        }
        assert_eq!(key(json!({}), &Sending { to: Some("m".into()), ..sending() }, used), Ok(Some("k".into())));
        assert_eq!(key(json!({ "from": "shop" }), &sending(), KeyChoice::Left), Ok(None));
        let earlier = json!({ "module": "m", "type": "query", "payload": 1, "key": "k", "delivery": "started" });
        let refused = Quarantined::read(&earlier.into()).unwrap().key_for(&sending(), used).unwrap_err();
        assert!(refused.0.contains("of an earlier version"), "{refused:?}");
    }

    #[test]
    fn a_key_that_is_left_out_is_mentioned() {
        let mut quarantined = Quarantined::read(&record(json!({}))).unwrap();
        quarantined.key_for(&sending(), KeyChoice::Left).unwrap();
        assert!(quarantined.record.remarks[0].contains("its work is done once more"), "{quarantined:?}");
    }

    #[test]
    fn a_record_without_a_whole_message_is_refused() {
        for (more, expected) in [
            (json!({ "module": "" }), "the member \"module\""),
            (json!({ "type": 1 }), "of this version"),
            (json!({ "from": 7 }), "of this version"),
            (json!({ "type": "ping" }), "which only the daemon sends"),
        ] {
            let Refused(why) = Quarantined::read(&record(more.clone())).unwrap_err();
            assert!(why.contains(expected), "{more}: {why}");
        }
    }
}
