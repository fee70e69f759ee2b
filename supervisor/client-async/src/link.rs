//! One stream to the other end, cut into frames: what is read goes to the table and to the handler of requests, what
//! the table has to send is written. Reading continues while a write waits, so neither end can hold up both.

use crate::{
    error::EndReason,
    table::{Next, Table},
    taken::Taken,
};
use bulkhead_protocol::{
    Delivery, ErrorCode, FrameError, Json, Message, Request, RequestType, Response, Status,
    limits::{FRAME_BYTES_MAX_HIGHEST, LENGTH_PREFIX_BYTES, REWRITE_BYTES_MAX},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};
use tokio_util::{
    codec::{FramedRead, FramedWrite, LengthDelimitedCodec},
    sync::CancellationToken,
};

/// What a connection and its task share.
#[derive(Debug)]
pub(crate) struct Shared {
    table: Mutex<Table>,
    /// Notified when there is something to send.
    pub(crate) to_send: Notify,
    /// Set when this program closes the connection.
    pub(crate) closing: CancellationToken,
    /// Longest frame that the other end accepts.
    frame_bytes_max: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(frame_bytes_max: usize) -> Arc<Shared> {
        Arc::new(Shared {
            table: Mutex::default(),
            to_send: Notify::new(),
            closing: CancellationToken::new(),
            frame_bytes_max: frame_bytes_max.into(),
        })
    }

    pub(crate) fn set_frame_bytes_max(&self, frame_bytes_max: usize) {
        self.frame_bytes_max.store(frame_bytes_max, Ordering::Relaxed);
    }

    /// The body of a frame: the codec writes the prefix.
    ///
    /// # Errors
    /// When it is longer than a frame may be.
    pub(crate) fn encode(&self, message: &Message) -> Result<Bytes, FrameError> {
        content(message, self.frame_bytes_max.load(Ordering::Relaxed))
    }

    /// No code panics while it is locked, and it is whole after each step.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two directions of a stream.
pub(crate) struct Halves {
    input: Box<dyn AsyncRead + Send + Unpin>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Halves {
    pub(crate) fn new(
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Halves {
        Halves { input: Box::new(input), output: Box::new(output) }
    }
}

/// How a stream ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) reason: EndReason,
    /// The other end has reported that it began nothing that was sent.
    pub(crate) is_unbegun: bool,
}

impl From<EndReason> for End {
    fn from(reason: EndReason) -> End {
        End { reason, is_unbegun: false }
    }
}

/// The largest limit that a host may be configured to is allowed on the way in: the host is trusted, and memory
/// grows only with what arrives.
fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(LENGTH_PREFIX_BYTES)
        .max_frame_length(FRAME_BYTES_MAX_HIGHEST + REWRITE_BYTES_MAX)
        .new_codec()
}

/// Serves a stream until it ends or this program closes it. Requests of the other end go to `taken`: today's hosts send
/// their clients no requests; those of a later host are ignored.
pub(crate) async fn serve(stream: Halves, shared: &Shared, taken: Option<&Taken>) -> End {
    let Halves { input, output } = stream;
    let reading = read(FramedRead::new(input, codec()), shared, taken);
    let writing = write(FramedWrite::new(output, codec()), shared);
    tokio::select! {
        // Received messages are handled first: one may say why the other end closes.
        biased;
        end = reading => end,
        written = writing => match written {
            Ok(()) => EndReason::ClosedHere.into(),
            Err(error) => EndReason::Broken(Arc::new(error)).into(),
        },
        () = shared.closing.cancelled() => EndReason::ClosedHere.into(),
    }
}

async fn read(
    mut input: FramedRead<impl AsyncRead + Unpin, LengthDelimitedCodec>,
    shared: &Shared,
    taken: Option<&Taken>,
) -> End {
    loop {
        let frame = match input.next().await {
            None => return EndReason::Closed.into(),
            Some(Err(error)) => return EndReason::Broken(Arc::new(error)).into(),
            Some(Ok(frame)) => frame,
        };
        match Message::decode(&frame) {
            Err(error) => return EndReason::NoMessage(error.reason).into(),
            Ok(Message::Response(response)) => {
                if let Some(end) = shared.table().answered(response).and_then(refusal) {
                    return end;
                }
            }
            Ok(Message::Request(request)) => {
                if let Some(taken) = taken {
                    taken.take(request);
                }
            }
        }
    }
}

/// What an answer without a request means for the connection: a host that runs out of connections closes idle ones, and
/// reports that it began nothing.
fn refusal(response: Response) -> Option<End> {
    let Status::Error(failure) = response.status else { return None };
    // It only reports one invalid message, which the caller's encoder does not make.
    if failure.code == ErrorCode::BadRequest {
        return None;
    }
    let is_unbegun = failure.delivery == Some(Delivery::NotStarted);
    Some(End { reason: EndReason::Refused(failure), is_unbegun })
}

/// Writes what there is to send, and waits for more; returns when the connection is to end.
async fn write(
    mut output: FramedWrite<impl AsyncWrite + Unpin, LengthDelimitedCodec>,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let next = shared.table().next();
        match next {
            Some(Next::Frame(frame)) => output.feed(frame).await?,
            Some(Next::Cancel { id, of }) => output.feed(cancel(id, of)).await?,
            None => {
                SinkExt::<Bytes>::flush(&mut output).await?;
                if shared.table().is_done() {
                    return Ok(());
                }
                shared.to_send.notified().await;
            }
        }
    }
}

fn content(message: &Message, frame_bytes_max: usize) -> Result<Bytes, FrameError> {
    let mut frame = Vec::new();
    message.encode(&mut frame, frame_bytes_max)?;
    Ok(Bytes::from(frame).slice(LENGTH_PREFIX_BYTES..))
}

fn cancel(id: u64, of: u64) -> Bytes {
    let request = Request::new(id, RequestType::Cancel, Json::of(&serde_json::json!({ "id": of })));
    content(&Message::Request(request), FRAME_BYTES_MAX_HIGHEST).expect("a cancel is short")
}
