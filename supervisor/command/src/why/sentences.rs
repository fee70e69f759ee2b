//! The sentences of `why`.

use super::model::{Explained, Happening, Next, Request, RequestOf, Setting};
use crate::amount::span;
use crate::output::printable;
use crate::style::{Colour, Style};
use std::fmt::Write;

/// Why a module is in its state.
pub(super) fn of_module(found: &Explained, style: Style) -> String {
    let name = style.paint(Colour::Strong, &printable(&found.name));
    let mut text = format!("{name} is {}{}.\n", printable(&found.state), after_colon(found.reason.as_deref()));
    if let Some(next) = &found.next {
        let _ = writeln!(text, "Next: {}.", self::next(next));
    } else if found.desired == "stopped" {
        text.push_str("It is not to run until it is started.\n");
    }
    if !found.rules.is_empty() {
        let _ = writeln!(text, "That is by {}.", settings(&found.rules));
    }
    if !found.requests.is_empty() {
        text.push_str("\nRequests:\n");
        for one in &found.requests {
            let _ = writeln!(text, "  {}", request(one));
        }
        if found.more_requests > 0 {
            let _ = writeln!(text, "  {} more", found.more_requests);
        }
    }
    if !found.history.is_empty() {
        let earlier = match found.earlier {
            0 => String::new(),
            count => format!(" ({count} earlier are not kept)"),
        };
        let _ = writeln!(text, "\nWhat happened, the newest last{earlier}:");
        for happening in &found.history {
            let ago = format!("{} ago", span(happening.ago_ms));
            let mut lines = self::happening(happening).into_iter();
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(text, "  {} {first}", style.paint(Colour::Faint, &format!("{ago:<11}")));
            lines.for_each(|line| {
                let _ = writeln!(text, "  {:<11} {line}", "");
            });
        }
    }
    text
}

/// Where one request waits.
pub(super) fn of_request(RequestOf { name, request: found }: &RequestOf, style: Style) -> String {
    let name = style.paint(Colour::Strong, &printable(name));
    format!("{name}: request {}\n", request(found))
}

fn request(found: &Request) -> String {
    let command = found.command.as_ref().map(|name| format!(" {}", printable(name))).unwrap_or_default();
    let from = match &found.from {
        Some(module) => format!(" of the module {}", printable(module)),
        None => String::new(),
    };
    let stage = match found.stage.as_str() {
        "in_flight" => "is in flight",
        "queue" => "waits in the queue",
        "key_look_up" => "waits for the data store",
        "key_join" => "waits for another request",
        "settling" | "committing" => "waits for its commit",
        "flushing" => "waits for the disk",
        other => other,
    };
    let id = found.id;
    let mut text = format!("{id}, {}{command}{from}, {stage}: {}.", printable(&found.kind), printable(&found.why));
    if let Some(left) = found.deadline_in_ms {
        let _ = write!(text, " Its deadline is in {}.", span(left));
    }
    match found.crashes {
        0 => {}
        1 => text.push_str(" It was in flight at a crash."),
        count => {
            let _ = write!(text, " It was in flight at {count} crashes.");
        }
    }
    if !found.rules.is_empty() {
        let _ = write!(text, " By {}.", settings(&found.rules));
    }
    text
}

fn next(Next { action, in_ms, why }: &Next) -> String {
    let when = in_ms.map(|ms| format!(" in {}", span(ms))).unwrap_or_default();
    format!("{}{when}{}", printable(action), after_colon(Some(why.as_str()).filter(|why| !why.is_empty())))
}

/// One line for what happened, and one for what followed.
fn happening(found: &Happening) -> Vec<String> {
    match found.what.as_str() {
        "known" if found.initial == "stopped" => vec!["The host learnt of it, and did not start it.".into()],
        "known" => vec!["The host learnt of it, and started it.".into()],
        "ordered" => {
            let by = match (found.by.as_str(), &found.module) {
                ("module", Some(module)) => format!("The module {}", printable(module)),
                ("client", _) => "A client".to_owned(),
                _ => "The host".to_owned(),
            };
            vec![format!("{by} ordered: {}.", printable(&found.order))]
        }
        "took_over" => vec![format!("The spare {} took over.", printable(&found.instance))],
        "put_off" => {
            let by = span(found.after_ms.unwrap_or(0));
            vec![format!(
                "Its restart was put off by {by}, as all modules of the host restart too often, {}.",
                by_settings(&found.rules)
            )]
        }
        "ended" => vec![ended(found), sequel(found)],
        other => vec![format!("{}.", printable(other))],
    }
}

fn ended(found: &Happening) -> String {
    let who = match found.by.as_str() {
        "exit" => "It exited by itself",
        "signal" => "A signal ended it that the host did not send",
        "not_started" => "It could not be started",
        "init" => "It did not get through its init",
        "compile" => "It did not compile in time",
        "ping" => "The host killed it, as it left pings unanswered",
        "deadline" => "The host killed it, as it was not done with a request long after its deadline",
        "protocol" => "The host killed it, as it broke the protocol",
        "cpu_time" => "The host killed it, as one message cost too much processor time",
        "operator" => "It was ordered to end",
        "config" => "Its configuration was replaced",
        "host" => "The host stopped it",
        "host_part" => "A part of the host ended, and it with that",
        other => other,
    };
    let ready = match found.ready_for_ms {
        Some(ms) => format!("was ready for {}", span(ms)),
        None => "was never ready".to_owned(),
    };
    let rules =
        if found.ended_rules.is_empty() { String::new() } else { format!(", {}", by_settings(&found.ended_rules)) };
    let counted = match found.counted.as_str() {
        "explained" => " It does not count, as a message that was set aside explains it.",
        _ => "",
    };
    let (instance, reason) = (printable(&found.instance), printable(&found.reason));
    format!("{instance} ended after {} and {ready}: {reason}. {who}{rules}.{counted}", span(found.lived_ms))
}

