//! A command as it is declared: what the macro says of it, and what is made of that once.

use super::arguments::{find, refusal};
use super::check::Known;
use super::refusal::{ARGUMENTS, PAYLOAD, Refusal};
use super::schema::{SchemaOf, Way};
use super::shape::Shape;
use super::value::{Argument, Expected};
use crate::arguments::field_names;
use bulkhead_json::Raw;
use bulkhead_protocol::{Details, Json};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fmt::Write;

/// A command, as the macro found it.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Whether doing it twice is the same as doing it once.
    pub is_idempotent: bool,
    /// Whether it changes nothing.
    pub is_read_only: bool,
    /// Its arguments.
    pub takes: TakesSource,
    /// What it answers with.
    pub returns: SchemaOf,
    /// Calls of it.
    pub examples: Vec<Example>,
}

/// The arguments of a command, as the macro found them.
#[derive(Debug)]
pub enum TakesSource {
    /// The parameters of a method.
    Parameters(Vec<Parameter>),
    /// One struct.
    Whole(Whole),
}

/// A parameter of a method.
#[derive(Debug)]
pub struct Parameter {
    name: &'static str,
    about: &'static str,
    presence: Presence,
    schema: SchemaOf,
    accepts: Accepts,
}

/// Whether an argument has to be there.
#[derive(Debug)]
pub enum Presence {
    /// It has to.
    Required,
    /// The method is called without it.
    Optional,
    /// The method gets this instead.
    Default(fn() -> Json),
}

/// A struct that has all arguments, or `Json` for whatever they are.
#[derive(Debug)]
pub struct Whole {
    schema: SchemaOf,
    names: fn() -> &'static [&'static str],
    accepts: Accepts,
}

/// A call and its answer.
#[derive(Debug)]
pub struct Example {
    /// The arguments; without them, there are none.
    pub args: Option<Json>,
    /// The data of the answer.
    pub returns: Option<Json>,
    /// What it is an example of.
    pub description: Option<&'static str>,
}

impl Parameter {
    /// A parameter of the type `T`.
    pub fn new<T: Argument<How>, How>(name: &'static str, about: &'static str, presence: Presence) -> Parameter {
        Parameter { name, about, presence, schema: T::schema, accepts: accepts::<T, How> }
    }
}

impl Whole {
    /// The struct `T`.
    pub fn new<T: Argument<How> + DeserializeOwned, How>() -> Whole {
        Whole { schema: T::schema, names: field_names::<T>, accepts: accepts::<T, How> }
    }
}

/// Reads a text as the type of an argument, or of all of them.
type Accepts = fn(&Expected, &str) -> Result<(), Box<Refusal>>;

fn accepts<T: Argument<How>, How>(expected: &Expected, text: &str) -> Result<(), Box<Refusal>> {
    expected.read::<T, How>(text).map(drop)
}

/// A command, as it is served.
#[derive(Debug)]
pub struct Command {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) is_idempotent: bool,
    pub(super) is_read_only: bool,
    pub(super) takes: Takes,
    pub(super) details: Details,
}

#[derive(Debug)]
pub(super) enum Takes {
    Parameters(Vec<Taken>),
    Whole(Expected),
}

#[derive(Debug)]
pub(super) struct Taken {
    pub(super) name: &'static str,
    pub(super) is_required: bool,
    pub(super) expected: Expected,
}

impl Known for Taken {
    fn name(&self) -> &str {
        self.name
    }

    fn is_required(&self) -> bool {
        self.is_required
    }
}

impl Command {
    /// Reads the types of a command.
    ///
    /// # Errors
    /// A sentence where it cannot be described, and where an example does not fit.
    pub(super) fn new(source: Source) -> Result<Command, String> {
        let Source { name, about, is_idempotent, is_read_only, takes, returns, examples } = source;
        let (takes, args, accepts) = match takes {
            TakesSource::Parameters(parameters) => of_parameters(parameters),
            TakesSource::Whole(whole) => of_struct(name, whole)?,
        };
        let (mut returned, definitions) = Expected::of_all(&[returns], Way::Written);
        let returned = returned.remove(0);
        let details = Details {
            args: Some(args),
            // Nothing is known of JSON that is answered as it is.
            returns: (!returned.is_as_sent).then(|| rooted(&returned.schema, &definitions)),
            examples: (!examples.is_empty()).then(|| list(&examples)),
            dropped: Vec::new(),
        };
        let command = Command { name, about, is_idempotent, is_read_only, takes, details };
        for (number, example) in (1..).zip(&examples) {
            let fault = |fault| format!("example {number} of the command `{name}`: {fault}");
            command.check(example, &accepts, &returned).map_err(fault)?;
        }
        Ok(command)
    }

