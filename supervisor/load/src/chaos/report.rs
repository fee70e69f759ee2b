//! What is printed at the end: what was done, what became of the calls, and each fault with its call.

use super::cli::Cli;
use super::disturb::{Disturbed, Done, Hit};
use super::effects::Effects;
use super::ledger::{End, Twice};
use super::verdict::{FAULTS_MAX, Fault, Found, Verdict};
use crate::called::Called;
use crate::figures::{at, counted, grouped, short};
use crate::problem::{DONE, FAILED, Problem, signalled};
use bulkhead_protocol::{Delivery, escape};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;

/// Faults that are printed for people; the JSON has more.
const SHOWN_MAX: usize = 10;

/// What was judged.
#[derive(Debug)]
pub(super) struct Judged {
    verdict: Verdict,
    /// How many effects were seen; none where they were not looked for.
    effects: Option<u64>,
}

impl Judged {
    pub(super) fn of(verdict: Verdict, effects: Option<&Effects>) -> Judged {
        Judged { verdict, effects: effects.map(Effects::total) }
    }
}

/// The report.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) cli: &'a Cli,
    pub(super) seed: u64,
    pub(super) twice: Twice,
    pub(super) called: &'a Called,
    pub(super) disturbed: &'a Disturbed,
    pub(super) judged: &'a Judged,
    /// Why the run cannot be judged whole.
    pub(super) problem: Option<Problem>,
    pub(super) signal: Option<Signal>,
}

