//! Reports to a person at a terminal why a command waits: after a second, and again when the reason changes. The host
//! is asked over the same connection; this does not affect the answer that is waited for.

use crate::lifecycle::to_supervisor;
use crate::output::{complain_over_progress, printable};
use crate::session::Session;
use crate::status::{self, Module};
use bulkhead_client::ClientError;
use bulkhead_protocol::{Json, Response, Status};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// How long a person waits without a report, and how often the host is asked from then on.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many modules are named at once.
const NAMED_MAX: usize = 3;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// That modules are ready, or that one can take a request.
    Ready,
    /// That no process of modules is left.
    Stopped,
}

/// Reports why a command waits; silent where no person would see it.
#[derive(Debug)]
pub(crate) struct WaitNotice {
    /// The modules that are waited for; all where none is named.
    names: Vec<String>,
    goal: Goal,
    /// When to ask next; `None` where nothing is reported.
    due: Option<Instant>,
    /// The number of the question that is not answered.
    asked: Option<u64>,
    reported: String,
}

impl WaitNotice {
    /// For a command that begins to wait now; `is_for_programs` if its output is, which gets no reports.
    pub(crate) fn new(names: Vec<String>, goal: Goal, is_for_programs: bool) -> WaitNotice {
        let is_seen = !is_for_programs && io::stderr().is_terminal();
        let due = is_seen.then(|| Instant::now() + INTERVAL);
        WaitNotice { names, goal, due, asked: None, reported: String::new() }
    }

    /// For requests that the host answers itself.
    pub(crate) fn none() -> WaitNotice {
        WaitNotice { names: Vec::new(), goal: Goal::Ready, due: None, asked: None, reported: String::new() }
    }

    /// When to call [`WaitNotice::ask`].
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// One module is not waited for any more.
    pub(crate) fn is_done(&mut self, name: &str) {
        self.names.retain(|other| other != name);
    }

    /// The wait begins only then: the first second after that is silent.
    pub(crate) fn begins_at(&mut self, begun: Instant) {
        self.due = self.due.map(|due| due.max(begun + INTERVAL));
    }

    /// The connection is another one.
    pub(crate) fn is_reconnected(&mut self) {
        self.asked = None;
    }

    /// Asks the host, if it is time.
    pub(crate) fn ask(&mut self, session: &mut Session, now: Instant) -> Result<(), ClientError> {
        if self.due.is_none_or(|due| due > now) {
            return Ok(());
        }
        self.due = Some(now + INTERVAL);
        if self.asked.is_none() {
            let args = match &*self.names {
                [name] => serde_json::json!({ "name": name }),
                _ => serde_json::json!({}),
            };
            self.asked = Some(session.queue_request(&to_supervisor("status", &args.into()))?);
        }
        Ok(())
    }

    /// Whether this is the answer to the notice's own request; if so, it is used.
    pub(crate) fn takes(&mut self, response: &Response) -> bool {
        if self.asked.is_none() || response.id != self.asked {
            return false;
        }
        self.asked = None;
        if let Status::Success(status) = &response.status {
            self.report(status);
        }
        true
    }

    /// Reports what has changed.
    fn report(&mut self, answer: &Json) {
        let Ok(status::Status { modules, .. }) = answer.read() else { return };
        let modules = if modules.is_empty() { answer.read().into_iter().collect() } else { modules };
        let (key, text) = words(&modules, &self.names, self.goal);
        if key != self.reported {
            self.reported = key;
            if !text.is_empty() {
                complain_over_progress(&text);
            }
        }
    }

    /// Reports this text instead of the host's, as there is no host; once while it stays the same.
    pub(crate) fn report_instead(&mut self, text: &str) {
        if self.due.is_some_and(|due| due <= Instant::now()) && self.reported != text {
            text.clone_into(&mut self.reported);
            complain_over_progress(text);
        }
    }
}

