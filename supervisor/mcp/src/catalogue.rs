//! From what modules say of themselves to tools. Pure.

use crate::names;
use bulkhead_protocol::Json;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many tools are shown; a model reads the descriptions of all of them.
pub(crate) const TOOLS_MAX: usize = 2000;

/// The member that has the arguments of a command whose arguments are no object.
const WRAPPED: &str = "args";

/// Which commands are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    All,
    /// Those that change nothing.
    Reads,
}

/// The answer to `describe`, as far as it is used.
#[derive(Debug, Deserialize)]
pub(crate) struct Description {
    name: String,
    commands: Vec<Described>,
}

#[derive(Debug, Deserialize)]
struct Described {
    name: String,
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    args: Option<Value>,
    #[serde(default)]
    returns: Option<Value>,
}

/// The command that a tool stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) module: String,
    pub(crate) command: String,
    pub(crate) takes: Takes,
    pub(crate) returns: Returns,
}

/// How arguments are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// As they are.
    Object,
    /// The command takes something else than an object, which is the member `args`.
    Wrapped,
}

/// What is known of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    /// It is an object by the description.
    Object,
    Anything,
}

/// All tools.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Catalogue {
    tools: BTreeMap<String, (Tool, Target)>,
    /// The modules that are shown, described or not.
    pub(crate) modules: Vec<String>,
    /// How many commands have no room.
    pub(crate) left_out: usize,
}

impl Catalogue {
    /// Makes tools of the commands that are shown.
    pub(crate) fn of(modules: Vec<String>, descriptions: Vec<Description>, shown: Shown) -> Catalogue {
        let mut catalogue = Catalogue { modules, ..Catalogue::default() };
        for Description { name: module, commands } in descriptions {
            for command in commands {
                if shown == Shown::Reads && !command.read_only {
                    continue;
                }
                if catalogue.tools.len() == TOOLS_MAX {
                    catalogue.left_out += 1;
                    continue;
                }
                let (tool, target) = command.into_tool(&module);
                catalogue.tools.insert(tool.name.to_string(), (tool, target));
            }
        }
        catalogue
    }

    /// The tools, by name.
    pub(crate) fn tools(&self) -> Vec<Tool> {
        self.tools.values().map(|(tool, _)| tool.clone()).collect()
    }

    /// What a tool stands for.
    pub(crate) fn target(&self, name: &str) -> Option<&Target> {
        self.tools.get(name).map(|(_, target)| target)
    }
}

impl Described {
    fn into_tool(self, module: &str) -> (Tool, Target) {
        let Described { name: command, idempotent, read_only, description, args, returns } = self;
        let (input, takes) = input(args);
        let output = returns.and_then(object_schema);
        let returns = if output.is_some() { Returns::Object } else { Returns::Anything };
        let description = match description.trim() {
            "" => format!("the command {command} of the module {module}"),
            description => format!("{description} (of the module {module})"),
        };
        let annotations = ToolAnnotations::new().read_only(read_only).idempotent(idempotent);
        let mut tool = Tool::new(names::tool(module, &command), description, Arc::new(input))
            .with_title(format!("{module}: {command}"))
            .with_annotations(annotations);
        tool.output_schema = output.map(Arc::new);
        (tool, Target { module: module.to_owned(), command, takes, returns })
    }
}

/// The schema of a tool's arguments, which MCP wants to be of an object.
fn input(args: Option<Value>) -> (JsonObject, Takes) {
    let object = || JsonObject::from_iter([("type".to_owned(), Value::from("object"))]);
    match args {
        Some(Value::Object(mut schema)) => match schema.get("type") {
            Some(kind) if kind == "object" => (schema, Takes::Object),
            None => {
                schema.extend(object());
                (schema, Takes::Object)
            }
            Some(_) => {
                let mut outer = object();
                outer.insert("properties".to_owned(), serde_json::json!({ WRAPPED: schema }));
                outer.insert("required".to_owned(), serde_json::json!([WRAPPED]));
                (outer, Takes::Wrapped)
            }
        },
        // `true`, `false`, or nothing was said.
        _ => (object(), Takes::Object),
    }
}

fn object_schema(schema: Value) -> Option<JsonObject> {
    match schema {
        Value::Object(schema) if schema.get("type").is_some_and(|kind| kind == "object") => Some(schema),
        _ => None,
    }
}

impl Target {
    /// The arguments of the command.
    pub(crate) fn arguments(&self, arguments: Option<JsonObject>) -> Json {
        let mut arguments = arguments.unwrap_or_default();
        match self.takes {
            Takes::Object => Json::of(&arguments),
            Takes::Wrapped => Json::of(&arguments.remove(WRAPPED).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(shown: Shown) -> Catalogue {
        let text = r#"{"name":"shop","version":"1","state":"ready","commands":[
            {"name":"buy","idempotent":false,"description":"buys","args":{"type":"object","required":["n"]},"returns":{"type":"object"}},
            {"name":"count","idempotent":true,"read_only":true,"args":{"type":"integer"},"returns":{"type":"integer"}},
            {"name":"any","idempotent":false,"args":true},
            {"name":"one","idempotent":false,"args":{"oneOf":[{"required":["a"]}]}}]}"#;
        Catalogue::of(vec!["shop".into()], vec![serde_json::from_str(text).unwrap()], shown)
    }

    #[test]
    fn a_command_becomes_a_tool_with_its_schemas_and_hints() {
        let tools: Vec<Value> = catalogue(Shown::All).tools().iter().map(|tool| serde_json::json!(tool)).collect();
        let expected = serde_json::json!([
            {"name": "shop__any", "title": "shop: any", "description": "the command any of the module shop",
             "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": false, "idempotentHint": false}},
            {"name": "shop__buy", "title": "shop: buy", "description": "buys (of the module shop)",
             "inputSchema": {"type": "object", "required": ["n"]}, "outputSchema": {"type": "object"},
             "annotations": {"readOnlyHint": false, "idempotentHint": false}},
            {"name": "shop__count", "title": "shop: count", "description": "the command count of the module shop",
             "inputSchema": {"type": "object", "properties": {"args": {"type": "integer"}}, "required": ["args"]},
             "annotations": {"readOnlyHint": true, "idempotentHint": true}},
            {"name": "shop__one", "title": "shop: one", "description": "the command one of the module shop",
             "inputSchema": {"type": "object", "oneOf": [{"required": ["a"]}]},
             "annotations": {"readOnlyHint": false, "idempotentHint": false}},
        ]);
        assert_eq!(Value::from(tools), expected);
    }

    #[test]
    fn reads_are_the_commands_that_say_so() {
        let names: Vec<String> = catalogue(Shown::Reads).tools().iter().map(|tool| tool.name.to_string()).collect();
        assert_eq!(names, ["shop__count"]);
    }

    #[test]
    fn arguments_that_are_no_object_are_taken_out_of_one() {
        let all = catalogue(Shown::All);
        let object = |text: &str| serde_json::from_str::<JsonObject>(text).ok();
        let count = all.target("shop__count").unwrap();
        assert_eq!(count.arguments(object(r#"{"args":7}"#)).as_str(), "7");
        assert_eq!(count.arguments(None).as_str(), "null");
        let buy = all.target("shop__buy").unwrap();
        assert_eq!(buy.arguments(object(r#"{"n":7}"#)).as_str(), r#"{"n":7}"#);
        assert_eq!(buy.arguments(None).as_str(), "{}");
        assert_eq!(all.target("shop__sell"), None);
    }
}
