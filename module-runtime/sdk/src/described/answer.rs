//! What a handler returns, as the data of an answer.

use super::value::{AsSent, Described};
use crate::Error;
use bulkhead_protocol::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::marker::PhantomData;

/// A type of the data of an answer. `How` is found by the compiler: there is one for each type.
#[diagnostic::on_unimplemented(
    message = "a handler cannot answer with `{Self}`",
    label = "expected a type that derives `serde::Serialize` and `JsonSchema`, or `Json`"
)]
pub trait Answer<How> {
    /// What it is; `None` of JSON as it is.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// It as JSON.
    ///
    /// # Errors
    /// Where it cannot be written as JSON, such as a map whose keys are no texts.
    fn into_json(self) -> Result<Json, Error>;
}

impl<T: Serialize + JsonSchema> Answer<Described> for T {
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    fn into_json(self) -> Result<Json, Error> {
        let text = serde_json::to_string(&self)
            .map_err(|error| Error::failed(format!("the answer cannot be written as JSON: {error}")))?;
        Ok(Json::of_checked_buffer(text))
    }
}

impl Answer<AsSent> for Json {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn into_json(self) -> Result<Json, Error> {
        Ok(self)
    }
}

/// What a handler returns: an answer, or one that may have failed, under whatever name. `How` is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "a handler cannot answer with `{Self}`",
    label = "expected a type that derives `serde::Serialize` and `JsonSchema`, `Json`, or a `Result` of one with an error that becomes `bulkhead_module::Error`"
)]
pub trait Outcome<How> {
    /// What it is when it did not fail; `None` of JSON as it is.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// The data of the answer.
    ///
    /// # Errors
    /// What the handler failed with, and as [`Answer::into_json`].
    fn into_answer(self) -> Result<Json, Error>;
}

/// An answer.
#[derive(Debug)]
pub struct Plain<How>(PhantomData<How>);

/// An answer that may have failed.
#[derive(Debug)]
pub struct Tried<How>(PhantomData<How>);

impl<T: Answer<How>, How> Outcome<Plain<How>> for T {
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        T::schema(generator)
    }

    #[inline]
    fn into_answer(self) -> Result<Json, Error> {
        self.into_json()
    }
}

impl<T: Answer<How>, E: Into<Error>, How> Outcome<Tried<How>> for Result<T, E> {
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        T::schema(generator)
    }

    #[inline]
    fn into_answer(self) -> Result<Json, Error> {
        self.map_err(Into::into)?.into_json()
    }
}

/// What a handler without an answer returns.
#[diagnostic::on_unimplemented(
    message = "a handler of events or of the end cannot return `{Self}`",
    label = "expected nothing, or a `Result` of nothing with an error that becomes `bulkhead_module::Error`"
)]
pub trait Done {
    /// Whether it is done.
    ///
    /// # Errors
    /// What the handler failed with.
    fn done(self) -> Result<(), Error>;
}

impl Done for () {
    fn done(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<E: Into<Error>> Done for Result<(), E> {
    fn done(self) -> Result<(), Error> {
        self.map_err(Into::into)
    }
}

/// What makes a module.
#[diagnostic::on_unimplemented(
    message = "`#[init]` cannot return `{Self}`",
    label = "expected the module, or a `Result` of it with an error that becomes `bulkhead_module::Error`"
)]
pub trait Made<M> {
    /// The module.
    ///
    /// # Errors
    /// What it failed with.
    fn made(self) -> Result<M, Error>;
}

impl<M> Made<M> for M {
    fn made(self) -> Result<M, Error> {
        Ok(self)
    }
}

impl<M, E: Into<Error>> Made<M> for Result<M, E> {
    fn made(self) -> Result<M, Error> {
        self.map_err(Into::into)
    }
}
