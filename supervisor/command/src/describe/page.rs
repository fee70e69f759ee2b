//! The page about a module, for a person: each command with its arguments, its answer and its examples. The whole is
//! what `--json` prints.

use super::model::{Command, Description, Example};
use super::schema::{Argument, Schema};
use crate::columns::{shortened, wrapped};
use crate::output::printable;
use crate::style::{Colour, Style};
use crate::table::{Align, Table};
use bulkhead_command_line::shell_word;
use bulkhead_protocol::Json;

/// How far what belongs to a command stands in.
const INDENT: &str = "  ";

/// Columns of a default value, and of a type.
const VALUE_WIDTH: usize = 40;

/// Columns of an example's JSON; more of it is cut, with a mark.
const EXAMPLE_WIDTH: usize = 400;

/// Examples of one command that are shown.
const EXAMPLES_MAX: usize = 5;

/// How a text is laid out.
#[derive(Clone, Copy)]
struct Layout {
    style: Style,
    width: Option<usize>,
}

/// The page of a module.
pub(super) fn whole(name: &str, description: &Description, style: Style, width: Option<usize>) -> String {
    let layout = Layout { style, width };
    let mut text = layout.head(name, description);
    let commands = description.commands.iter().chain(&description.requests);
    for command in commands {
        text.push('\n');
        text.push_str(&layout.command(name, command, description));
    }
    if description.commands.is_empty() && description.requests.is_empty() {
        text.push_str(&format!("\n{} declares no commands\n", printable(name)));
    }
    if description.left_out > 0 {
        let more = description.left_out;
        text.push_str(&format!("\nand {more} more, which had no room in the answer; name one to see it\n"));
    }
    text
}

/// The help of the one command that a description has.
pub(super) fn help(name: &str, description: &Description, style: Style, width: Option<usize>) -> String {
    let layout = Layout { style, width };
    let mut text = String::new();
    for command in description.commands.iter().chain(&description.requests) {
        let (module, of) = (printable(name), printable(&command.name));
        let usage = layout.style.paint(Colour::Strong, "Usage:");
        text.push_str(&format!(
            "{usage} bulkhead call {module} {of} [OPTIONS] [NAME=TEXT | NAME:=JSON]...\n       \
             bulkhead call {module} {of} [OPTIONS] [JSON | - | @FILE]\n\n"
        ));
        text.push_str(&layout.command(name, command, description));
    }
    text.push_str("\n`bulkhead help call` has the options\n");
    text
}

impl Layout {
    fn head(self, name: &str, description: &Description) -> String {
        let mut text = self.style.paint(Colour::Strong, &printable(name));
        if !description.version.is_empty() {
            text.push_str(&format!(" {}", printable(&description.version)));
        }
        text.push('\n');
        self.sentence(&mut text, "", &description.description);
        if !matches!(&*description.state, "" | "ready") {
            let state = printable(&description.state);
            self.sentence(&mut text, "", &format!("(it is {state}: this is what it said when it was last ready)"));
        }
        text
    }

    /// Adds a text in lines as wide as there is room, each so far in. Line ends of it stay.
    fn sentence(self, text: &mut String, indent: &str, sentence: &str) {
        for line in sentence.lines().filter(|line| !line.trim().is_empty()) {
            let columns = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent.len()));
            for line in wrapped(&printable(&line.replace('\t', " ")), columns) {
                text.push_str(&format!("{indent}{line}\n"));
            }
        }
    }

    fn command(self, module: &str, command: &Command, description: &Description) -> String {
        let mut text = self.style.paint(Colour::Strong, &printable(&command.name));
        match (command.idempotent, command.read_only) {
            (true, true) => text.push_str(" (idempotent, read-only)"),
            (true, false) => text.push_str(" (idempotent)"),
            (false, true) => text.push_str(" (read-only)"),
            (false, false) => {}
        }
        text.push('\n');
        self.sentence(&mut text, INDENT, &command.description);
        match &command.args {
            Some(args) => self.schema(&mut text, "arguments", "ARGUMENT", args),
            None => text.push_str("  arguments: not described\n"),
        }
        if let Some(returns) = &command.returns {
            self.schema(&mut text, "returns", "MEMBER", returns);
        }
        let verb = match description.requests.iter().any(|request| request.name == command.name) {
            false => format!("call {module} {}", command.name),
            true => format!("{} {module}", if command.name == "mutation" { "mutate" } else { "query" }),
        };
        self.examples(&mut text, &verb, &command.examples);
        for dropped in &command.dropped {
            let member = &dropped.member;
            self.sentence(&mut text, INDENT, &format!("not kept by the daemon: {member}: {}", dropped.reason));
        }
        text
    }

    fn schema(self, text: &mut String, what: &str, heading: &'static str, schema: &Json) {
        let Some(schema) = Schema::read(schema) else {
            return text
                .push_str(&format!("  {what}: a schema that is nested too deeply to be shown; --json has it\n"));
        };
        let members = schema.members();
        let kind = match schema.kind() {
            kind if members.is_empty() && kind == "object" && heading == "ARGUMENT" => "none that it names".into(),
            kind => shortened(&printable(&kind), VALUE_WIDTH),
        };
        let is_plain = !members.is_empty() && kind == "object";
        text.push_str(&if is_plain { format!("  {what}\n") } else { format!("  {what}: {kind}\n") });
        self.sentence(text, "    ", schema.description());
        if !members.is_empty() {
            self.members(text, heading, &members);
        }
    }

    fn members(self, text: &mut String, heading: &'static str, members: &[Argument]) {
        use Align::Left;
        let headings = [(heading, Left), ("TYPE", Left), ("REQUIRED", Left), ("DEFAULT", Left), ("DESCRIPTION", Left)];
        let mut table = Table::new(headings).with_sentences();
        for member in members {
            let short = |text: &str| shortened(&printable(text), VALUE_WIDTH);
            table.row([
                short(&member.name),
                short(&member.kind),
                if member.is_required { "yes" } else { "no" }.into(),
                member.default.as_deref().map(short).unwrap_or_default(),
                member.description.replace('\n', " "),
            ]);
        }
        let indent = "    ";
        let width = self.width.map(|width| width.saturating_sub(indent.len()));
        for line in table.render(self.style, width, |_, _| None).lines() {
            text.push_str(&format!("{indent}{line}\n"));
        }
    }

    fn examples(self, text: &mut String, verb: &str, examples: &[Json]) {
        if examples.is_empty() {
            return;
        }
        text.push_str("  examples\n");
        for example in examples.iter().take(EXAMPLES_MAX) {
            let read = example.read::<Example>().ok();
            let Some(Example { args, returns, description }) = read else {
                text.push_str(&format!("    {}\n", cut(example)));
                continue;
            };
            self.sentence(text, "    ", &description);
            let args = args.map(|args| format!(" {}", shell_word(&cut(&args)))).unwrap_or_default();
            text.push_str(&format!("    bulkhead {}{args}\n", printable(verb)));
            if let Some(returns) = returns {
                text.push_str(&format!("      {}\n", cut(&returns)));
            }
        }
        if examples.len() > EXAMPLES_MAX {
            text.push_str(&format!("    and {} more, which --json shows\n", examples.len() - EXAMPLES_MAX));
        }
    }
}

