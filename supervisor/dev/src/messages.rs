//! A message of a module as a line: where it goes, what it is, how long it is, and of an answer how long it took. What is
//! in it is not shown.

use bulkhead_protocol::Json;
use serde::Deserialize;
use std::time::Duration;

/// A line for the screen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Of this module.
    Of(String, String),
    /// So many messages are not shown.
    LeftOut(u64),
}

#[derive(Deserialize)]
struct LeftOut {
    left_out: u64,
}

#[derive(Deserialize)]
struct Message {
    time: String,
    way: Way,
    module: String,
    instance: String,
    message: String,
    id: Option<u64>,
    r#type: Option<String>,
    name: Option<String>,
    #[serde(default)]
    to: Option<String>,
    bytes: u64,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    duration_us: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    ToModule,
    FromModule,
}

/// What the host reports, as a line; none of the sign that it has begun.
pub(crate) fn line(data: &Json) -> Option<Line> {
    if let Ok(LeftOut { left_out }) = data.read() {
        return Some(Line::LeftOut(left_out));
    }
    let Message { time, way, module, instance, message, id, r#type, name, to, bytes, code, duration_us } =
        data.read().ok()?;
    // The hour and what follows it, without the zone.
    let time = time.get(11..23).unwrap_or(&time);
    let way = match way {
        Way::ToModule => "in ",
        Way::FromModule => "out",
    };
    let mut text = format!("{time} {way}");
    if message != "request" {
        text.push_str(&format!(" {message}"));
    }
    let is_answer = message != "request";
    match (r#type, is_answer) {
        (Some(kind), false) => text.push_str(&format!(" {kind}")),
        (Some(kind), true) => text.push_str(&format!(" of {kind}")),
        (None, _) => {}
    }
    let more = [name, to.map(|to| format!("to {to}"))];
    more.into_iter().flatten().for_each(|more| text.push_str(&format!(" {more}")));
    let details = [
        id.map(|id| format!("id {id}")),
        code,
        Some(format!("{bytes} B")),
        duration_us.map(|us| shown(Duration::from_micros(us))),
        instance.rsplit_once('#').map(|(_, number)| format!("#{number}")),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    Some(Line::Of(module, format!("{text}  ({})", details.join(", "))))
}

fn shown(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1000 => format!("{us} µs"),
        us @ 1000..1_000_000 => format!("{:.1} ms", us as f64 / 1000.0),
        us => format!("{:.2} s", us as f64 / 1_000_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text(value: Value) -> Option<Line> {
        line(&value.into())
    }

    fn of(text: &str) -> Option<Line> {
        Some(Line::Of("shop".into(), text.into()))
    }

    #[test]
    fn a_line_has_all_but_what_is_in_the_message() {
        let mut message = json!({ "time": "2026-12-01T14:03:22.123Z", "way": "to_module", "module": "shop",
            "instance": "shop#2", "message": "request", "id": 17, "type": "command", "name": "add", "bytes": 52,
            "payload": { "secret": 1 } });
        assert_eq!(text(message.clone()), of("14:03:22.123 in  command add  (id 17, 52 B, #2)"));
        message["way"] = "from_module".into();
        message["message"] = "error".into();
        message["code"] = "conflict".into();
        message["duration_us"] = 1300.into();
        assert_eq!(text(message), of("14:03:22.123 out error of command add  (id 17, conflict, 52 B, 1.3 ms, #2)"));
        let asks = json!({ "time": "2026-12-01T14:03:22.123Z", "way": "from_module", "module": "shop",
            "instance": "shop#2", "message": "request", "id": 3, "type": "query", "name": null, "to": "layer1",
            "bytes": 9 });
        assert_eq!(text(asks), of("14:03:22.123 out query to layer1  (id 3, 9 B, #2)"));
    }

    #[test]
    fn what_begins_the_stream_is_no_line_and_what_was_left_out_is_counted() {
        assert_eq!(text(json!({ "following": true })), None);
        assert_eq!(text(json!({ "left_out": 7 })), Some(Line::LeftOut(7)));
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let shown = [999, 1000, 999_949, 2_345_000].map(|us| shown(Duration::from_micros(us)));
        assert_eq!(shown, ["999 µs", "1.0 ms", "999.9 ms", "2.35 s"]);
    }
}