/// The text for a person, preceded by the same without times: it is reported again only when that changes.
fn words(modules: &[Module], names: &[String], goal: Goal) -> (String, String) {
    let is_waited_for = |module: &&Module| {
        let is_meant = names.is_empty() || names.contains(&module.name);
        is_meant
            && !module.state.is_empty()
            && match goal {
                Goal::Ready => module.state != "ready" && (!names.is_empty() || module.desired == "running"),
                Goal::Stopped => module.state != "stopped",
            }
    };
    let waited_for: Vec<&Module> = modules.iter().filter(is_waited_for).collect();
    let keys: Vec<String> = waited_for.iter().map(|module| words_of(module, false)).collect();
    let mut lines: Vec<String> = waited_for.iter().take(NAMED_MAX).map(|module| words_of(module, true)).collect();
    let more = waited_for.len().saturating_sub(NAMED_MAX);
    lines.extend((more > 0).then(|| format!("{more} more are waited for")));
    (keys.join("\n"), lines.join("\n  "))
}

/// One module in words.
fn words_of(module: &Module, with_times: bool) -> String {
    let mut text = format!("waiting for {}: it is {}", module.name, module.state);
    let reason = module.reason.as_deref().filter(|reason| !reason.is_empty());
    text.extend(reason.map(|reason| format!(", {reason}")));
    text.extend(module.last_exit.as_ref().map(|exit| format!("; it ended last by {exit}")));
    if let Some(next) = &module.next {
        text.push_str(&format!("; {}", if with_times { next.step() } else { next.action.clone() }));
        if !next.why.is_empty() && Some(&*next.why) != reason {
            text.push_str(&format!(" ({})", next.why));
        }
    }
    printable(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(json: &str) -> Vec<Module> {
        Json::parse(json).unwrap().read().unwrap()
    }

    const LOOP: &str = r#"[{"name":"a","desired":"running","state":"waiting","reason":"the 3rd failure in a row",
        "last_exit":"SIGSEGV","next":{"action":"next start","in_ms":3200,"why":"the 3rd failure in a row"}},
        {"name":"b","desired":"running","state":"ready","reason":null,"next":null},
        {"name":"c","desired":"stopped","state":"stopped"},
        {"name":"d","desired":"running","state":"stopping","reason":"asked to"}]"#;

    #[test]
    fn what_is_waited_for_is_reported_with_its_reason_and_the_next_try() {
        let (key, text) = words(&modules(LOOP), &["a".into()], Goal::Ready);
        assert_eq!(
            text,
            "waiting for a: it is waiting, the 3rd failure in a row; it ended last by SIGSEGV; next start in 3.2s"
        );
        let sooner = LOOP.replace("3200", "2200");
        assert_eq!(words(&modules(&sooner), &["a".into()], Goal::Ready).0, key, "time alone is no news");
        let fourth = LOOP.replace("3rd", "4th");
        assert_ne!(words(&modules(&fourth), &["a".into()], Goal::Ready).0, key);
    }

    #[test]
    fn what_is_as_it_should_be_or_not_meant_is_not_reported() {
        let reported = |names: &[&str], goal| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            words(&modules(LOOP), &names, goal).1
        };
        assert_eq!(reported(&["b"], Goal::Ready), "", "it works on the request");
        assert_eq!(reported(&["d"], Goal::Stopped), "waiting for d: it is stopping, asked to");
        assert_eq!(reported(&["c"], Goal::Stopped), "");
        assert_eq!(reported(&["c"], Goal::Ready), "waiting for c: it is stopped");
        let all = reported(&[], Goal::Ready);
        assert!(all.contains("for a: ") && all.contains("\n  waiting for d: ") && !all.contains("for c"), "{all}");
    }

    #[test]
    fn of_many_some_are_named_and_the_others_counted() {
        let starting = |at: u32| format!(r#"{{"name":"m{at}","desired":"running","state":"starting"}}"#);
        let many = modules(&format!("[{}]", (0..10).map(starting).collect::<Vec<_>>().join(",")));
        let (_, text) = words(&many, &[], Goal::Ready);
        assert!(text.ends_with("waiting for m2: it is starting\n  7 more are waited for"), "{text}");
    }
}
