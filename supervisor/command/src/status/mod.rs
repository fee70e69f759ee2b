//! `status`: what the host says about itself and its modules, as a table, as a block, or as JSON.

mod block;
mod model;
mod table;

pub(crate) use model::{Module, Status};

use crate::exit::{Exit, Halt};
use crate::lifecycle::{data_of, to_supervisor};
use crate::output::{Output, complain, printable, with_schema};
use crate::session::Session;
use crate::style::{Style, width_of_stdout};
use bulkhead_protocol::Json;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// The host answers this from memory.
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);

/// The data of the host's answer, about one module or all of them.
pub(crate) fn ask(session: &mut Session, name: Option<&str>) -> Result<Json, Halt> {
    let args = name.map_or_else(|| serde_json::json!({}), |name| serde_json::json!({ "name": name }));
    ask_supervisor(session, "status", &args.into(), name)
}

/// The longest message that the host accepts; none of a host that does not report it.
pub(crate) fn frame_bytes_max(session: &mut Session) -> Result<Option<usize>, Halt> {
    let status: model::RawStatus = understood(&ask(session, None)?)?;
    Ok(status.host.frame_bytes_max)
}

/// The data of the host's answer to a request that it answers at once.
pub(crate) fn ask_supervisor(
    session: &mut Session,
    command: &str,
    args: &Json,
    name: Option<&str>,
) -> Result<Json, Halt> {
    let mut request = to_supervisor(command, args);
    request.deadline_ms = Some(STATUS_TIMEOUT.as_millis() as u64);
    data_of(session.ask(&request, |_| {})?.status, name.unwrap_or("supervisor"))
}

/// `bulkhead status`.
pub(crate) fn show(socket: Option<PathBuf>, name: Option<&str>, json: bool) -> Result<Exit, Halt> {
    let data = ask(&mut Session::open(socket)?, name)?;
    let mut output = Output::default();
    match (name, json) {
        (Some(_), true) => output.json_line(&with_schema(data.as_str()))?,
        (None, true) => {
            let status: model::RawStatus = understood(&data)?;
            if let Some(trouble) = status.host.guardian_trouble() {
                complain(&printable(&trouble));
            }
            for module in status.modules {
                output.json_line(&with_schema(module.as_str()))?;
            }
        }
        (Some(_), false) => {
            let module: model::Module = understood(&data)?;
            output.buffer().extend_from_slice(block::render(&module, Style::of_stdout(), width_of_stdout()).as_bytes());
        }
        (None, false) => {
            let status: model::Status = understood(&data)?;
            let table = table::render(&status, Style::of_stdout(), width_of_stdout());
            output.buffer().extend_from_slice(table.as_bytes());
        }
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// The host's answer, of which single members may differ from this version's, but not the whole.
fn understood<T: DeserializeOwned>(data: &Json) -> Result<T, Halt> {
    let found = crate::columns::shortened(data.as_str(), 40);
    let misunderstood = |why: &str| Halt::Failed(format!("the host's status is not understood: {why}, found {found}"));
    if !data.as_str().starts_with('{') {
        return Err(misunderstood("expected an object"));
    }
    data.read().map_err(|error| misunderstood(&error.to_string()))
}
