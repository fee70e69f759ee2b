//! A module that keeps each event that it gets in the data store, as a new entity, and does nothing else.

use crate::Failed;
use crate::rows::durable::KEPT;
use bulkhead_module::{Context, Description, Error, Init, Json, Module};
use std::process::ExitCode;

struct Keeper;

pub(super) fn run() -> Result<(), Failed> {
    match bulkhead_module::run::<Keeper>() == ExitCode::SUCCESS {
        true => Ok(()),
        false => Err("it ended with a failure".into()),
    }
}

impl Module for Keeper {
    fn describe() -> Description {
        Description::new(super::KEEPER, "0")
    }

    fn init(_: &Init) -> Result<Self, Error> {
        Ok(Keeper)
    }

    fn command(&mut self, _: &mut Context<'_>, name: &str, _: &Json) -> Result<Json, Error> {
        Err(Error::unknown_command(name))
    }

    fn event(&mut self, ctx: &mut Context<'_>, _: &str, data: &Json) -> Result<(), Error> {
        ctx.create(KEPT, data).map(|_| ())
    }
}
