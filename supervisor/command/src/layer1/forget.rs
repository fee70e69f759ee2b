//! `layer1 forget`: removes what is kept for a module that is gone for good. The daemon that has the data does it,
//! and refuses a module that it has loaded; without a daemon, the command does it itself.

use super::{close_store, connect, open_store, refused};
use crate::cli::Forget;
use crate::exit::{Exit, Halt};
use crate::lifecycle::{data_of, to_supervisor};
use crate::output::{Output, complain, printable, with_schema};
use crate::session::Session;
use bulkhead_layer1::{Job, JobId, Layer1, Outcome, Tools};
use bulkhead_protocol::Json;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How long one may take; a daemon does it in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `bulkhead layer1 forget`.
pub(super) fn run(socket: Option<PathBuf>, options: &Forget) -> Result<Exit, Halt> {
    let mut target = match &options.location.state {
        Some(state) => {
            // A store that is not there has nothing to forget, and is not made.
            Tools::of(state.join(super::FILE)).map_err(refused)?;
            Target::Store(Box::new(open_store(state)?))
        }
        None => Target::Host(Box::new(connect(socket)?)),
    };
    let mut output = Output::default();
    let mut worst = Exit::Done;
    for module in &options.modules {
        match target.forget(module) {
            Ok(forgotten) if options.json => output.json_line(&with_schema(Json::of(&forgotten).as_str()))?,
            Ok(forgotten) => output.line(&forgotten.sentence())?,
            Err(halt) => {
                complain(&halt);
                worst = worst.max(halt.exit());
            }
        }
        output.flush()?;
    }
    if let Target::Store(store) = target {
        close_store(&store);
    }
    Ok(worst)
}

/// What of a module was removed.
#[derive(Debug, Deserialize, Serialize)]
struct Forgotten {
    module: String,
    cursor: Option<u64>,
    missed: Option<u64>,
    set_aside: u64,
}

impl Forgotten {
    fn sentence(&self) -> String {
        let waiting = match self.cursor {
            Some(cursor) => format!("no event after cursor {cursor} waits for it any more"),
            None => "no event waited for it".into(),
        };
        let events = if self.set_aside == 1 { "event" } else { "events" };
        format!("{}: forgotten; {waiting}, {} set-aside {events} dropped", printable(&self.module), self.set_aside)
    }
}

/// Which store it is done in.
enum Target {
    Host(Box<Session>),
    Store(Box<Layer1>),
}

impl Target {
    fn forget(&mut self, module: &str) -> Result<Forgotten, Halt> {
        match self {
            Target::Host(session) => {
                let mut request = to_supervisor("forget", &serde_json::json!({ "name": module }).into());
                request.deadline_ms = Some(TIMEOUT.as_millis() as u64);
                let data = data_of(session.ask(&request, |_| {})?.status, module)?;
                data.read().map_err(|error| Halt::Failed(format!("the host's answer is not understood: {error}")))
            }
            Target::Store(store) => forget_in(store, module),
        }
    }
}

fn forget_in(store: &Layer1, module: &str) -> Result<Forgotten, Halt> {
    let job = Job::Forget { module: module.to_owned() };
    store.submit(JobId(0), job, None).map_err(|_| Halt::Failed("the data store is closing".into()))?;
    match store.wait().1 {
        Outcome::Forgotten(forgotten) if forgotten.subscription.is_none() && forgotten.set_aside == 0 => {
            Err(Halt::Failed(format!(
                "{module}: there is nothing of a module of this name: no events wait for it, and none are set aside"
            )))
        }
        Outcome::Forgotten(forgotten) => Ok(Forgotten {
            module: module.to_owned(),
            cursor: forgotten.subscription.as_ref().map(|subscription| subscription.cursor.0),
            missed: forgotten.subscription.as_ref().map(|subscription| subscription.missed),
            set_aside: forgotten.set_aside,
        }),
        Outcome::Failed(failure) => Err(Halt::Failed(format!("{module}: {}", failure.error))),
        other => unreachable!("a module was to be forgotten, and the store answered {other:?}"),
    }
}
