//! The calls that the server has not answered: where their progress goes, and their results as they were written. It
//! does no I/O.

use bulkhead_protocol::Json;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// How much progress of one call waits to be passed on; what comes while there is that much is dropped.
const PROGRESS_MAX: usize = 64;

/// All of them, by the numbers of their requests.
#[derive(Debug, Default)]
pub(crate) struct OpenCalls {
    calls: Mutex<HashMap<i64, OpenCall>>,
}

#[derive(Debug)]
struct OpenCall {
    /// What the server names in the progress of this call.
    token: i64,
    progress: mpsc::Sender<Json>,
    result: Option<Json>,
}

impl OpenCalls {
    /// No code panics while it is locked.
    fn calls(&self) -> MutexGuard<'_, HashMap<i64, OpenCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, progress of this call comes out of what is returned.
    pub(crate) fn add(&self, number: i64, token: i64) -> mpsc::Receiver<Json> {
        let (progress, received) = mpsc::channel(PROGRESS_MAX);
        self.calls().insert(number, OpenCall { token, progress, result: None });
        received
    }

    /// The server reported progress. That of a call which has ended is dropped.
    pub(crate) fn progress(&self, token: i64, data: Json) {
        if let Some(call) = self.calls().values().find(|call| call.token == token) {
            let _ = call.progress.try_send(data);
        }
    }

    /// The server has answered with this result.
    pub(crate) fn answered(&self, number: i64, result: Json) {
        if let Some(call) = self.calls().get_mut(&number) {
            call.result = Some(result);
        }
    }

    /// The call has ended; its result, if it has one.
    pub(crate) fn take(&self, number: i64) -> Option<Json> {
        self.calls().remove(&number)?.result
    }
}