fn sequel(found: &Happening) -> String {
    let why = after_colon(found.why.as_deref());
    let what = match (found.sequel.as_str(), found.after_ms) {
        ("start", Some(0)) => "Then a start at once".to_owned(),
        ("start", Some(ms)) => format!("Then a start after {}{why}", span_of_delay(ms)),
        ("start_when_gone", _) => "Then a start, as soon as nothing was left of it".to_owned(),
        ("start_when_able", _) => "Then a start, as soon as the host had what it lacked".to_owned(),
        ("stopped", _) => "No start follows: it was to stop".to_owned(),
        ("finished", _) => "No start follows: the policy asks for none after such an end".to_owned(),
        ("failed", _) => "No start follows: another try would fail as well".to_owned(),
        ("gave_up", _) => "No start follows: the last try that was allowed failed".to_owned(),
        (other, _) => printable(other),
    };
    let rules =
        if found.sequel_rules.is_empty() { String::new() } else { format!(", {}", by_settings(&found.sequel_rules)) };
    format!("{what}{rules}.")
}

/// A delay: short ones in milliseconds.
fn span_of_delay(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { span(ms) }
}

fn by_settings(rules: &[Setting]) -> String {
    format!("by {}", settings(rules))
}

fn settings(rules: &[Setting]) -> String {
    let one = |Setting { key, value, origin }: &Setting| {
        let value = value.read::<String>().unwrap_or_else(|_| value.as_str().to_owned());
        let origin = origin.as_deref().unwrap_or("from a configuration that is not in force any more");
        format!("{} = {} ({})", printable(key), printable(&value), printable(origin))
    };
    rules.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn after_colon(text: Option<&str>) -> String {
    text.map(|text| format!(": {}", printable(text))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_protocol::Json;

    #[test]
    fn a_module_in_backoff_is_explained_with_its_settings_and_what_happened() {
        let json = r#"{"name":"flaky","state":"waiting","desired":"running","reason":"backoff after 2 failures in a row",
            "next":{"action":"next start","in_ms":200,"why":"backoff after 2 failures in a row"},"restarts":1,
            "rules":[{"key":"restart.delay_initial","value":"100ms","origin":"/m/module.toml:7"}],
            "requests":[{"id":17,"type":"command","command":"add","stage":"queue","why":"1 of 1 in the queue",
            "deadline_in_ms":29000,"crashes":1,"rules":[]}],"more_requests":2,"earlier":3,
            "history":[{"ago_ms":5000,"what":"known","initial":"running"},
            {"ago_ms":4000,"what":"ordered","order":"restart","by":"module","module":"boss"},
            {"ago_ms":500,"what":"ended","instance":"flaky#2","class":"failure","by":"ping","reason":"hung","lived_ms":3000,
            "ready_for_ms":2900,"counted":"yes","ended_rules":[{"key":"limits.ping_misses","value":3,"origin":"default"}],
            "sequel":"start","after_ms":250,"why":"backoff after 2 failures in a row",
            "sequel_rules":[{"key":"restart.delay_initial","value":"100ms","origin":null}]}]}"#;
        let expected = "\
flaky is waiting: backoff after 2 failures in a row.
Next: next start in 0.2s: backoff after 2 failures in a row.
That is by restart.delay_initial = 100ms (/m/module.toml:7).

Requests:
  17, command add, waits in the queue: 1 of 1 in the queue. Its deadline is in 29s. It was in flight at a crash.
  2 more

What happened, the newest last (3 earlier are not kept):
  5.0s ago    The host learnt of it, and started it.
  4.0s ago    The module boss ordered: restart.
  0.5s ago    flaky#2 ended after 3.0s and was ready for 2.9s: hung. The host killed it, as it left pings unanswered, by limits.ping_misses = 3 (default).
              Then a start after 250ms: backoff after 2 failures in a row, by restart.delay_initial = 100ms (from a configuration that is not in force any more).
";
        assert_eq!(of_module(&Json::parse(json).unwrap().read().unwrap(), Style::Plain), expected);
    }

    #[test]
    fn what_a_module_says_forges_no_line() {
        let found = Happening { what: "ended".into(), reason: "x\ny\u{1b}[2J".into(), ..Happening::default() };
        assert!(happening(&found).iter().all(|line| !line.contains(['\n', '\u{1b}'])));
    }

    #[test]
    fn a_host_of_another_version_is_understood_as_far_as_it_goes() {
        let json = r#"{"name":"a","state":"ready","history":[{"what":"sang","ago_ms":1}],"rules":7}"#;
        let text = of_module(&Json::parse(json).unwrap().read().unwrap(), Style::Plain);
        assert_eq!(text, "a is ready.\n\nWhat happened, the newest last:\n  0.0s ago    sang.\n");
    }
}
