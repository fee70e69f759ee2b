//! One request of the host: which tool it calls, its progress, its cancellation, its answer.

use crate::answer;
use crate::lines::Shared;
use crate::tools::{LIST_TOOLS, Tools};
use bulkhead_child::Error;
use bulkhead_client_async::Incoming;
use bulkhead_protocol::{ErrorCode, Failure, Json, RequestType};
use rmcp::RoleClient;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, JsonObject, PingRequest};
use rmcp::service::{Peer, PeerRequestOptions, RequestHandle, ServiceError};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

/// What the requests of the host have in common.
pub(crate) struct Server {
    pub(crate) peer: Peer<RoleClient>,
    pub(crate) shared: Arc<Shared>,
    tools: Mutex<Arc<Tools>>,
}

impl Server {
    pub(crate) fn new(peer: Peer<RoleClient>, shared: Arc<Shared>, tools: Tools) -> Arc<Server> {
        Arc::new(Server { peer, shared, tools: Mutex::new(Arc::new(tools)) })
    }

    /// The present tools.
    pub(crate) fn tools(&self) -> Arc<Tools> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server has other tools now.
    pub(crate) fn set_tools(&self, tools: Tools) {
        *self.tools.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(tools);
    }
}

/// How a request ended.
enum Outcome {
    Answer(Result<Json, Failure>),
    /// The server is gone: how far the request got is for the host to say.
    Lost,
}

/// Handles a request. It comes back if it has no answer, as the server is gone.
pub(crate) async fn handle(incoming: Incoming, server: Arc<Server>) -> Option<Incoming> {
    match outcome(&incoming, &server).await {
        Outcome::Answer(Ok(data)) => incoming.succeed(data),
        Outcome::Answer(Err(failure)) => incoming.fail(failure),
        Outcome::Lost => return Some(incoming),
    }
    None
}

async fn outcome(incoming: &Incoming, server: &Server) -> Outcome {
    let tools = server.tools();
    let (name, arguments) = match read(incoming) {
        Ok(read) => read,
        Err(error) => return failed(error),
    };
    let Some(returns) = tools.returns(&name) else {
        if name == LIST_TOOLS {
            return Outcome::Answer(Ok(Json::of(&serde_json::json!({ "tools": tools.commands() }))));
        }
        return failed(Error::with_code(ErrorCode::UnknownCommand, tools.unknown(&name)));
    };
    let mut params = CallToolRequestParams::new(name.clone());
    params.arguments = arguments;
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let handle = match server.peer.send_request_with_option(request, PeerRequestOptions::no_options()).await {
        Ok(handle) => handle,
        Err(error) => return unanswered(&error),
    };
    match answered(incoming, server, handle).await {
        Ok(result) => Outcome::Answer(answer::of_result(&name, returns, &result)),
        Err(outcome) => outcome,
    }
}

/// Waits for the result and passes progress on.
async fn answered(
    incoming: &Incoming,
    server: &Server,
    mut handle: RequestHandle<RoleClient>,
) -> Result<Json, Outcome> {
    let (number, token) = (number(&handle.id), number(&handle.progress_token.0));
    // Nothing was read from the server since the request was handed over: all tasks share one thread, and this one has
    // not waited.
    let mut progress = server.shared.open.add(number, token);
    let response = loop {
        tokio::select! {
            // What the server sent before its answer is passed on before it.
            biased;
            Some(data) = progress.recv() => {
                // It came in a line that is no longer than a frame; if the number beside it makes it longer, it is left out.
                let _ = incoming.progress(data).await;
            }
            response = &mut handle.rx => break response,
            () = incoming.cancelled().cancelled() => {
                server.shared.open.take(number);
                return Err(cancelled(server, handle).await);
            }
        }
    };
    let result = server.shared.open.take(number);
    match response {
        Ok(Ok(_)) => result.ok_or_else(|| failed(Error::failed("the MCP server answered with a result that is none"))),
        Ok(Err(error)) => Err(unanswered(&error)),
        Err(_) => Err(Outcome::Lost),
    }
}

/// Asks the server to stop. MCP has no answer to that, so the request ends when the server shows that it is alive: one
/// that hangs is noticed by the host, as it notices any module that does not answer.
async fn cancelled(server: &Server, handle: RequestHandle<RoleClient>) -> Outcome {
    if let Err(error) = handle.cancel(Some("the caller waits no longer".to_owned())).await {
        return unanswered(&error);
    }
    match server.peer.send_request(ClientRequest::PingRequest(PingRequest::default())).await {
        Err(ServiceError::TransportClosed | ServiceError::TransportSend(_)) => Outcome::Lost,
        Ok(_) | Err(_) => failed(Error::cancelled("cancelled; the MCP server was asked to stop")),
    }
}

fn unanswered(error: &ServiceError) -> Outcome {
    match error {
        ServiceError::TransportClosed | ServiceError::TransportSend(_) => Outcome::Lost,
        ServiceError::McpError(error) => Outcome::Answer(Err(answer::of_error(error))),
        error => failed(Error::failed(format!("the MCP server did not answer the call: {error}"))),
    }
}

fn failed(error: Error) -> Outcome {
    Outcome::Answer(Err(error.into_failure()))
}

/// The name of the tool and its arguments.
fn read(incoming: &Incoming) -> Result<(String, Option<JsonObject>), Error> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(default)]
        args: serde_json::Value,
    }
    let request = incoming.request();
    if request.kind != RequestType::Command {
        let sentence =
            format!("an MCP server has tools, which are commands; it does not know {:?}", request.kind.name());
        return Err(Error::unknown_type(sentence));
    }
    let Payload { name, args } = request.payload.read()?;
    let arguments = match args {
        serde_json::Value::Null => None,
        serde_json::Value::Object(arguments) => Some(arguments),
        other => {
            let sentence = format!("expected an object as the arguments of the tool {name:?}, found {other:.200}");
            return Err(Error::bad_request(sentence));
        }
    };
    Ok((name.into_owned(), arguments))
}

/// All numbers of requests and tokens that are sent from here are integers.
fn number(id: &rmcp::model::NumberOrString) -> i64 {
    match id {
        rmcp::model::NumberOrString::Number(number) => *number,
        rmcp::model::NumberOrString::String(_) => unreachable!("the library counts its requests"),
    }
}
