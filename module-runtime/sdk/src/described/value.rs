//! One value that a handler takes: an argument, a payload, the data of an event or the configuration. It says what it
//! takes as a JSON Schema, and reads exactly that.

use super::check::is_deep;
use super::refusal::Refusal;
use super::schema::{SchemaOf, Schemas, Way, schemas};
use super::shape::{Shape, Shapes, compile};
use bulkhead_json::Raw;
use bulkhead_protocol::Json;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

/// A type that a handler may take. `How` is found by the compiler: there is one for each type.
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}`",
    label = "expected a type that derives `serde::Deserialize` and `JsonSchema`, or `Json`"
)]
pub trait Argument<How>: Sized {
    /// What it takes; `None` of JSON as it was sent.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// All of what came, where it is taken as it was sent.
    fn as_sent(_: &Json) -> Option<Self> {
        None
    }

    /// Reads the text of a value.
    ///
    /// # Errors
    /// When it has another form.
    fn read(text: &str) -> serde_json::Result<Self>;

    /// As [`Argument::read`], of a value whose depth is known to be bounded.
    ///
    /// # Errors
    /// When it has another form.
    fn read_deep(text: &str) -> serde_json::Result<Self>;
}

/// By its JSON Schema.
#[derive(Debug)]
pub struct Described;

/// As it was sent.
#[derive(Debug)]
pub struct AsSent;

impl<T: DeserializeOwned + JsonSchema> Argument<Described> for T {
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }

    fn read(text: &str) -> serde_json::Result<T> {
        serde_json::from_str(text)
    }

    fn read_deep(text: &str) -> serde_json::Result<T> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.disable_recursion_limit();
        T::deserialize(&mut deserializer)
    }
}

impl Argument<AsSent> for Json {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn as_sent(json: &Json) -> Option<Json> {
        Some(json.clone())
    }

    fn read(text: &str) -> serde_json::Result<Json> {
        Ok(Json::of_checked(text))
    }

    fn read_deep(text: &str) -> serde_json::Result<Json> {
        Ok(Json::of_checked(text))
    }
}

impl Argument<AsSent> for Option<Json> {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }

    fn read(text: &str) -> serde_json::Result<Option<Json>> {
        Ok(Some(Json::of_checked(text)).filter(|_| text != "null"))
    }

    fn read_deep(text: &str) -> serde_json::Result<Option<Json>> {
        <Option<Json> as Argument<AsSent>>::read(text)
    }
}

/// What is known of a value before one comes.
#[derive(Debug)]
pub(super) struct Expected {
    /// Its JSON Schema, without what it refers to.
    pub(super) schema: serde_json::Value,
    /// Whether it is JSON as it is, of which nothing is known.
    pub(super) is_as_sent: bool,
    pub(super) shapes: Shapes,
    /// Whether its type takes exactly what fits.
    is_held_by_the_type: bool,
}

impl Expected {
    /// Of these types, whose definitions are one set.
    pub(super) fn of_all(types: &[SchemaOf], way: Way) -> (Vec<Expected>, serde_json::Map<String, serde_json::Value>) {
        let Schemas { of_each, definitions } = schemas(types, way);
        let expected = of_each.into_iter().map(|schema| match schema {
            Some(schema) => Expected::of_schema(schema, &definitions),
            None => Expected::as_sent(),
        });
        (expected.collect(), definitions)
    }

    /// Of the type that has this schema.
    pub(super) fn of_schema(
        schema: serde_json::Value,
        definitions: &serde_json::Map<String, serde_json::Value>,
    ) -> Expected {
        let shapes = compile(&schema, definitions);
        let is_held_by_the_type = shapes.is_held_by_the_type();
        Expected { schema, is_as_sent: false, shapes, is_held_by_the_type }
    }

    fn as_sent() -> Expected {
        let shapes = Shapes { root: Shape::Own, referred: Vec::new() };
        Expected { schema: serde_json::json!({}), is_as_sent: true, shapes, is_held_by_the_type: true }
    }

    /// What a refusal says was expected.
    pub(super) fn expected(&self) -> String {
        self.shapes.expected(&self.shapes.root)
    }

    /// Reads a value.
    pub(super) fn read<T: Argument<How>, How>(&self, text: &str) -> Result<T, Box<Refusal>> {
        if (self.is_held_by_the_type || self.shapes.surely_fits(text))
            && let Ok(value) = T::read(text)
        {
            return Ok(value);
        }
        self.read_again(text)
    }

    /// Says why a value is refused, unless it is only written in another way than is usual.
    #[cold]
    fn read_again<T: Argument<How>, How>(&self, text: &str) -> Result<T, Box<Refusal>> {
        let value = Raw::new(text);
        self.shapes.check(value)?;
        // Where the type decides alone, the depth was not looked at.
        let text = self.shapes.rewritten(value);
        let read = if is_deep(&text) { T::read(&text) } else { T::read_deep(&text) };
        read.map_err(|error| Refusal::own(&error))
    }
}
