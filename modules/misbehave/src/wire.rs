//! Faults against the wire, written without the SDK, which would not allow them.

use crate::hanging::sleep_for_ever;
use crate::module::Misbehave;
use crate::raw;
use bulkhead_module::{Context, Error, Json, arguments, json};
use bulkhead_protocol::limits::REQUEST_ID_MAX;
use serde::Deserialize;
use std::time::Duration;

/// Ids of requests that are sent without the SDK begin here, so that they differ from the SDK's own.
const OWN_IDS_FROM: u64 = 1 << 40;

/// A success for the request that is being handled.
pub(crate) fn success(ctx: &Context<'_>, data: &str) -> String {
    format!(r#"{{"id":{},"status":"success","data":{data}}}"#, ctx.id().unwrap_or_default())
}

#[derive(Deserialize)]
struct Times {
    times: u64,
}

#[derive(Deserialize)]
struct Bytes {
    bytes: usize,
}

type Done = Result<Json, Error>;

pub(crate) fn stray_text(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Done {
    #[derive(Deserialize)]
    struct Args {
        text: String,
    }
    let Args { text } = arguments(args)?;
    raw::send(text.as_bytes());
    sleep_for_ever()
}

pub(crate) fn truncated_frame(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    send_half(&success(ctx, "true"));
    std::process::exit(0)
}

pub(crate) fn half_frame(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    send_half(&success(ctx, "true"));
    sleep_for_ever()
}

fn send_half(content: &str) {
    let mut frame = u32::try_from(content.len()).expect("it is short").to_be_bytes().to_vec();
    frame.extend_from_slice(&content.as_bytes()[..content.len() / 2]);
    raw::send(&frame);
}

pub(crate) fn slow_frame(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Done {
    let crate::good::Time { ms } = arguments(args)?;
    let content = format!(r#"{{"id":{},"status":"progress","data":"slow"}}"#, ctx.id().unwrap_or_default());
    let length = u32::try_from(content.len()).expect("it is short").to_be_bytes();
    for byte in length.iter().chain(content.as_bytes()) {
        raw::send(&[*byte]);
        std::thread::sleep(Duration::from_millis(ms));
    }
    Ok(json!({ "bytes": content.len() }))
}

pub(crate) fn oversized_length(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Done {
    raw::send(&[0x80, 0, 0, 0, b'{']);
    sleep_for_ever()
}

pub(crate) fn oversized_frame(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Done {
    let Bytes { bytes } = arguments(args)?;
    raw::send_frame(success(ctx, &format!("\"{}\"", "x".repeat(bytes))).as_bytes());
    sleep_for_ever()
}

pub(crate) fn zero_length(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Done {
    raw::send(&[0; 4]);
    sleep_for_ever()
}

pub(crate) fn invalid_utf8(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    let mut content = success(ctx, "\"?\"").into_bytes();
    let at = content.iter().rposition(|byte| *byte == b'?').expect("it is in the data");
    content[at] = 0xff;
    raw::send_frame(&content);
    sleep_for_ever()
}

pub(crate) fn invalid_json(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    raw::send_frame(success(ctx, "{oops").as_bytes());
    sleep_for_ever()
}

pub(crate) fn json_array(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Done {
    raw::send_frame(b"[1,2,3]");
    sleep_for_ever()
}

pub(crate) fn type_and_status(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    let id = ctx.id().unwrap_or_default();
    raw::send_frame(format!(r#"{{"id":{id},"type":"command","status":"success","data":1}}"#).as_bytes());
    sleep_for_ever()
}

pub(crate) fn neither(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    raw::send_frame(format!(r#"{{"id":{},"data":1}}"#, ctx.id().unwrap_or_default()).as_bytes());
    sleep_for_ever()
}

pub(crate) fn deep_nesting(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Done {
    #[derive(Deserialize)]
    struct Args {
        depth: usize,
    }
    let Args { depth } = arguments(args)?;
    Ok(Json::parse(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)))?)
}

pub(crate) fn huge_answer(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Done {
    let Bytes { bytes } = arguments(args)?;
    Ok(json!("x".repeat(bytes)))
}

pub(crate) fn answer_twice(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    raw::send_frame(success(ctx, "\"first\"").as_bytes());
    Ok(json!("second"))
}

pub(crate) fn answer_stranger(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Done {
    let Times { times } = arguments(args)?;
    for n in 0..times {
        raw::send_frame(
            format!(r#"{{"id":{},"status":"success","data":"for no request"}}"#, REQUEST_ID_MAX - n).as_bytes(),
        );
    }
    Ok(json!({ "strangers": times }))
}

pub(crate) fn progress_stranger(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Done {
    raw::send_frame(format!(r#"{{"id":{REQUEST_ID_MAX},"status":"progress","data":"of nothing"}}"#).as_bytes());
    Ok(json!({ "strangers": 1 }))
}

pub(crate) fn answer_next(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    let next = ctx.id().unwrap_or_default() + 1;
    raw::send_frame(format!(r#"{{"id":{next},"status":"success","data":"too early"}}"#).as_bytes());
    Ok(json!({ "answered": next }))
}

pub(crate) fn forge_crash(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Done {
    let id = ctx.id().unwrap_or_default();
    raw::send_frame(
        format!(
            r#"{{"id":{id},"status":"error","error":"a forgery","code":"module_crashed","delivery":"not_started","exit":{{"signal":"SIGKILL"}}}}"#
        )
        .as_bytes(),
    );
    Ok(json!("second"))
}

pub(crate) fn flood_requests(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Done {
    let Times { times } = arguments(args)?;
    for n in 0..times {
        let id = OWN_IDS_FROM + n;
        raw::send_frame(
            format!(r#"{{"id":{id},"type":"command","to":"supervisor","payload":{{"name":"status","args":{{}}}}}}"#)
                .as_bytes(),
        );
    }
    Ok(json!({ "requests": times }))
}

pub(crate) fn flood_events(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Done {
    let Times { times } = arguments(args)?;
    for n in 0..times {
        ctx.emit("misbehave.flood", json!({ "n": n }))?;
    }
    Ok(json!({ "events": times }))
}
