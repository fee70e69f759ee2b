//! The module from `init` to its exit code.

use crate::call::{Server, handle};
use crate::program::Program;
use crate::session::{self, Lasts, Started};
use bulkhead_child::{EXIT_FAILURE, EXIT_PERMANENT, EXIT_USAGE, log};
use bulkhead_client_async::{Connection, Incoming, Requests, Starting};
use bulkhead_protocol::{ErrorCode, Failure, PROTOCOL_VERSION, Ready};
use rmcp::service::{QuitReason, RunningServiceCancellationToken};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};

/// How long the rest of an end is waited for: the last lines of an output, the last answers.
const REST_MAX: Duration = Duration::from_secs(1);

/// Serves a server's tools to the host until the host says `shutdown` or is gone, or the server ends. Returns the exit
/// code. Requests that have no answer then are not answered.
pub(crate) async fn serve(command: &[String]) -> u8 {
    let starting = match Starting::open().await {
        Ok(starting) => starting,
        Err(error) => {
            eprintln!("module-runtime-mcp: {error}");
            return EXIT_USAGE;
        }
    };
    let init = starting.init();
    if init.protocol != PROTOCOL_VERSION {
        let sentence =
            format!("this runtime speaks version {PROTOCOL_VERSION} of the wire, the host speaks {}", init.protocol);
        return refuse(starting, sentence, EXIT_PERMANENT).await;
    }
    match session::start(command, init.limits.frame_bytes_max).await {
        Ok(started) => Module::new(starting, started).serve().await,
        Err(fault) => {
            let code = match fault.lasts {
                Lasts::ForNow => EXIT_FAILURE,
                Lasts::ForGood => EXIT_PERMANENT,
            };
            refuse(starting, fault.sentence, code).await
        }
    }
}

async fn refuse(starting: Starting, sentence: String, code: u8) -> u8 {
    log!(error, "the MCP server cannot start: {sentence}");
    starting.refuse(Failure::new(ErrorCode::ModuleError, sentence)).await;
    code
}

type Session = Pin<Box<dyn Future<Output = Result<QuitReason, JoinError>>>>;

/// A module that is ready.
struct Module {
    connection: Connection,
    requests: Requests,
    server: Arc<Server>,
    program: Program,
    /// Ends when nothing more comes from the server.
    session: Session,
    close: RunningServiceCancellationToken,
    calls: JoinSet<Option<Incoming>>,
    /// Calls that the server will not answer. Dropping them would answer them.
    lost: Vec<Incoming>,
}

impl Module {
    fn new(starting: Starting, started: Started) -> Module {
        let Started { service, program, shared, changed, tools } = started;
        let info = service.peer_info();
        let identity = info.as_ref().and_then(|info| info.server_info.clone());
        let (name, version) = identity.map_or_else(
            || (starting.init().module.clone(), String::new()),
            |identity| (identity.name, identity.version),
        );
        let description = info.and_then(|info| info.instructions.clone()).unwrap_or_default();
        let commands = tools.commands().to_vec();
        let ready = Ready { name, version, description, protocol: PROTOCOL_VERSION, commands, features: Vec::new() };
        let server = Server::new(service.peer().clone(), shared, tools);
        tokio::spawn(follow_tools(server.clone(), changed));
        let close = service.cancellation_token();
        let session: Session = Box::pin(service.waiting());
        let (connection, requests) = starting.ready(ready);
        Module { connection, requests, server, program, session, close, calls: JoinSet::new(), lost: Vec::new() }
    }

    async fn serve(mut self) -> u8 {
        loop {
            tokio::select! {
                request = self.requests.next() => match request {
                    Some(request) => _ = self.calls.spawn(handle(request, self.server.clone())),
                    None => return self.shut_down().await,
                },
                Some(ended) = self.calls.join_next() => self.lost.extend(ended.ok().flatten()),
                _ = &mut self.session => return self.server_ended(Seen::Output).await,
                _ = self.program.exited() => return self.server_ended(Seen::Exit).await,
            }
        }
    }

    /// Lets the calls end, then the server: by the end of its input, as MCP has it.
    async fn shut_down(mut self) -> u8 {
        loop {
            tokio::select! {
                () = self.connection.closed() => break,
                Some(ended) = self.calls.join_next() => self.lost.extend(ended.ok().flatten()),
                _ = &mut self.session => return self.server_ended(Seen::Output).await,
                _ = self.program.exited() => return self.server_ended(Seen::Exit).await,
            }
        }
        self.close.cancel();
        let _ = tokio::time::timeout(REST_MAX, &mut self.session).await;
        self.program.end().await;
        forget(self.calls, self.lost);
        0
    }

    /// The server ended or is to be ended. What it had answered is handed on; the rest stays open, so that the host
    /// learns of it from the end of this process, as from the end of any module.
    async fn server_ended(mut self, seen: Seen) -> u8 {
        match seen {
            Seen::Output => {}
            // Its output may hold answers still; or another process holds it open.
            Seen::Exit => _ = tokio::time::timeout(REST_MAX, &mut self.session).await,
        }
        while let Ok(Some(ended)) = tokio::time::timeout(REST_MAX, self.calls.join_next()).await {
            self.lost.extend(ended.ok().flatten());
        }
        let exit = self.program.exited_within(REST_MAX).await;
        let what = match (self.server.shared.fault(), exit) {
            (Some(fault), _) => format!("{fault}; it is ended"),
            (None, Some(exit)) => format!("the MCP server ended with {exit} without being asked to"),
            (None, None) => "the MCP server closed its standard output; it is ended".to_owned(),
        };
        let open = self.lost.len() + self.calls.len();
        match open {
            0 => log!(error, "{what}"),
            1 => log!(error, "{what}, with 1 call that it had not answered"),
            open => log!(error, "{what}, with {open} calls that it had not answered"),
        }
        let _ = tokio::time::timeout(REST_MAX, self.connection.finish()).await;
        forget(self.calls, self.lost);
        EXIT_FAILURE
    }
}

/// By what the end of the server was noticed.
#[derive(Clone, Copy)]
enum Seen {
    Output,
    Exit,
}

/// Keeps requests from being answered by being dropped. The process ends now.
fn forget(calls: JoinSet<Option<Incoming>>, lost: Vec<Incoming>) {
    std::mem::forget(calls);
    std::mem::forget(lost);
}

/// Asks for the tools anew whenever the server says that they changed.
async fn follow_tools(server: Arc<Server>, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        match session::tools(&server.peer).await {
            Ok(tools) => {
                log!(
                    info,
                    "the MCP server changed its tools; there are {} commands now, which can be called; `describe` shows \
                     those of the start until the module is reloaded, and the command list_tools the present ones",
                    tools.commands().len()
                );
                server.set_tools(tools);
            }
            Err(sentence) => log!(warn, "the MCP server changed its tools, and they stay as they were: {sentence}"),
        }
    }
}
