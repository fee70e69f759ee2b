//! The start of a server: its process, MCP's greeting, its tools.

use crate::lines::{Lines, Shared};
use crate::program::Program;
use crate::tools::{Repeated, TOOLS_MAX, Tools};
use bulkhead_child::log;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ErrorCode, Implementation, PaginatedRequestParams, ProtocolVersion, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, NotificationContext, Peer, RunningService,
    ServiceError,
};
use rmcp::{ClientHandler, RoleClient};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// After so long without an answer to the greeting, a line in the log says what is waited for. The host's
/// `start_timeout`, which ends the start, is 10 s by default.
const HINT_AFTER: Duration = Duration::from_secs(4);

/// How long the end of a process is waited for whose output has ended.
const EXIT_MAX: Duration = Duration::from_secs(1);

/// How many pages a list of tools may have.
const PAGES_MAX: usize = 100;

/// How much of what the server sent is in a sentence about it, in bytes.
const FOUND_BYTES_MAX: usize = 500;

/// A server that has greeted.
pub(crate) struct Started {
    pub(crate) service: RunningService<RoleClient, Handler>,
    pub(crate) program: Program,
    pub(crate) shared: Arc<Shared>,
    pub(crate) changed: Arc<Notify>,
    pub(crate) tools: Tools,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) struct StartFault {
    pub(crate) sentence: String,
    pub(crate) lasts: Lasts,
}

/// Whether another start may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasts {
    ForNow,
    ForGood,
}

/// What the client does with what the server says unasked. Progress and lines for the log never come here: the
/// transport takes them, since their order counts.
pub(crate) struct Handler {
    changed: Arc<Notify>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        // No sampling, no elicitation, no roots: no person and no model is here.
        let this = Implementation::new("bulkhead", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), this)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

/// Starts a server and asks for its tools. One that knows the greeting of MCP 2026-07-28 only is started a second time.
///
/// # Errors
/// Why it is not there.
pub(crate) async fn start(command: &[String], line_bytes_max: usize) -> Result<Started, StartFault> {
    let started = match greet(command, line_bytes_max, ClientLifecycleMode::Initialize).await {
        Err(Ungreeted::OtherGreeting) => {
            let preferred_versions = vec![ProtocolVersion::NO_INITIALIZE];
            greet(command, line_bytes_max, ClientLifecycleMode::Discover { preferred_versions }).await
        }
        started => started,
    };
    let mut started = started.map_err(|error| match error {
        Ungreeted::Fault(fault) => fault,
        Ungreeted::OtherGreeting => for_now("the MCP server knows no greeting that this runtime knows".to_owned()),
    })?;
    if started.service.peer_info().is_some_and(|info| info.capabilities.tools.is_none()) {
        log!(warn, "the MCP server offers no tools, so the module has no commands of it");
        started.tools = Tools::of(&[]).expect("no name stands there twice");
        return Ok(started);
    }
    match tools(started.service.peer()).await {
        Ok(tools) => started.tools = tools,
        Err(sentence) => return Err(for_now(sentence)),
    }
    Ok(started)
}

/// The present tools.
///
/// # Errors
/// A sentence.
pub(crate) async fn tools(server: &Peer<RoleClient>) -> Result<Tools, String> {
    let tools = list(server).await?;
    Tools::of(&tools)
        .map_err(|Repeated(name)| format!("expected each tool of the MCP server once, found {name:?} twice"))
}

async fn list(server: &Peer<RoleClient>) -> Result<Vec<Tool>, String> {
    let (mut tools, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = server.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await;
        let page = page.map_err(|error| match error {
            ServiceError::UnexpectedResponse => {
                "expected a list of tools as the MCP server's answer to tools/list, found something else".to_owned()
            }
            error => format!("the MCP server did not answer tools/list: {error}"),
        })?;
        tools.extend(page.tools);
        if tools.len() > TOOLS_MAX {
            return Err(format!("expected at most {TOOLS_MAX} tools of the MCP server, found more"));
        }
        match page.next_cursor {
            None => return Ok(tools),
            next => cursor = next,
        }
    }
    Err(format!("expected the MCP server's list of tools on at most {PAGES_MAX} pages, found more"))
}

/// Why a greeting had no success.
enum Ungreeted {
    /// The server knows the greeting of another version of MCP only.
    OtherGreeting,
    Fault(StartFault),
}

async fn greet(command: &[String], line_bytes_max: usize, greeting: ClientLifecycleMode) -> Result<Started, Ungreeted> {
    let (mut program, pipes) =
        Program::start(command).map_err(|error| Ungreeted::Fault(not_started(&command[0], &error)))?;
    let (shared, changed) = (Shared::new(line_bytes_max), Arc::new(Notify::new()));
    let handler = Handler { changed: changed.clone() };
    let is_initialize = greeting == ClientLifecycleMode::Initialize;
    let served = handler.serve_with_lifecycle(Lines::new(pipes, shared.clone()), greeting);
    match hinted(served).await {
        Ok(service) => Ok(Started { service, program, shared, changed, tools: Tools::default() }),
        Err(ClientInitializeError::JsonRpcError(error))
            if is_initialize
                && [ErrorCode::METHOD_NOT_FOUND, ErrorCode::UNSUPPORTED_PROTOCOL_VERSION].contains(&error.code) =>
        {
            program.end().await;
            Err(Ungreeted::OtherGreeting)
        }
        Err(error) => Err(Ungreeted::Fault(for_now(ungreeted(&error, &shared, &mut program).await))),
    }
}

/// Waits, and says after a while what for.
async fn hinted<T>(greeting: impl Future<Output = T>) -> T {
    let mut greeting = std::pin::pin!(greeting);
    if let Ok(served) = tokio::time::timeout(HINT_AFTER, &mut greeting).await {
        return served;
    }
    log!(
        warn,
        "the MCP server has not answered \"initialize\" for {} s; it is started as `command` in the manifest says, and \
         has to speak MCP over its standard input and output; where it is loaded first, as by `npx` or `uvx`, \
         `start_timeout` in [limits] gives it longer",
        HINT_AFTER.as_secs()
    );
    greeting.await
}

async fn ungreeted(error: &ClientInitializeError, shared: &Shared, program: &mut Program) -> String {
    if let Some(fault) = shared.fault() {
        return fault.to_owned();
    }
    match error {
        ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. } => {
            match program.exited_within(EXIT_MAX).await {
                Some(exit) => format!("the MCP server ended with {exit} before it had answered \"initialize\""),
                None => "the MCP server closed its standard output before it had answered \"initialize\"".to_owned(),
            }
        }
        ClientInitializeError::JsonRpcError(error) => {
            format!("the MCP server refused the greeting: {} (code {})", error.message, error.code.0)
        }
        error => {
            let mut found = error.to_string();
            found.truncate(found.floor_char_boundary(FOUND_BYTES_MAX));
            format!("the MCP server's answer to the greeting is not the one that was expected: {found}")
        }
    }
}

fn not_started(program: &str, error: &io::Error) -> StartFault {
    let lasts = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => Lasts::ForGood,
        _ if error.raw_os_error() == Some(nix::libc::ENOEXEC) => Lasts::ForGood,
        _ => Lasts::ForNow,
    };
    StartFault { sentence: format!("program '{program}' cannot be started: {error}"), lasts }
}

fn for_now(sentence: String) -> StartFault {
    StartFault { sentence, lasts: Lasts::ForNow }
}
