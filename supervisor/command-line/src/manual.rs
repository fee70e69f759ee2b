//! Manual pages, made from the definitions of the command line. The sections have the names of man-pages(7); the text
//! after the options in the help is put into them: a paragraph that begins with a heading, as `Examples:`, is a
//! section, and all others belong to the description.

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use roff::{Inline, Roff, bold, italic, roman};
use std::io::{self, Write};

/// The heading of the exit codes.
const EXIT_STATUS: &str = "EXIT STATUS";

/// The page of a command, in roff.
///
/// # Errors
/// The errors of `out`.
pub fn page(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let man = Man::new(command.clone().subcommand_help_heading("COMMANDS"))
        .source(concat!("bulkhead ", env!("CARGO_PKG_VERSION")))
        .manual("Bulkhead");
    let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let help = parts(help.as_deref().unwrap_or_default());
    man.render_title(out)?;
    man.render_name_section(out)?;
    section("SYNOPSIS", |roff| roff.text(synopsis(command))).to_writer(out)?;
    man.render_description_section(out)?;
    for part in &help {
        if let Part::Text(text) = part {
            let mut roff = Roff::new();
            roff.control("PP", []).text([roman(text.as_str())]);
            roff.to_writer(out)?;
        }
    }
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(out)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    for part in &help {
        match part {
            Part::Text(_) => {}
            Part::List(heading, items) => section(heading, |roff| {
                for (term, text) in items {
                    roff.control("TP", []).text([bold(*term)]).text([roman(*text)]);
                }
                roff
            })
            .to_writer(out)?,
            Part::Lines(heading, lines) => section(heading, |roff| {
                roff.control("nf", []);
                lines.iter().for_each(|line| _ = roff.text([roman(*line)]));
                roff.control("fi", [])
            })
            .to_writer(out)?,
        }
    }
    if name != "bulkhead" {
        let has_own_codes = help.iter().any(|part| matches!(part, Part::List(EXIT_STATUS, _)));
        let why = if has_own_codes { "(1)" } else { "(1), for the exit status and the control socket" };
        section("SEE ALSO", |roff| roff.text([bold("bulkhead"), roman(why)])).to_writer(out)?;
    }
    Ok(())
}

fn section(heading: &str, fill: impl FnOnce(&mut Roff) -> &mut Roff) -> Roff {
    let mut roff = Roff::new();
    fill(roff.control("SH", [heading]));
    roff
}

/// A piece of the text after the options in the help.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// A paragraph.
    Text(String),
    /// A section of terms and their meanings.
    List(&'static str, Vec<(&'a str, &'a str)>),
    /// A section of verbatim lines.
    Lines(&'static str, Vec<&'a str>),
}

fn parts(help: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for paragraph in help.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        let lines = rest.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
        let list = |heading| {
            let items = rest.lines().filter_map(|line| line.trim().split_once("  "));
            Part::List(heading, items.map(|(term, text)| (term, text.trim())).collect())
        };
        parts.push(match first.trim() {
            "Exit codes:" => list(EXIT_STATUS),
            "Environment:" => list("ENVIRONMENT"),
            "Example:" | "Examples:" => Part::Lines("EXAMPLES", lines.collect()),
            _ => Part::Text(paragraph.replace('\n', " ")),
        });
    }
    parts
}

