//! The connection to the daemon: made when it is needed, and again when it has ended. What is sent is never sent again
//! here.

use crate::catalogue::{Catalogue, Description, Shown};
use bulkhead_client_async::{Answers, CallError, Connection, Error, State};
use bulkhead_protocol::{ErrorCode, Json, Request, RequestType};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long the supervisor may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The daemon.
pub(crate) struct Daemon {
    socket: PathBuf,
    connection: Mutex<Option<Connection>>,
}

/// What is shown of it.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// All modules, if none is named.
    pub(crate) modules: Vec<String>,
    pub(crate) shown: Shown,
}

impl Scope {
    pub(crate) fn has(&self, module: &str) -> bool {
        self.modules.is_empty() || self.modules.iter().any(|name| name == module)
    }
}

impl Daemon {
    pub(crate) fn new(socket: PathBuf) -> Daemon {
        Daemon { socket, connection: Mutex::new(None) }
    }

    /// A connection that has not ended, as far as is known.
    ///
    /// # Errors
    /// A sentence: the daemon is away.
    pub(crate) async fn connection(&self) -> Result<Connection, String> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) =
            kept.as_ref().filter(|found| matches!(*found.state().borrow(), State::Connected { .. }))
        {
            return Ok(connection.clone());
        }
        match Connection::connect(&self.socket).await {
            Ok(connection) => Ok(kept.insert(connection).clone()),
            Err(error) => Err(format!("Bulkhead's daemon is away: {error}")),
        }
    }

    /// Sends a command to a module.
    ///
    /// # Errors
    /// When it cannot be sent. Nothing of it was sent then.
    pub(crate) async fn send(
        connection: &Connection,
        module: &str,
        command: &str,
        args: &Json,
        timeout: Option<Duration>,
    ) -> Result<Answers, Error> {
        let payload = bulkhead_client_async::command_payload(command, args.as_str());
        let mut request = Request::new(None, RequestType::Command, payload).to(module);
        request.deadline_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        connection.send(request).await
    }

    /// Asks the supervisor.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn ask(&self, command: &str, args: Value) -> Result<Json, AskError> {
        let connection = self.connection().await.map_err(AskError::Away)?;
        connection.call("supervisor", command, Json::of(&args), Some(ANSWER_MAX)).await.map_err(AskError::Unanswered)
    }

    /// What there is now.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) async fn catalogue(&self, scope: &Scope) -> Result<Catalogue, String> {
        let modules = self.modules(scope).await.map_err(|error| error.to_string())?;
        let described = join_all(modules.iter().map(|module| self.describe(module))).await;
        let described = described.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        Ok(Catalogue::of(modules, described.into_iter().flatten().collect(), scope.shown))
    }

    /// The names of the modules that are shown.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn modules(&self, scope: &Scope) -> Result<Vec<String>, AskError> {
        #[derive(Deserialize)]
        struct Status {
            modules: Vec<Module>,
        }
        #[derive(Deserialize)]
        struct Module {
            name: String,
        }
        let Status { modules } = read(&self.ask("status", json!({})).await?)?;
        Ok(modules.into_iter().map(|module| module.name).filter(|name| scope.has(name)).collect())
    }

    /// `None` of a module that has not been ready yet, or is gone.
    async fn describe(&self, module: &str) -> Result<Option<Description>, AskError> {
        match self.ask("describe", json!({ "name": module })).await {
            Ok(answer) => read(&answer).map(Some),
            Err(AskError::Unanswered(CallError::Failed(failure)))
                if [ErrorCode::ModuleUnavailable, ErrorCode::UnknownModule].contains(&failure.code) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads an answer of the supervisor.
///
/// # Errors
/// When it has another form.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(answer: &Json) -> Result<T, AskError> {
    answer.read().map_err(|error| AskError::NotUnderstood(error.to_string()))
}

/// Why the supervisor did not answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// The daemon is away.
    Away(String),
    /// An error, or none came.
    Unanswered(CallError),
    /// An answer of another version.
    NotUnderstood(String),
}

impl std::fmt::Display for AskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AskError::Away(sentence) => f.write_str(sentence),
            AskError::Unanswered(error) => write!(f, "Bulkhead's daemon did not answer: {error}"),
            AskError::NotUnderstood(error) => write!(f, "the answer of Bulkhead's daemon is not understood: {error}"),
        }
    }
}
