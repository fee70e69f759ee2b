//! The MCP server: what the client asks, asked of the daemon.

use crate::catalogue::{Catalogue, Target};
use crate::daemon::{Daemon, Scope};
use crate::resources::{self, ReadError};
use crate::result;
use bulkhead_client_async::{Answers, Error};
use bulkhead_protocol::{Delivery, Json, Status};
use futures_util::StreamExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, Implementation, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, ServerCapabilities, ServerConfig, SubscriptionFilter,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ServerHandler, service::Peer};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

const INSTRUCTIONS: &str = "Each tool is a command of a module that Bulkhead runs and supervises, named \
    MODULE__COMMAND. A failed call says whether it was begun, so that you know whether calling again may do something \
    twice. The last lines of the log and the crash records of each module are resources.";

/// The server.
#[derive(Clone)]
pub(crate) struct Facade {
    shared: Arc<Shared>,
}

struct Shared {
    daemon: Daemon,
    scope: Scope,
    timeout: Option<Duration>,
    /// What was there when it was last looked at, which is what the client was shown.
    catalogue: Mutex<Arc<Catalogue>>,
    /// How often that changed.
    changes: watch::Sender<u64>,
}

impl Facade {
    pub(crate) fn new(daemon: Daemon, scope: Scope, timeout: Option<Duration>) -> Facade {
        let shared = Shared { daemon, scope, timeout, catalogue: Mutex::default(), changes: watch::Sender::new(0) };
        Facade { shared: Arc::new(shared) }
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        &self.shared.daemon
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.catalogue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at what there is now, and reports if it changed.
    ///
    /// # Errors
    /// A sentence: what was there before stays.
    pub(crate) async fn refresh(&self) -> Result<Arc<Catalogue>, String> {
        let found = Arc::new(self.shared.daemon.catalogue(&self.shared.scope).await?);
        let mut kept = self.shared.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept != found {
            if found.left_out > 0 {
                eprintln!(
                    "bulkhead mcp: {} commands are not shown, as there are too many; name modules with --module",
                    found.left_out
                );
            }
            *kept = found.clone();
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
        Ok(found)
    }

    /// What there is now, or was when the daemon was last there.
    async fn present(&self) -> Arc<Catalogue> {
        self.refresh().await.unwrap_or_else(|sentence| {
            eprintln!("bulkhead mcp: {sentence}");
            self.catalogue()
        })
    }

    /// Says to a client that has greeted by `initialize` when the lists have changed. One that has not asks for that.
    pub(crate) async fn report_changes(self, client: Peer<RoleServer>) {
        let mut changes = self.shared.changes.subscribe();
        while changes.changed().await.is_ok() {
            if client.peer_info().is_none() {
                continue;
            }
            if client.notify_tool_list_changed().await.is_err() || client.notify_resource_list_changed().await.is_err()
            {
                return;
            }
        }
    }

    async fn target(&self, name: &str) -> Option<Target> {
        if let Some(target) = self.catalogue().target(name) {
            return Some(target.clone());
        }
        // The client may know it from before.
        self.present().await.target(name).cloned()
    }

    async fn call(
        &self,
        target: &Target,
        args: &Json,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let connection = match self.shared.daemon.connection().await {
            Ok(connection) => connection,
            Err(sentence) => return Ok(result::unanswered(sentence, Delivery::NotStarted)),
        };
        let sent = Daemon::send(&connection, &target.module, &target.command, args, self.shared.timeout).await;
        let mut answers = match sent {
            Ok(answers) => answers,
            Err(error) => return Ok(unanswered(error)),
        };
        tokio::select! {
            ended = ended(target, &mut answers, context) => Ok(ended),
            // Dropping the answers cancels the request at the host. MCP wants no answer to a request that was cancelled.
            () = context.ct.cancelled() => Err(ErrorData::internal_error("cancelled", None)),
        }
    }
}

/// Passes progress on until the call has ended.
async fn ended(target: &Target, answers: &mut Answers, context: &RequestContext<RoleServer>) -> CallToolResult {
    let token = context.meta.get_progress_token();
    let mut number = 0;
    while let Some(answer) = answers.next().await {
        match answer.map(|answer| answer.status) {
            Ok(Status::Progress(data)) => {
                number += 1;
                if let Some(token) = token.clone() {
                    // A client that is gone ends the program elsewhere.
                    let _ = context.peer.notify_progress(result::progress(token, &data, number)).await;
                }
            }
            Ok(Status::Success(data)) => return result::success(target, &data),
            Ok(Status::Error(failure)) => return result::failure(target, &failure),
            Err(error) => return unanswered(error),
        }
    }
    result::unanswered("the call ended without an answer".to_owned(), Delivery::Unknown)
}

fn unanswered(error: Error) -> CallToolResult {
    let delivery = match &error {
        Error::TooLarge(_) => Delivery::NotStarted,
        Error::Ended { delivery, .. } => *delivery,
        Error::TimedOut => Delivery::Unknown,
    };
    let sentence = match error {
        Error::TooLarge(error) => format!("the call is too long for Bulkhead's daemon: {error}"),
        Error::Ended { reason, .. } => format!("Bulkhead's daemon went away before it had answered: {reason}"),
        Error::TimedOut => "Bulkhead's daemon did not answer in time".to_owned(),
    };
    result::unanswered(sentence, delivery)
}

fn failed(sentence: String) -> ErrorData {
    ErrorData::internal_error(sentence, None)
}

impl ServerHandler for Facade {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("bulkhead", env!("CARGO_PKG_VERSION")).with_title("Bulkhead"))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.present().await.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(target) = self.target(&request.name).await else {
            // Without the daemon, no tool is known.
            if let Err(sentence) = self.shared.daemon.connection().await {
                return Ok(result::unanswered(sentence, Delivery::NotStarted).into());
            }
            let sentence = format!("there is no tool {:?}; the list of tools may have changed", request.name);
            return Err(ErrorData::invalid_params(sentence, None));
        };
        let args = target.arguments(request.arguments);
        self.call(&target, &args, &context).await.map(CallToolResponse::from)
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(resources::list(&self.present().await.modules)))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let Shared { daemon, scope, .. } = &*self.shared;
        match resources::contents(daemon, scope, &request.uri).await {
            Ok(contents) => Ok(ReadResourceResult::new(vec![contents]).into()),
            Err(ReadError::NotFound(sentence)) => Err(ErrorData::resource_not_found(sentence, None)),
            Err(ReadError::Failed(error)) => Err(failed(error.to_string())),
        }
    }

    fn accepted_subscription_filter(&self, _requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().resources_list_changed().build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.shared.changes.subscribe();
        let accepted = context.accepted().clone();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
            }
            let sink = context.sink();
            if accepted.tools_list_changed == Some(true) && sink.notify_tool_list_changed().await.is_err() {
                return Ok(());
            }
            if accepted.resources_list_changed == Some(true) && sink.notify_resource_list_changed().await.is_err() {
                return Ok(());
            }
        }
    }
}
