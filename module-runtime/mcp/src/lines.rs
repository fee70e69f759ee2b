//! The transport of MCP's stdio: one message on each line, over two pipes. What is no message goes to the log and ends
//! nothing; a line that is too long ends the session, since its answer would be missing.

use crate::message::{self, Line};
use crate::open::OpenCalls;
use crate::program::Pipes;
use bulkhead_child::{log, log::line};
use futures_util::StreamExt;
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Mutex;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};

/// What the transport and the rest share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The longest line that is accepted, in bytes.
    line_bytes_max: usize,
    pub(crate) open: OpenCalls,
    /// Why nothing more is read, where the server is at fault.
    fault: OnceLock<String>,
}

impl Shared {
    pub(crate) fn new(line_bytes_max: usize) -> Arc<Shared> {
        Arc::new(Shared { line_bytes_max, open: OpenCalls::default(), fault: OnceLock::new() })
    }

    /// Why the session ended, where that is known better than by the end of the process.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }
}

/// Both directions.
pub(crate) struct Lines {
    input: FramedRead<Receiver, AnyDelimiterCodec>,
    /// `None` once it is closed.
    output: Arc<Mutex<Option<Sender>>>,
    shared: Arc<Shared>,
}

impl Lines {
    pub(crate) fn new(pipes: Pipes, shared: Arc<Shared>) -> Lines {
        let ends = || b"\n".to_vec();
        let codec = AnyDelimiterCodec::new_with_max_length(ends(), ends(), shared.line_bytes_max);
        let input = FramedRead::new(pipes.output, codec);
        Lines { input, output: Arc::new(Mutex::new(Some(pipes.input))), shared }
    }

    /// The next line; `None` at the end.
    async fn line(&mut self) -> Option<Line> {
        match self.input.next().await? {
            Ok(bytes) => Some(message::read(&bytes)),
            Err(AnyDelimiterCodecError::MaxChunkLengthExceeded) => {
                let limit = self.shared.line_bytes_max;
                let fault = format!(
                    "the MCP server wrote a line of more than {limit} bytes, which is the limit (frame_bytes_max of \
                     the host)"
                );
                let _ = self.shared.fault.set(fault);
                None
            }
            // A pipe has no errors of its own; any counts as its end.
            Err(AnyDelimiterCodecError::Io(_)) => None,
        }
    }
}

impl Transport<RoleClient> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let mut text = serde_json::to_vec(&message)?;
            text.push(b'\n');
            let mut output = output.lock().await;
            let output = output.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            output.write_all(&text).await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.line().await? {
                Line::Nothing => {}
                Line::Message(message, result) => {
                    if let Some((number, result)) = result {
                        self.shared.open.answered(number, result);
                    }
                    return Some(*message);
                }
                Line::Progress(token, data) => self.shared.open.progress(token, data),
                Line::Log(level, text) => line(level, format_args!("{text}")),
                Line::Banner(quoted) => log!(
                    warn,
                    "the MCP server wrote a line to standard output that is no message of MCP; let it write to \
                     standard error instead: {quoted}"
                ),
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.output.lock().await.take();
        Ok(())
    }
}
