//! The command line of what is sent to modules: `call`, `describe`, `query`, `mutate` and `emit`.

use crate::amount::parse_duration;
use clap::Args;
use std::time::Duration;

/// Options of `call`.
#[derive(Args, Debug)]
pub(crate) struct Call {
    /// The module.
    pub(crate) name: String,
    /// The command; without it, the module's commands are listed.
    pub(crate) command: Option<String>,
    /// Its arguments: JSON, - for standard input, @file, or the members of an object one by one, each as
    /// NAME=TEXT or NAME:=JSON; without any, null.
    #[arg(value_name = "JSON | - | @FILE | NAME=TEXT | NAME:=JSON", allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,
    #[command(flatten)]
    pub(crate) options: RequestOptions,
}

/// Options of `describe`.
#[derive(Args, Debug)]
pub(crate) struct Describe {
    /// The module; or supervisor, or layer1.
    pub(crate) name: String,
    /// Only this command of it.
    pub(crate) command: Option<String>,
    /// One JSON object, with the schemas as the module gave them.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `query` and of `mutate`.
#[derive(Args, Debug)]
pub(crate) struct Data {
    /// The module, or layer1 for the data store.
    pub(crate) name: String,
    /// The query: JSON, - for standard input, or @file.
    #[arg(value_name = "JSON | - | @FILE")]
    pub(crate) json: String,
    #[command(flatten)]
    pub(crate) options: RequestOptions,
}

/// Options of `emit`.
#[derive(Args, Debug)]
pub(crate) struct Emit {
    /// The name of the event, as in research_session.started.
    pub(crate) event: String,
    /// What happened: JSON, - for standard input, or @file; without it, null.
    #[arg(value_name = "JSON | - | @FILE", allow_negative_numbers = true)]
    pub(crate) json: Option<String>,
}

/// What every request can be given.
#[derive(Args, Debug)]
pub(crate) struct RequestOptions {
    /// Print the whole response, errors and progress included, not only its data.
    #[arg(long)]
    pub(crate) full: bool,
    /// The deadline: seconds, or a time such as 500ms or 2m. A module that is starting is waited for.
    #[arg(long, value_name = "S", default_value = "30", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Idempotency key: the same key means the same work, so that the host may send it again after a crash.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}
