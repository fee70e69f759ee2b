//! A module that runs tokio: it handles many requests at once, stops the work of a caller that has gone, sends requests
//! to another module and the data store meanwhile, and handles events. Its manifest:
//!
//! ```toml
//! [module]
//! name = "relay"
//! version = "0.1.0"
//! command = ["bin/relay"]
//!
//! [capabilities]
//! call = ["counter"]
//! entity_create = ["Note"]
//! event_subscribe = ["note.*"]
//! ```

use bulkhead_client_async::{CallError, Connection, Incoming, Starting, command_payload};
use bulkhead_protocol::{Command, ErrorCode, Failure, Json, Ready, Request, RequestType, Status};
use serde::Deserialize;
use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let starting = match Starting::open().await {
        Ok(starting) => starting,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let commands = [
        ("events", true, "how many events came"),
        ("note", false, "{text}: stores it, as part of the request"),
        ("relay", true, "{to, count}: pings another module so many times at once"),
        ("wait", true, "waits until the caller gives up"),
    ];
    let command = |(name, idempotent, description): (&str, bool, &str)| Command {
        name: name.to_owned(),
        idempotent,
        description: description.to_owned(),
        ..Command::default()
    };
    let (connection, mut requests) = starting.ready(Ready {
        name: "relay".to_owned(),
        version: "0.1.0".to_owned(),
        description: "shows a module that handles many requests at once".to_owned(),
        protocol: 1,
        commands: commands.map(command).to_vec(),
        features: Vec::new(),
    });
    let events = Arc::new(AtomicU64::new(0));
    while let Some(request) = requests.next().await {
        tokio::spawn(handle(request, connection.clone(), events.clone()));
    }
    // Open requests are answered first, and then the host has all answers.
    connection.closed().await;
    ExitCode::SUCCESS
}

#[derive(Deserialize)]
struct Called {
    name: String,
    args: Json,
}

async fn handle(request: Incoming, connection: Connection, events: Arc<AtomicU64>) {
    if request.request().kind == RequestType::Event {
        events.fetch_add(1, Ordering::Relaxed);
        return request.succeed(Json::null());
    }
    let called: Result<Called, _> = request.request().payload.read();
    let answer = match called.as_ref().map(|called| (called.name.as_str(), &called.args)) {
        Ok(("events", _)) => Ok(Json::of(&events.load(Ordering::Relaxed))),
        Ok(("note", args)) => note(&request, &connection, args).await,
        Ok(("relay", args)) => relay(&request, &connection, args).await,
        Ok(("wait", _)) => {
            let _ = request.progress(Json::of("waiting")).await;
            request.cancelled().cancelled().await;
            Err(Failure::new(ErrorCode::Cancelled, "the caller gave up"))
        }
        Ok((other, _)) => Err(Failure::new(ErrorCode::UnknownCommand, format!("no command {other:?}"))),
        Err(error) => Err(Failure::new(ErrorCode::BadRequest, format!("expected a command: {error}"))),
    };
    match answer {
        Ok(data) => request.succeed(data),
        Err(failure) => request.fail(failure),
    }
}

/// Creates an entity. It exists when the caller has the success, and not without that.
async fn note(request: &Incoming, connection: &Connection, args: &Json) -> Result<Json, Failure> {
    let mutation = format!(r#"{{"entity":"Note","operation":"create","data":{}}}"#, args.as_str());
    let mutation = Json::parse(&mutation).expect("JSON in JSON");
    data(request.send(connection, Request::new(None, RequestType::Mutation, mutation)).await).await
}

async fn relay(request: &Incoming, connection: &Connection, args: &Json) -> Result<Json, Failure> {
    #[derive(Deserialize)]
    struct Args {
        to: String,
        count: u32,
    }
    let Args { to, count } =
        args.read().map_err(|error| Failure::new(ErrorCode::BadRequest, format!("expected to and count: {error}")))?;
    let ping = || Request::new(None, RequestType::Command, command_payload("ping", "null")).to(to.clone());
    let all = (0..count).map(|_| async { data(request.send(connection, ping()).await).await });
    let answers = futures_util::future::try_join_all(all).await?;
    Ok(Json::of(&answers.len()))
}

/// The data of a success.
async fn data(sent: Result<bulkhead_client_async::Answers, bulkhead_client_async::Error>) -> Result<Json, Failure> {
    let unanswered = |error: CallError| Failure::new(ErrorCode::Internal, error.to_string());
    let answers = sent.map_err(|error| unanswered(error.into()))?;
    match answers.last().await.map_err(|error| unanswered(error.into()))?.status {
        Status::Success(data) => Ok(data),
        Status::Error(failure) => Err(*failure),
        Status::Progress(_) => unreachable!("the last answer is no progress"),
    }
}
