//! The start of the modules, once the test follows the events. A module that does not start is reported with what it
//! printed last.

use bulkhead_client::{Client, command_payload};
use bulkhead_protocol::{ErrorCode, Failure, Json, Request, RequestType, Status};
use serde::Deserialize;
use std::time::Duration;

/// The longest time for all starts together; that of each module is its own setting.
const START_MS_MAX: u64 = 30 * 60 * 1000;

/// The last lines of a module that are shown.
const LINES_MAX: u64 = 20;

/// How long the host may take to say that it has begun.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts that are in progress.
pub(crate) struct Starting {
    client: Client,
    id: u64,
}

impl Starting {
    /// Asks the host to start these modules. When this returns, it has begun: what is sent to one of them now waits
    /// until it is ready.
    ///
    /// # Errors
    /// A sentence, when the host cannot be asked.
    pub(crate) fn begin(mut client: Client, names: &[String]) -> Result<Starting, String> {
        let failed = |error: bulkhead_client::ClientError| format!("cannot start the modules: {error}");
        let args = Json::of(&serde_json::json!({ "names": names }));
        let mut start = Request::new(None, RequestType::Command, command_payload("start", args.as_str()));
        start.deadline_ms = Some(START_MS_MAX);
        let id = client.send(&start.to("supervisor")).map_err(failed)?;
        // Requests of one client are begun in their order.
        client.request(&Request::new(None, RequestType::Ping, Json::null()), Some(BEGIN_TIMEOUT)).map_err(failed)?;
        Ok(Starting { client, id })
    }

    /// Waits until all of them are ready.
    ///
    /// # Errors
    /// Why one of them is not; what the others say is left out.
    pub(crate) fn wait(mut self) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct One {
            name: String,
            answer: Answer,
        }
        #[derive(Deserialize)]
        struct Answer {
            status: String,
            error: Option<String>,
            exit: Option<bulkhead_protocol::Exit>,
            #[serde(default)]
            stderr: Vec<String>,
        }
        let internal = |error: String| Failure::new(ErrorCode::Internal, error);
        loop {
            let response = self.client.next(self.id, None).map_err(|error| internal(error.to_string()))?;
            match response.status {
                Status::Progress(data) => {
                    let one: One = data.read().map_err(|error| internal(error.to_string()))?;
                    if one.answer.status == "error" {
                        let reason = one.answer.error.unwrap_or_else(|| format!("{} did not become ready", one.name));
                        // The host would try again; this one ends.
                        let reason = reason.split("; next start in ").next().unwrap_or_default().to_owned();
                        let lines = match one.answer.stderr {
                            lines if lines.is_empty() => self.last_lines(&one.name),
                            lines => lines,
                        };
                        let exit = one.answer.exit;
                        return Err(Failure { stderr: lines, exit, ..Failure::new(ErrorCode::ModuleError, reason) });
                    }
                }
                Status::Success(_) => return Ok(()),
                Status::Error(failure) => return Err(*failure),
            }
        }
    }

    /// What it printed last. Without it, the reason alone has to do.
    fn last_lines(&mut self, name: &str) -> Vec<String> {
        #[derive(Deserialize)]
        struct Line {
            stream: String,
            line: String,
        }
        let args = Json::of(&serde_json::json!({ "name": name, "lines": LINES_MAX }));
        let logs = Request::new(None, RequestType::Command, command_payload("logs", args.as_str())).to("supervisor");
        let mut lines = Vec::new();
        let mut take = |data: &Json| {
            if let Ok(Line { stream, line }) = data.read()
                && stream != "host"
            {
                lines.push(line);
            }
        };
        let _ = self.client.request_with(&logs, Some(BEGIN_TIMEOUT), &mut take);
        lines
    }
}

/// A failure for a person: the sentence and the last lines.
pub(crate) fn for_people(failure: &Failure) -> String {
    let mut text = failure.error.clone();
    if !failure.stderr.is_empty() {
        text.push_str("\nits last lines:");
        for line in &failure.stderr {
            text.push_str("\n  ");
            text.push_str(&bulkhead_protocol::escape(line));
        }
    }
    text
}
