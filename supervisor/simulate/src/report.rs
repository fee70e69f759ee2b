//! What was played, as text and as JSON.

use crate::{
    play::{End, Played},
    subject::Subject,
    timeline::{Deed, Entry},
};
use bulkhead_config::format_duration;
use bulkhead_core::{AppliedRule, Ended, RuleOwner, RuleValue, Sequel, Time};
use serde_json::{Value, json};
use std::{fmt::Write, time::Duration};

/// The version of the JSON object; a member that is added does not change it.
const SCHEMA: u32 = 1;

/// The report as text.
pub(crate) fn text(subject: &Subject, played: &Played) -> String {
    let mut text = String::new();
    for remark in &subject.remarks {
        let _ = writeln!(text, "{}: {remark}", subject.spec.name);
    }
    for Entry { at, what } in &played.timeline.entries {
        let _ = writeln!(text, "{:>12}  {}", moment(*at), deed(subject, what));
    }
    if played.timeline.left_out > 0 {
        let _ = writeln!(text, "{:>12}  {} more, which are not shown", "", played.timeline.left_out);
    }
    let why = match played.end {
        End::Time => "the time is over",
        End::Rest => "nothing more happens by itself",
        End::Processes => "no more processes are played",
    };
    let view = &played.view;
    let reason = view.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let _ = writeln!(text, "\nAt {} {why}. {} is {}{reason}.", moment(played.until), view.name, view.state.name());
    if let Some(next) = view.next.as_ref().filter(|_| played.end == End::Time) {
        let _ = writeln!(text, "Next: {next}.");
    }
    let _ = writeln!(text, "{}, {}.", count(played.starts as u64, "start"), count(played.failures, "failure"));
    text
}

/// The report as one JSON object on a line.
pub(crate) fn json(subject: &Subject, played: &Played) -> String {
    let timeline: Vec<Value> = played.timeline.entries.iter().map(|entry| entry_json(subject, entry)).collect();
    let view = &played.view;
    let next = view
        .next
        .as_ref()
        .filter(|_| played.end == End::Time)
        .map(|next| json!({ "action": next.action, "in_ms": next.after.map(millis), "why": next.why }));
    let report = json!({
        "schema": SCHEMA,
        "module": view.name.as_str(),
        "remarks": subject.remarks,
        "timeline": timeline,
        "left_out": played.timeline.left_out,
        "until_ms": played.until.as_micros() / 1000,
        "end": match played.end {
            End::Time => "time",
            End::Rest => "rest",
            End::Processes => "processes",
        },
        "state": view.state.name(),
        "reason": view.reason,
        "next": next,
        "starts": played.starts,
        "failures": played.failures,
    });
    format!("{report}\n")
}

fn deed(subject: &Subject, what: &Deed) -> String {
    match what {
        Deed::Starts(instance) => format!("{instance} starts"),
        Deed::Ready(instance) => format!("{instance} is ready"),
        Deed::TookOver(instance) => format!("the spare {instance} takes over"),
        Deed::PutOff { by, rules } => {
            let by_rules = by_rules(subject, rules);
            format!("the restart waits {}, as all modules of the host restart too often{by_rules}", delay(*by))
        }
        Deed::Ended(ended) => {
            let what = match ended.sequel {
                Sequel::Start { after, .. } if after.is_zero() => "a start at once".to_owned(),
                Sequel::Start { after, why } => format!("a start after {} ({why})", delay(after)),
                Sequel::StartWhenGone | Sequel::StartWhenAble => "a start".to_owned(),
                Sequel::Stopped => "no start: it was to stop".to_owned(),
                Sequel::Finished => "no start after such an end".to_owned(),
                Sequel::Failed => "no start: another try would fail as well".to_owned(),
                Sequel::GaveUp => "no start: it is given up".to_owned(),
            };
            let Ended { instance, reason, ended_rules, sequel_rules, .. } = &**ended;
            let (ended_by, sequel_by) = (by_rules(subject, ended_rules), by_rules(subject, sequel_rules));
            format!("{instance} ends: {reason}{ended_by}; then {what}{sequel_by}")
        }
    }
}

fn entry_json(subject: &Subject, Entry { at, what }: &Entry) -> Value {
    let at = at.as_micros() / 1000;
    match what {
        Deed::Starts(instance) => json!({ "at_ms": at, "what": "starts", "instance": instance }),
        Deed::Ready(instance) => json!({ "at_ms": at, "what": "ready", "instance": instance }),
        Deed::TookOver(instance) => json!({ "at_ms": at, "what": "took_over", "instance": instance }),
        Deed::PutOff { by, rules } => {
            json!({ "at_ms": at, "what": "put_off", "after_ms": millis(*by), "rules": settings(subject, rules) })
        }
        Deed::Ended(ended) => {
            let (after, why) = match ended.sequel {
                Sequel::Start { after, why } => (Some(millis(after)), Some(why.to_string())),
                _ => (None, None),
            };
            json!({
                "at_ms": at,
                "what": "ended",
                "instance": ended.instance,
                "by": ended.by.name(),
                "reason": ended.reason,
                "lived_ms": millis(ended.lived),
                "ready_for_ms": ended.ready_for.map(millis),
                "counted": ended.counted.name(),
                "ended_rules": settings(subject, &ended.ended_rules),
                "sequel": ended.sequel.name(),
                "after_ms": after,
                "why": why,
                "sequel_rules": settings(subject, &ended.sequel_rules),
            })
        }
    }
}

fn settings(subject: &Subject, rules: &[AppliedRule]) -> Vec<Value> {
    let one = |applied: &AppliedRule| {
        let value = match applied.value {
            RuleValue::Count(number) => number.into(),
            other => Value::from(value_text(other)),
        };
        json!({ "key": applied.rule.key(), "value": value, "origin": origin(subject, applied) })
    };
    rules.iter().map(one).collect()
}

fn by_rules(subject: &Subject, rules: &[AppliedRule]) -> String {
    let one = |applied: &AppliedRule| {
        format!("{} = {} ({})", applied.rule.key(), value_text(applied.value), origin(subject, applied))
    };
    if rules.is_empty() {
        return String::new();
    }
    format!(", by {}", rules.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn value_text(value: RuleValue) -> String {
    match value {
        RuleValue::Count(number) => number.to_string(),
        RuleValue::Time(time) => format_duration(time),
        RuleValue::Word(word) => word.to_owned(),
        RuleValue::None => "none".to_owned(),
    }
}

fn origin(subject: &Subject, applied: &AppliedRule) -> String {
    let origins = match applied.rule.owner() {
        RuleOwner::Module => &subject.origins,
        RuleOwner::Host => &subject.host_origins,
    };
    origins.of(applied.rule.key()).to_string()
}

/// A moment: `0.010s`, `1m02.500s`, `2h03m04.000s`, `1d02h03m04.000s`.
fn moment(at: Time) -> String {
    let ms = at.as_micros() / 1000;
    let (seconds, part) = (ms / 1000, ms % 1000);
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}.{part:03}s"),
        (0, 0, _) => format!("{minutes}m{rest:02}.{part:03}s"),
        (0, ..) => format!("{hours}h{minutes:02}m{rest:02}.{part:03}s"),
        _ => format!("{days}d{hours:02}h{minutes:02}m{rest:02}.{part:03}s"),
    }
}

fn delay(time: Duration) -> String {
    moment(Time::ZERO + time)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