/// The synopsis: options with their values, required ones without brackets.
fn synopsis(command: &Command) -> Vec<Inline> {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let mut line = vec![bold(name)];
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) = arguments.partition(|argument| argument.is_positional());
    let is_help = |option: &Arg| matches!(option.get_id().as_str(), "help" | "version");
    // Of a group, one is required.
    let groups: Vec<Vec<&Arg>> = command
        .get_groups()
        .filter(|group| group.is_required_set())
        .map(|group| {
            group.get_args().filter_map(|id| command.get_arguments().find(|argument| argument.get_id() == id)).collect()
        })
        .collect();
    let is_grouped = |argument: &Arg| groups.iter().flatten().any(|other| other.get_id() == argument.get_id());
    for option in options.into_iter().filter(|option| !is_help(option) && !is_grouped(option)) {
        line.push(roman(if option.is_required_set() { " " } else { " [" }));
        line.extend(written(option));
        line.extend((!option.is_required_set()).then(|| roman("]")));
        line.extend(matches!(option.get_action(), ArgAction::Append).then(|| roman("...")));
    }
    for group in &groups {
        line.push(roman(" {"));
        for (at, argument) in group.iter().enumerate() {
            line.extend((at > 0).then(|| roman(" | ")));
            line.extend(written(argument));
        }
        line.push(roman("}"));
    }
    for argument in positional.into_iter().filter(|argument| !is_grouped(argument)) {
        line.push(roman(if argument.is_required_set() { " " } else { " [" }));
        line.extend(written(argument));
        line.extend((!argument.is_required_set()).then(|| roman("]")));
    }
    if command.has_subcommands() {
        let is_needed = command.is_subcommand_required_set();
        line.extend([roman(if is_needed { " " } else { " [" }), italic("COMMAND"), roman(" "), italic("...")]);
        line.extend((!is_needed).then(|| roman("]")));
    }
    line
}

/// An option with its value, or the name of an argument.
fn written(argument: &Arg) -> Vec<Inline> {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let mut written = vec![bold(names.join("|"))];
    if argument.is_positional() || argument.get_action().takes_values() {
        written.extend((!argument.is_positional()).then(|| roman(" ")));
        written.push(italic(value_of(argument)));
        let is_many = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
        written.extend(is_many.then(|| roman("...")));
    }
    written
}

fn value_of(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    if names.is_empty() { argument.get_id().as_str().to_uppercase() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_of_the_help_become_sections() {
        let help = "It waits.\nAnd ends.\n\nExit codes:\n    0  done\n  125  no daemon\n\nExamples:\n  a | b\n    c";
        let expected = [
            Part::Text("It waits. And ends.".into()),
            Part::List(EXIT_STATUS, vec![("0", "done"), ("125", "no daemon")]),
            Part::Lines("EXAMPLES", vec!["a | b", "  c"]),
        ];
        assert_eq!(parts(help), expected);
        assert_eq!(parts(""), []);
    }

    #[test]
    fn a_synopsis_shows_what_is_needed_and_what_has_a_value() {
        let timeout = || Arg::new("timeout").long("timeout").value_name("S");
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        let whole = Command::new("bulkhead")
            .subcommand(
                Command::new("wait")
                    .arg(Arg::new("name").value_name("NAME").required(true))
                    .arg(Arg::new("for").long("for").value_name("STATE").required(true))
                    .arg(timeout()),
            )
            .subcommand(
                Command::new("stop")
                    .arg(Arg::new("names").value_name("NAME").num_args(1..))
                    .args([flag("all"), timeout()])
                    .group(clap::ArgGroup::new("which").args(["names", "all"]).required(true)),
            )
            .subcommand(
                Command::new("run")
                    .arg(Arg::new("modules").long("modules").value_name("DIR").num_args(1..).action(ArgAction::Append))
                    .arg(flag("json").short('j')),
            )
            .subcommand(Command::new("layer1").subcommand_required(true).subcommand(Command::new("check")));
        let mut whole = whole;
        whole.build();
        for (name, expected) in [
            ("wait", "bulkhead wait --for STATE [--timeout S] NAME"),
            ("stop", "bulkhead stop [--timeout S] {NAME... | --all}"),
            ("run", "bulkhead run [--modules DIR...]... [-j|--json]"),
            ("layer1", "bulkhead layer1 COMMAND ..."),
        ] {
            let command = whole.find_subcommand(name).expect(name);
            let text = synopsis(command).into_iter().map(|inline| match inline {
                Inline::Roman(text) | Inline::Italic(text) | Inline::Bold(text) => text,
                Inline::LineBreak => "\n".into(),
            });
            assert_eq!(text.collect::<String>(), expected);
        }
    }
}
