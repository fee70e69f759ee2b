//! From the tools of a server to the commands of a module. Pure.

use bulkhead_protocol::{Command, Details, Json};
use rmcp::model::Tool;
use std::collections::BTreeMap;

/// The command of the runtime's own that answers with the present tools, as the server may change them and the host asks
/// for commands at the start only. A tool of the same name takes its place.
pub(crate) const LIST_TOOLS: &str = "list_tools";

/// How many tools a server may have.
pub(crate) const TOOLS_MAX: usize = 1000;

/// What a tool answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    /// `structuredContent`, as it has an `outputSchema`.
    Structured,
    /// A list of contents.
    Contents,
}

/// The tools of a server.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    commands: Vec<Command>,
    returns: BTreeMap<String, Returns>,
}

/// Why a list of tools is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeated(pub(crate) String);

impl Tools {
    /// Makes commands of tools, each with the tool's name.
    ///
    /// # Errors
    /// A name that stands there twice.
    pub(crate) fn of(tools: &[Tool]) -> Result<Tools, Repeated> {
        let mut returns = BTreeMap::new();
        let mut commands: Vec<Command> = Vec::with_capacity(tools.len() + 1);
        for tool in tools {
            let kind = if tool.output_schema.is_some() { Returns::Structured } else { Returns::Contents };
            if returns.insert(tool.name.to_string(), kind).is_some() {
                return Err(Repeated(tool.name.to_string()));
            }
            commands.push(command(tool));
        }
        if !returns.contains_key(LIST_TOOLS) {
            commands.push(own_command());
        }
        Ok(Tools { commands, returns })
    }

    /// The commands, for the answer to `init`.
    pub(crate) fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// What a tool answers with; `None` if there is no such tool.
    pub(crate) fn returns(&self, name: &str) -> Option<Returns> {
        self.returns.get(name).copied()
    }

    /// The sentence for a command that is none.
    pub(crate) fn unknown(&self, name: &str) -> String {
        let names: Vec<&str> = self.commands.iter().take(20).map(|command| command.name.as_str()).collect();
        let more = if self.commands.len() > names.len() { " and others" } else { "" };
        format!("the MCP server has no tool {name:?}; it has {}{more}", names.join(", "))
    }
}

fn command(tool: &Tool) -> Command {
    let hints = tool.annotations.as_ref();
    let is_set = |hint: Option<bool>| hint == Some(true);
    let read_only = hints.is_some_and(|hints| is_set(hints.read_only_hint));
    let idempotent = read_only || hints.is_some_and(|hints| is_set(hints.idempotent_hint));
    let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default().to_owned();
    let details = Details {
        args: Some(Json::of(&*tool.input_schema)),
        returns: tool.output_schema.as_deref().map(Json::of),
        ..Details::default()
    };
    Command { name: tool.name.to_string(), idempotent, read_only, description, details: Some(Box::new(details)) }
}

fn own_command() -> Command {
    let description = "Of the runtime: the tools that the MCP server has now".to_owned();
    let args = Json::of_checked(r#"{"type":"object","additionalProperties":false}"#);
    let details = Details { args: Some(args), ..Details::default() };
    let (name, details) = (LIST_TOOLS.to_owned(), Some(Box::new(details)));
    Command { name, idempotent: true, read_only: true, description, details }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(text: &str) -> Result<Tools, Repeated> {
        Tools::of(&serde_json::from_str::<Vec<Tool>>(text).unwrap())
    }

    #[test]
    fn a_tool_becomes_a_command_with_its_schemas_and_its_hints() {
        let found = tools(
            r#"[{"name":"read.file","description":"reads","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},
                {"name":"write","title":"Writes","inputSchema":{"type":"object"},"outputSchema":{"type":"object"},
                 "annotations":{"readOnlyHint":false,"idempotentHint":false}},
                {"name":"set","inputSchema":{},"annotations":{"idempotentHint":true}}]"#,
        )
        .unwrap();
        let texts: Vec<String> =
            found.commands().iter().map(|command| serde_json::to_string(command).unwrap()).collect();
        let expected = [
            r#"{"name":"read.file","idempotent":true,"read_only":true,"description":"reads","args":{"type":"object"}}"#,
            r#"{"name":"write","idempotent":false,"description":"Writes","args":{"type":"object"},"returns":{"type":"object"}}"#,
            r#"{"name":"set","idempotent":true,"args":{}}"#,
        ];
        assert_eq!(texts[..3], expected);
        assert_eq!(found.commands()[3].name, LIST_TOOLS);
        assert_eq!(found.returns("write"), Some(Returns::Structured));
        assert_eq!(found.returns("set"), Some(Returns::Contents));
        assert_eq!(found.returns(LIST_TOOLS), None);
    }

    #[test]
    fn a_tool_takes_the_place_of_the_command_of_the_same_name() {
        let found = tools(r#"[{"name":"list_tools","inputSchema":{}}]"#).unwrap();
        assert_eq!(found.commands().len(), 1);
        assert_eq!(found.returns(LIST_TOOLS), Some(Returns::Contents));
    }

    #[test]
    fn a_name_twice_is_refused() {
        let found = tools(r#"[{"name":"a","inputSchema":{}},{"name":"a","inputSchema":{}}]"#);
        assert_eq!(found.unwrap_err(), Repeated("a".into()));
    }

    #[test]
    fn an_unknown_tool_is_answered_with_the_names_that_there_are() {
        let found = tools(r#"[{"name":"a","inputSchema":{}}]"#).unwrap();
        assert_eq!(found.unknown("b"), "the MCP server has no tool \"b\"; it has a, list_tools");
    }
}
