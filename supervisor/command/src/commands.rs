//! `call NAME` without a command: which commands the module has declared, and how to call one.

use crate::cli::RequestOptions;
use crate::exit::{Exit, Halt};
use crate::lenient::{list as readable, or_empty};
use crate::lifecycle::{data_of, to_supervisor};
use crate::output::{Output, printable, with_schema};
use crate::session::Session;
use crate::style::{Style, width_of_stdout};
use crate::table::{Align, Table};
use serde::Deserialize;
use std::path::PathBuf;

/// The text for the data store, which takes little by commands.
const OF_LAYER1: &str = "\
layer1, the data store, has one command, which waits until everything that is committed is on the disk:

  bulkhead call layer1 flush

Beside it, it takes queries and mutations:

  bulkhead query layer1 '{\"entity\":\"Log\",\"limit\":10}'
  bulkhead mutate layer1 '{\"entity\":\"Log\",\"operation\":\"create\",\"data\":{\"text\":\"hi\"}}'

`bulkhead help query` and `bulkhead help mutate` have more.
";

#[derive(Deserialize)]
struct Answer {
    /// None of a module that was never ready.
    #[serde(default)]
    commands: Option<Declared>,
    /// Those that did not fit in the answer.
    #[serde(default, deserialize_with = "or_empty")]
    left_out: u64,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Declared(#[serde(deserialize_with = "readable")] Vec<Command>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Command {
    #[serde(deserialize_with = "or_empty")]
    name: String,
    #[serde(deserialize_with = "or_empty")]
    idempotent: bool,
    #[serde(deserialize_with = "or_empty")]
    description: String,
}

/// Lists the commands of `name`.
pub(crate) fn list(socket: Option<PathBuf>, name: &str, options: &RequestOptions) -> Result<Exit, Halt> {
    if options.key.is_some() {
        return Err(Halt::Usage("--key: expected a command to go with it, found none".into()));
    }
    let mut request = to_supervisor("commands", &serde_json::json!({ "name": name }).into());
    request.deadline_ms = Some(options.timeout.as_millis() as u64);
    let data = data_of(Session::open(socket)?.ask(&request, |_| {})?.status, name)?;
    let mut output = Output::default();
    if options.full {
        output.json_line(&with_schema(data.as_str()))?;
    } else {
        let answer = data.read();
        let answer = answer.map_err(|error| Halt::Failed(format!("the host's answer is not understood: {error}")))?;
        output.buffer().extend_from_slice(render(name, &answer, Style::of_stdout(), width_of_stdout())?.as_bytes());
    }
    output.flush()?;
    Ok(Exit::Done)
}

fn render(name: &str, answer: &Answer, style: Style, width: Option<usize>) -> Result<String, Halt> {
    use Align::Left;
    let name = printable(name);
    let Answer { commands, left_out } = answer;
    let Some(Declared(commands)) = commands else { return Err(Halt::NeverReady(name)) };
    if name == "layer1" {
        return Ok(OF_LAYER1.to_owned());
    }
    let how = format!("bulkhead call {name} COMMAND [JSON | - | @FILE | NAME=TEXT…]");
    if commands.is_empty() {
        let sentence = format!("{name} declares no commands; to call one that you know: {how}");
        return Err(Halt::Usage(sentence));
    }
    let mut table = Table::new([("COMMAND", Left), ("IDEMPOTENT", Left), ("DESCRIPTION", Left)])
        .with_sentences()
        .shown_whole_by("--full");
    for Command { name, idempotent, description } in commands {
        let idempotent = if *idempotent { "yes" } else { "no" };
        table.row([name.clone(), idempotent.into(), description.clone()]);
    }
    let mut text = table.render(style, width, |_, _| None);
    if *left_out > 0 {
        text.push_str(&format!("and {left_out} more, which had no room in the answer\n"));
    }
    text.push_str(&format!("\nTo call one: {how}\nWhat each takes: bulkhead describe {name}\n"));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    fn rendered(name: &str, answer: &str) -> Result<String, Halt> {
        render(name, &Json::parse(answer).unwrap().read().unwrap(), Style::Plain, None)
    }

    #[test]
    fn commands_are_listed_with_what_is_known_of_them() {
        let answer = r#"{"name":"log","commands":[{"name":"add","idempotent":false,"args":{"text":"string"}},
            {"name":"find","idempotent":true,"description":"finds logs"}],"left_out":2}"#;
        let expected = "\
COMMAND  IDEMPOTENT  DESCRIPTION
add      no
find     yes         finds logs
and 2 more, which had no room in the answer

To call one: bulkhead call log COMMAND [JSON | - | @FILE | NAME=TEXT…]
What each takes: bulkhead describe log
";
        assert_eq!(rendered("log", answer).unwrap(), expected);
    }

    #[test]
    fn a_module_without_commands_or_that_was_never_ready_says_so() {
        let none = rendered("log", r#"{"name":"log","commands":[]}"#).unwrap_err();
        assert_eq!(none.exit(), Exit::Usage);
        assert!(none.to_string().starts_with("log declares no commands; to call one"), "{none}");
        let unknown = rendered("log", r#"{"name":"log","commands":null}"#).unwrap_err();
        assert_eq!(unknown.exit(), Exit::NotRunning);
        assert!(unknown.to_string().contains("`bulkhead status log` says why"), "{unknown}");
        assert!(rendered("layer1", r#"{"name":"layer1","commands":[]}"#).unwrap().contains("bulkhead query layer1 '"));
    }
}
