//! Requests of the other end: which of them the module handles, which are answered here, and which have not been
//! answered. It does no I/O.

use crate::{link::Shared, module::Incoming};
use bulkhead_protocol::{ErrorCode, Failure, FrameError, Json, Message, Request, RequestType, Response, Status};
use bytes::Bytes;
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// What the reader of the stream and the handlers of requests share.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// Bytes of progress that may wait to be sent.
    room: Arc<Semaphore>,
    room_bytes: usize,
}

#[derive(Debug)]
struct State {
    /// Where requests go; `None` once no more are accepted.
    taker: Option<mpsc::UnboundedSender<Incoming>>,
    /// Those that have not been answered.
    open: HashMap<u64, CancellationToken>,
    /// The number of the request to shut down, which is answered when no other one is open.
    shutdown: Option<u64>,
}

impl Taken {
    pub(crate) fn new(shared: Arc<Shared>, taker: mpsc::UnboundedSender<Incoming>, room_bytes: usize) -> Taken {
        let state = State { taker: Some(taker), open: HashMap::new(), shutdown: None };
        let room = Arc::new(Semaphore::new(room_bytes));
        Taken { inner: Arc::new(Inner { shared, state: Mutex::new(state), room, room_bytes }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request came.
    pub(crate) fn take(&self, request: Request) {
        let id = request.id;
        match request.kind {
            RequestType::Ping => self.reply(id, Status::Success(Json::null())),
            RequestType::Cancel => {
                #[derive(Deserialize)]
                struct Cancel {
                    id: u64,
                }
                // An unknown id is no error: the request was answered meanwhile.
                if let Ok(Cancel { id }) = request.payload.read()
                    && let Some(token) = self.state().open.get(&id)
                {
                    token.cancel();
                }
                self.reply(id, Status::Success(Json::null()));
            }
            RequestType::Shutdown => {
                let mut state = self.state();
                state.taker = None;
                state.shutdown = id;
                self.shut_down_if_idle(&state);
            }
            RequestType::Unknown(ref name) => {
                let reason = format!("expected a type of request that this version knows, found {name:?}");
                self.reply(id, Failure::new(ErrorCode::UnknownType, reason).into());
            }
            RequestType::Init
            | RequestType::Command
            | RequestType::Query
            | RequestType::Mutation
            | RequestType::Event => {
                let mut state = self.state();
                let Some(taker) = state.taker.clone() else { return };
                let cancelled = CancellationToken::new();
                if let Some(id) = id {
                    state.open.insert(id, cancelled.clone());
                }
                drop(state);
                // Without a receiver it is dropped, which answers it.
                let _ = taker.send(Incoming::new(request, cancelled, self.clone()));
            }
        }
    }

    /// A handler has answered.
    pub(crate) fn answer(&self, id: Option<u64>, status: Status) {
        self.reply(id, status);
        let mut state = self.state();
        if let Some(id) = id {
            state.open.remove(&id);
        }
        self.shut_down_if_idle(&state);
    }

    fn shut_down_if_idle(&self, state: &State) {
        if let (Some(id), true) = (state.shutdown, state.open.is_empty()) {
            self.reply(Some(id), Status::Success(Json::null()));
            self.inner.shared.table().close_when_sent();
            self.inner.shared.to_send.notify_one();
        }
    }

    fn reply(&self, id: Option<u64>, status: Status) {
        let Some(id) = id else { return };
        let frame = self.encode(id, status).unwrap_or_else(|error| {
            let failure = Failure::new(ErrorCode::FrameTooLarge, format!("the module's answer is too long: {error}"));
            self.encode(id, failure.into()).expect("a sentence fits into every frame")
        });
        self.send(frame, None);
    }

    /// Sends progress; waits while too much of it is queued.
    ///
    /// # Errors
    /// When it is longer than a frame may be.
    pub(crate) async fn progress(&self, id: u64, data: Json) -> Result<(), FrameError> {
        let frame = self.encode(id, Status::Progress(data))?;
        let permits = u32::try_from(frame.len().min(self.inner.room_bytes)).expect("the most that there are is less");
        let room = self.inner.room.clone().acquire_many_owned(permits).await.expect("it is never closed");
        self.send(frame, Some(room));
        Ok(())
    }

    fn encode(&self, id: u64, status: Status) -> Result<Bytes, FrameError> {
        self.inner.shared.encode(&Message::Response(Response::new(id, status)))
    }

    fn send(&self, frame: Bytes, room: Option<OwnedSemaphorePermit>) {
        bulkhead_child::end_copy();
        self.inner.shared.table().reply(frame, room);
        self.inner.shared.to_send.notify_one();
    }

    /// The connection has ended: no answer is waited for any more.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.taker = None;
        state.open.drain().for_each(|(_, cancelled)| cancelled.cancel());
    }
}