impl Report<'_> {
    /// Prints it. A reader that is gone needs no report.
    pub(super) fn print(&self) {
        let text = if self.cli.json { format!("{}\n", self.json()) } else { self.text() };
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
        for problem in self.problems() {
            eprintln!("bulkhead chaos: {problem}");
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match (&self.problem, self.signal) {
            _ if self.judged.verdict.is_broken() => FAILED,
            (Some(problem), _) => problem.code,
            (None, Some(signal)) => signalled(signal),
            (None, None) if self.problems().is_empty() => DONE,
            (None, None) => FAILED,
        }
    }

    /// Why the run shows nothing, or less than it should.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        problems.extend(self.problem.as_ref().map(|problem| format!("the run cannot be judged whole: {problem}")));
        let ended = |problem: &Problem| format!("the disturbances were ended before their time: {problem}");
        problems.extend(self.disturbed.problem.as_ref().map(ended));
        if self.disturbed.hits.is_empty() && self.disturbed.problem.is_none() {
            problems.push("no process was disturbed, so the run shows nothing".into());
        }
        if self.judged.verdict.successes == 0 && self.problem.is_none() {
            let codes = self.codes();
            problems.push(format!("no call succeeded, so the run shows nothing{codes}"));
        }
        problems
    }

    fn codes(&self) -> String {
        let codes = self.judged.verdict.codes.iter().map(|(code, count)| format!("{} {code}", grouped(*count)));
        let codes: Vec<String> = codes.collect();
        if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) }
    }

    fn text(&self) -> String {
        let Cli { name, command, in_flight, .. } = self.cli;
        let Verdict { calls, successes, not_begun, perhaps, perhaps_done, sent_again, cut_off, .. } =
            &self.judged.verdict;
        let with = match self.twice {
            Twice::Keyed => "with keys",
            Twice::Idempotent => "idempotent, without keys",
            Twice::OtherWork => "without keys",
        };
        let mut text = format!(
            "{} {}: {} with the seed {}, {in_flight} in flight, {with}\n",
            escape(name),
            escape(command),
            short(self.cli.duration),
            self.seed
        );
        let mut add = |title: &str, line: &str| {
            let _ = writeln!(text, "  {title:<11} {line}");
        };
        add("disturbed", &self.disturbances());
        add("calls", &format!("{}: {} succeeded", grouped(*calls), grouped(*successes)));
        if not_begun + perhaps > 0 {
            let seen = match self.judged.effects {
                Some(_) => format!(", of which {} were done", grouped(*perhaps_done)),
                None => String::new(),
            };
            let failed = format!("{} not begun, {} perhaps done{seen}", grouped(*not_begun), grouped(*perhaps));
            add("failed", &format!("{failed}{}", self.codes()));
        }
        if *cut_off > 0 {
            add("cut off", &format!("{}, as the daemon went away", counted(*cut_off, "call")));
        }
        if *sent_again > 0 {
            add("sent again", &format!("{} by this program", counted(*sent_again, "request")));
        }
        if let Some((number, took)) = self.judged.verdict.longest {
            add("longest", &format!("{} until the end of the call {}", short(took), self.called.run().id(number)));
        }
        match self.judged.effects {
            Some(effects) => add("effects", &format!("{} seen", grouped(effects))),
            None => {
                add("effects", "not looked at: only answers are judged; --observe or --observe-events looks at them")
            }
        }
        let counts = self.judged.verdict.counts.iter();
        let counts: Vec<String> =
            counts.map(|(fault, count)| format!("{} {}", grouped(*count), in_words(fault))).collect();
        if !counts.is_empty() {
            add("faults", &counts.join(", "));
        }
        text.push_str(&self.faults());
        text
    }

    fn disturbances(&self) -> String {
        let Disturbed { hits, misses, starts, .. } = self.disturbed;
        let name = |act: &str| match act {
            "kill" => "killed",
            "stop" => "stopped",
            _ => "slowed",
        };
        let mut parts: Vec<String> =
            hits.iter().map(|(act, count)| format!("{} {}", grouped(*count), name(act))).collect();
        if *misses > 0 {
            parts.push(format!("{} without a process to disturb", counted(*misses, "time")));
        }
        if *starts > 0 {
            parts.push(format!("{} after the daemon had put the start off", counted(*starts, "start")));
        }
        if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
    }

    fn faults(&self) -> String {
        let Verdict { faults, counts, strange, unknown_effects, .. } = &self.judged.verdict;
        let mut text = String::new();
        for found in faults.iter().take(SHOWN_MAX) {
            let _ = writeln!(text, "{}", self.sentence(found));
        }
        let all: u64 = counts.values().sum();
        if all > SHOWN_MAX as u64 {
            let _ = writeln!(text, "and {} more; --json lists the first {FAULTS_MAX}", grouped(all - SHOWN_MAX as u64));
        }
        if *strange > 0 {
            let _ =
                writeln!(text, "{} came for requests that had theirs, or were never sent", counted(*strange, "answer"));
        }
        if *unknown_effects > 0 {
            let _ = writeln!(text, "{} have ids of calls that were never made", counted(*unknown_effects, "effect"));
        }
        match (self.judged.verdict.is_broken(), self.judged.effects) {
            (true, _) => {}
            (false, Some(_)) => text.push_str("nothing was lost, doubled or late\n"),
            (false, None) => text.push_str("every call had one answer in time\n"),
        }
        text
    }

    fn sentence(&self, Found { number, fault, call }: &Found) -> String {
        let id = self.called.run().id(*number);
        let answered = match call.end {
            End::Success => format!("answered with success at {}", at(call.ended)),
            End::Refused(refusal) => {
                let delivery = refusal.delivery.map_or("", delivery_name);
                format!("answered with {} {delivery} at {}", refusal.code, at(call.ended)).replace("  ", " ")
            }
            End::Open | End::Unanswered | End::CutOff => "not answered".into(),
        };
        let requests = counted(u64::from(call.requests), "request");
        let what = match fault {
            Fault::Lost => "no effect was found".into(),
            Fault::Doubled(effects) | Fault::NotBegunButDone(effects) => counted(u64::from(*effects), "effect"),
            Fault::Unanswered => format!("nothing came for {} after the deadline", short(self.cli.grace)),
            Fault::Late(late) => format!("{} after the deadline", short(*late)),
        };
        let kind = in_words(fault.name()).to_uppercase();
        format!("{kind} {id}: sent at {} ({requests}), {answered}; {what}", at(call.first_sent))
    }

    fn json(&self) -> Value {
        let Verdict { calls, successes, not_begun, perhaps, perhaps_done, sent_again, .. } = &self.judged.verdict;
        let Verdict { codes, longest, faults, counts, strange, unknown_effects, cut_off, .. } = &self.judged.verdict;
        let Disturbed { kept, hits, misses, starts, .. } = self.disturbed;
        json!({
            "schema": 1,
            "module": self.cli.name,
            "command": self.cli.command,
            "seed": self.seed,
            "twice": match self.twice {
                Twice::Keyed => "keyed",
                Twice::Idempotent => "idempotent",
                Twice::OtherWork => "other_work",
            },
            "disturbances": kept.iter().map(disturbance).collect::<Vec<_>>(),
            "disturbed": { "hits": hits, "misses": misses, "starts": starts },
            "calls": calls,
            "succeeded": successes,
            "not_begun": not_begun,
            "perhaps": perhaps,
            "perhaps_done": self.judged.effects.map(|_| perhaps_done),
            "cut_off": cut_off,
            "sent_again": sent_again,
            "failures": codes,
            "longest": longest.map(|(number, took)| json!({ "id": self.called.run().id(number), "s": took.as_secs_f64() })),
            "effects": self.judged.effects,
            "faults": counts,
            "strange_answers": strange,
            "unknown_effects": unknown_effects,
            "faulty": faults.iter().map(|found| self.faulty(found)).collect::<Vec<_>>(),
            "problems": self.problems(),
            "interrupted": self.signal.map(Signal::as_str),
        })
    }

    fn faulty(&self, found: &Found) -> Value {
        let Found { number, fault, call } = found;
        let (end, code, delivery) = match call.end {
            End::Success => ("success", None, None),
            End::Refused(refusal) => ("error", Some(refusal.code.name()), refusal.delivery.map(delivery_name)),
            End::Open | End::Unanswered | End::CutOff => ("none", None, None),
        };
        let effects = match fault {
            Fault::Lost => Some(0),
            Fault::Doubled(effects) | Fault::NotBegunButDone(effects) => Some(*effects),
            Fault::Unanswered | Fault::Late(_) => None,
        };
        json!({
            "id": self.called.run().id(*number),
            "fault": fault.name(),
            "sent_s": call.first_sent.as_secs_f64(),
            "ended_s": call.ended.as_secs_f64(),
            "requests": call.requests,
            "answer": end,
            "code": code,
            "delivery": delivery,
            "effects": effects,
            "sentence": self.sentence(found),
        })
    }
}

fn in_words(fault: &str) -> String {
    fault.replace('_', " ")
}

fn delivery_name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotStarted => "not_started",
        Delivery::Started => "started",
        Delivery::Unknown => "unknown",
    }
}

fn disturbance(done: &Done) -> Value {
    let (instance, pid) = match &done.hit {
        Hit::Process { instance, pid } => (Some(instance), Some(pid)),
        Hit::Nothing => (None, None),
    };
    json!({ "at_s": done.at.as_secs_f64(), "act": done.act.name(), "instance": instance, "pid": pid })
}