    fn check(&self, example: &Example, accepts: &[Accepts], returned: &Expected) -> Result<(), String> {
        let none = Json::object(&[]);
        let args = example.args.as_ref().unwrap_or(&none);
        match &self.takes {
            Takes::Whole(expected) => {
                accepts[0](expected, args.as_str()).map_err(|refusal| refusal.error(ARGUMENTS).to_string())?;
            }
            Takes::Parameters(parameters) => {
                let mut texts = vec![None; parameters.len()];
                find(self, args.as_str(), &mut texts).ok_or_else(|| refusal(self, args).to_string())?;
                for ((parameter, text), accepts) in parameters.iter().zip(texts).zip(accepts) {
                    let Some(text) = text else { continue };
                    let fault = |refusal: Box<Refusal>| refusal.inside(parameter.name).error(ARGUMENTS).to_string();
                    accepts(&parameter.expected, text).map_err(fault)?;
                }
            }
        }
        let Some(data) = &example.returns else { return Ok(()) };
        let fault = |refusal: Box<Refusal>| format!("what it returns: {}", refusal.error(PAYLOAD));
        returned.shapes.check(Raw::new(data.as_str())).map_err(fault)
    }
}

/// What the parameters of a method take, the schema of all of them, and what reads each.
fn of_parameters(parameters: Vec<Parameter>) -> (Takes, Json, Vec<Accepts>) {
    let types: Vec<SchemaOf> = parameters.iter().map(|parameter| parameter.schema).collect();
    let (expected, definitions) = Expected::of_all(&types, Way::Read);
    let (mut properties, mut required) = (String::new(), Vec::new());
    let accepts = parameters.iter().map(|parameter| parameter.accepts).collect();
    let taken = parameters.into_iter().zip(expected).map(|(parameter, expected)| {
        let Parameter { name, about, presence, .. } = parameter;
        let mut schema = expected.schema.clone();
        if let Some(object) = schema.as_object_mut() {
            if !about.is_empty() {
                object.insert("description".into(), about.into());
            }
            if let Presence::Default(default) = presence {
                object.insert("default".into(), default().read().unwrap_or_default());
            }
        }
        // By hand, as they stay in the order in which they are declared.
        let comma = if properties.is_empty() { "" } else { "," };
        let _ = write!(properties, "{comma}{}:{schema}", Value::from(name));
        let is_required = matches!(presence, Presence::Required);
        if is_required {
            required.push(name);
        }
        Taken { name, is_required, expected }
    });
    let taken = taken.collect();
    let mut schema =
        format!("{{\"type\":\"object\",\"properties\":{{{properties}}},\"required\":{}", Json::of(&required).as_str());
    schema.push_str(",\"additionalProperties\":false");
    if !definitions.is_empty() {
        let _ = write!(schema, ",\"$defs\":{}", Value::Object(definitions));
    }
    schema.push('}');
    (Takes::Parameters(taken), Json::of_checked_buffer(schema), accepts)
}

/// What a struct of all arguments takes.
fn of_struct(command: &str, whole: Whole) -> Result<(Takes, Json, Vec<Accepts>), String> {
    let (mut expected, definitions) = Expected::of_all(&[whole.schema], Way::Read);
    let given = expected.remove(0);
    if given.is_as_sent {
        return Ok((Takes::Whole(given), Json::object(&[]), vec![whole.accepts]));
    }
    let mut schema = given.schema;
    let object = schema.as_object_mut().filter(|object| object.contains_key("properties"));
    let Some(object) = object else {
        return Err(format!(
            "the arguments of the command `{command}`: expected a struct with named fields, found {schema}"
        ));
    };
    // A misspelt name is refused here also where the struct would pass it over.
    object.entry("additionalProperties").or_insert(false.into());
    let mut expected = Expected::of_schema(schema, &definitions);
    if let Shape::Object { members, .. } = &mut expected.shapes.root {
        let names = (whole.names)();
        members.sort_by_key(|member| names.iter().position(|name| *name == member.name));
    }
    let args = rooted(&expected.schema, &definitions);
    Ok((Takes::Whole(expected), args, vec![whole.accepts]))
}

/// A schema with what it refers to.
fn rooted(schema: &Value, definitions: &Map<String, Value>) -> Json {
    let mut schema = schema.clone();
    if let (Some(object), false) = (schema.as_object_mut(), definitions.is_empty()) {
        object.insert("$defs".into(), definitions.clone().into());
    }
    schema.into()
}

fn list(examples: &[Example]) -> Json {
    let texts = examples.iter().map(|Example { args, returns, description }| {
        let description = description.map(Json::of);
        let members = [("args", args), ("returns", returns), ("description", &description)];
        let members: Vec<(&str, &Json)> =
            members.iter().filter_map(|(name, value)| value.as_ref().map(|value| (*name, value))).collect();
        Json::object(&members).as_str().to_owned()
    });
    Json::of_checked_buffer(format!("[{}]", texts.collect::<Vec<_>>().join(",")))
}
