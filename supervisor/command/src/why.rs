//! `bulkhead why`: why a module is in its state, or where one of its requests waits, in sentences. The daemon has the
//! facts; nothing is judged here.

mod model;
mod sentences;

use crate::cli::Why;
use crate::exit::{Exit, Halt};
use crate::output::{Output, with_schema};
use crate::session::Session;
use crate::style::Style;
use bulkhead_protocol::Json;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// `bulkhead why`.
pub(crate) fn show(socket: Option<PathBuf>, options: &Why) -> Result<Exit, Halt> {
    let mut args = serde_json::json!({ "name": options.name });
    if let Some(id) = options.request {
        args["request"] = id.into();
    }
    let data = crate::status::ask_supervisor(&mut Session::open(socket)?, "why", &args.into(), Some(&options.name))?;
    let mut output = Output::default();
    if options.json {
        output.json_line(&with_schema(data.as_str()))?;
    } else {
        let style = Style::of_stdout();
        let text = match options.request {
            Some(_) => sentences::of_request(&read(&data)?, style),
            None => sentences::of_module(&read(&data)?, style),
        };
        output.buffer().extend_from_slice(text.as_bytes());
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn read<T: DeserializeOwned>(data: &Json) -> Result<T, Halt> {
    data.read().map_err(|error| Halt::Failed(format!("the host's answer is not understood: {error}")))
}