/// JSON in one line that is not too long.
fn cut(json: &Json) -> String {
    shortened(&printable(&json.as_str().replace(['\n', '\r'], " ")), EXAMPLE_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(text: &str) -> Description {
        Json::parse(text).unwrap().read().unwrap()
    }

    const LOG: &str = r##"{"name":"log","version":"0.1.0","state":"stopped","description":"keeps notes","commands":[
        {"name":"bare","idempotent":false},
        {"name":"find","idempotent":true,"description":"finds notes",
            "args":{"type":"object","properties":{"limit":{"type":"integer","minimum":1,"default":100,"description":"how many"},
                "text":{"type":"string"}},"required":["text"]},
            "returns":{"type":"array","items":{"type":"object"}},
            "examples":[{"args":{"text":"it's"},"returns":[],"description":"none is found"},7]},
        {"name":"odd","idempotent":false,"args":true,"dropped":[{"member":"returns","reason":"expected a schema, found 5"}]}],
        "left_out":2}"##;

    #[test]
    fn a_page_has_each_command_with_its_arguments_answer_examples_and_what_was_dropped() {
        let expected = r#"log 0.1.0
keeps notes
(it is stopped: this is what it said when it was last ready)

bare
  arguments: not described

find (idempotent)
  finds notes
  arguments
    ARGUMENT  TYPE                 REQUIRED  DEFAULT  DESCRIPTION
    text      text                 yes
    limit     integer, at least 1  no        100      how many
  returns: list of object
  examples
    none is found
    bulkhead call log find '{"text":"it'\''s"}'
      []
    7

odd
  arguments: anything
  not kept by the daemon: returns: expected a schema, found 5

and 2 more, which had no room in the answer; name one to see it
"#;
        assert_eq!(whole("log", &description(LOG), Style::Plain, None), expected);
    }

    #[test]
    fn the_data_store_is_shown_by_what_it_takes() {
        let text = r#"{"name":"layer1","version":"1","state":"ready","commands":[
            {"name":"flush","idempotent":true,"args":{"type":"object"},"examples":[{}]}],"requests":[
            {"name":"query","idempotent":true,"args":{"type":"object"},"examples":[{"args":{"entity":"Log"}}]},
            {"name":"mutation","idempotent":false,"examples":[{"args":{}}]}]}"#;
        let page = whole("layer1", &description(text), Style::Plain, None);
        assert!(page.contains("    bulkhead query layer1 '{\"entity\":\"Log\"}'\n"), "{page}");
        assert!(page.contains("    bulkhead mutate layer1 '{}'\n"), "{page}");
        assert!(page.contains("    bulkhead call layer1 flush\n"), "{page}");
        assert!(page.contains("  arguments: none that it names\n"), "{page}");
    }

    #[test]
    fn what_a_module_says_steers_no_terminal_and_no_line_is_longer_than_there_is_room() {
        let hostile = "\\u001b[2Jred\\nnext \\u202e ".repeat(20);
        let text = format!(
            r#"{{"version":"{hostile}","state":"{hostile}","description":"{hostile}","commands":[{{"name":"{hostile}",
            "description":"{hostile}","args":{{"type":"object","description":"{hostile}","properties":{{"{hostile}":
            {{"type":"{hostile}","default":"{hostile}","description":"{hostile}"}}}}}},"returns":{{"enum":["{hostile}"]}},
            "examples":["{hostile}",{{"args":"{hostile}","returns":"{hostile}","description":"{hostile}"}}],
            "dropped":[{{"member":"{hostile}","reason":"{hostile}"}}]}}]}}"#
        );
        for width in [None, Some(80), Some(20)] {
            let page = whole("log", &description(&text), Style::Plain, width);
            assert!(page.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{page}");
        }
        let long = whole("log", &description(LOG), Style::Plain, Some(40));
        assert!(long.contains("    text      text                 yes") || long.contains("not shown in"), "{long}");
    }
}
