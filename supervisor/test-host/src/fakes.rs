//! Modules that the test answers. Each is a module to the host, with a process that carries its channel here; what is
//! asked of it goes to the test under an id of the test host's, and the test's answer goes back. `init`, `ping` and
//! `shutdown` are answered here, and so is a request that is cancelled, so that no fake ever hangs.

use crate::loading::Fake;
use crate::test_side::{ToTest, each_frame};
use bulkhead_protocol::{ErrorCode, Failure, Json, Message, Request, RequestType, Response, Status};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// All fakes of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fakes(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<HashMap<u64, Asked>>,
    last_id: AtomicU64,
}

/// A request that the test has not answered.
#[derive(Debug)]
struct Asked {
    channel: Channel,
    /// The host's number of it.
    id: u64,
}

/// The way to the host of one process of a fake.
#[derive(Clone, Debug)]
struct Channel {
    stream: Arc<Mutex<UnixStream>>,
    frame_bytes_max: usize,
    /// Which connection this is, among all that were ever made.
    number: u64,
}

impl Channel {
    /// A process that is gone needs no answer.
    fn send(&self, response: &Response) {
        let mut bytes = Vec::new();
        let sent = response
            .encode(&mut bytes, self.frame_bytes_max)
            .map_err(io::Error::other)
            .and_then(|()| self.stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes));
        if let (Err(error), Some(id)) = (sent, response.id)
            && error.kind() == io::ErrorKind::Other
        {
            let failure = Failure::new(ErrorCode::FrameTooLarge, error.to_string());
            self.send(&Response::new(id, failure));
        }
    }
}

impl Fakes {
    /// Waits for the process of a fake, and for each that replaces it.
    ///
    /// # Errors
    /// When its socket cannot be had.
    pub(crate) fn listen(&self, fake: &Fake, to_test: &ToTest, frame_bytes_max: usize) -> io::Result<()> {
        let listener = UnixListener::bind(&fake.socket)?;
        let (fakes, name, to_test) = (self.clone(), fake.name.clone(), to_test.clone());
        thread::Builder::new().name(format!("fake {name}")).spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = fakes.next_id();
                let Ok(writing) = stream.try_clone() else { continue };
                let channel = Channel { stream: Arc::new(Mutex::new(writing)), frame_bytes_max, number };
                fakes.serve(stream, &channel, &name, &to_test);
                fakes.forget(&channel);
            }
        })?;
        Ok(())
    }

    /// The test's answer, or its progress. One that comes too late is dropped.
    pub(crate) fn answer(&self, response: Response) {
        let Some(own) = response.id else { return };
        let mut all = self.all();
        let is_progress = matches!(response.status, Status::Progress(_));
        let asked = match is_progress {
            true => all.get(&own).map(|asked| Asked { channel: asked.channel.clone(), id: asked.id }),
            false => all.remove(&own),
        };
        drop(all);
        match asked {
            Some(Asked { channel, id }) => channel.send(&Response::new(id, response.status)),
            None if own > self.0.last_id.load(Ordering::Relaxed) => {
                eprintln!(
                    "bulkhead test-host: an answer to request {own} was dropped: the test was sent none of this id"
                );
            }
            None => {}
        }
    }

    fn serve(&self, mut stream: UnixStream, channel: &Channel, name: &str, to_test: &ToTest) {
        // Its end is the process's end, which the host judges.
        let _ = each_frame(&mut stream, channel.frame_bytes_max + 64, |content| {
            if let Ok(Message::Request(request)) = Message::decode(content) {
                self.take(request, channel, name, to_test)?;
            }
            Ok(())
        });
    }

    /// One request of the host.
    fn take(&self, request: Request, channel: &Channel, name: &str, to_test: &ToTest) -> io::Result<()> {
        let Some(id) = request.id else { return Ok(()) };
        let done = || channel.send(&Response::success(id, Json::null()));
        match request.kind {
            RequestType::Init => channel.send(&Response::success(id, ready(name))),
            RequestType::Ping | RequestType::Shutdown => done(),
            RequestType::Cancel => {
                done();
                if let Some(own) = self.cancel(&request.payload, channel) {
                    let payload = Json::of(&serde_json::json!({ "id": own }));
                    let cancel = Request::new(self.next_id(), RequestType::Cancel, payload).to(name);
                    return to_test.send(&Message::Request(cancel));
                }
            }
            RequestType::Command
            | RequestType::Query
            | RequestType::Mutation
            | RequestType::Event
            | RequestType::Unknown(_) => {
                let own = self.next_id();
                self.all().insert(own, Asked { channel: channel.clone(), id });
                return to_test.send(&Message::Request(Request {
                    id: Some(own),
                    to: Some(name.to_owned()),
                    ..request
                }));
            }
        }
        Ok(())
    }

    /// Answers a request that its caller does not want any more, and returns the test's number of it.
    fn cancel(&self, payload: &Json, channel: &Channel) -> Option<u64> {
        #[derive(Deserialize)]
        struct Cancelled {
            id: u64,
        }
        let Cancelled { id } = payload.read().ok()?;
        let mut all = self.all();
        let is_it = |asked: &Asked| asked.id == id && asked.channel.number == channel.number;
        let own = all.iter().find(|(_, asked)| is_it(asked)).map(|(own, _)| *own)?;
        all.remove(&own);
        drop(all);
        channel.send(&Response::new(id, Failure::new(ErrorCode::Cancelled, "the caller does not wait any more")));
        Some(own)
    }

    fn forget(&self, channel: &Channel) {
        self.all().retain(|_, asked| asked.channel.number != channel.number);
    }

    fn next_id(&self) -> u64 {
        self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Asked>> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to `init`. The test may answer in any order.
fn ready(name: &str) -> Json {
    Json::of(&serde_json::json!({
        "name": name,
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": bulkhead_protocol::PROTOCOL_VERSION,
        "description": "is answered by a test",
        "features": ["concurrent"],
    }))
}
