//! Modules that the test answers.

use crate::Error;
use bulkhead_protocol::{Json, Request, RequestType, Response, Status};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) type Answer = Arc<dyn Fn(&Asked) -> Result<Value, Error> + Send + Sync>;

/// A request to a fake.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The fake.
    pub fake: String,
    /// A command, a query or a mutation.
    pub kind: RequestType,
    /// The command's name; of others empty.
    pub name: String,
    /// The command's arguments, or the payload of others.
    pub args: Value,
    /// The idempotency key.
    pub key: Option<String>,
}

pub(super) struct Fakes {
    answers: HashMap<String, Answer>,
    asked: Mutex<Vec<Asked>>,
}

impl Fakes {
    pub(super) fn new(answers: HashMap<String, Answer>) -> Fakes {
        Fakes { answers, asked: Mutex::default() }
    }

    /// What was asked of one so far.
    pub(super) fn asked_of(&self, fake: &str) -> Vec<Asked> {
        self.all().iter().filter(|asked| asked.fake == fake).cloned().collect()
    }

    /// Notes a request; `None` for one that needs no work.
    pub(super) fn note(&self, request: &Request) -> Option<Asked> {
        #[derive(Deserialize)]
        struct Command {
            name: String,
            #[serde(default)]
            args: Value,
        }
        if request.kind == RequestType::Cancel {
            return None;
        }
        let Command { name, args } = match request.kind {
            RequestType::Command => request.payload.read().ok()?,
            _ => Command { name: String::new(), args: request.payload.read().ok()? },
        };
        let fake = request.to.clone().unwrap_or_default();
        let asked = Asked { fake, kind: request.kind.clone(), name, args, key: request.key.clone() };
        self.all().push(asked.clone());
        Some(asked)
    }

    /// The answer to a request. A fake that panics answers with an error.
    pub(super) fn answer(&self, id: u64, asked: &Asked) -> Response {
        let Some(answer) = self.answers.get(&asked.fake) else {
            return Response::new(id, Error::failed(format!("there is no fake {}", asked.fake)).into_failure());
        };
        let status = match catch_unwind(AssertUnwindSafe(|| answer(asked))) {
            Ok(Ok(data)) => Status::Success(Json::of(&data)),
            Ok(Err(error)) => error.into_failure().into(),
            Err(_) => Error::failed(format!("the fake {} panicked", asked.fake)).into_failure().into(),
        };
        Response::new(id, status)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
