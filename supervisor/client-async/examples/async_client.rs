//! A program that runs tokio and calls modules of a host: many calls at once over one connection, and the events of
//! modules meanwhile. With a daemon that has `test-minimal`:
//!
//! ```sh
//! cargo run -p bulkhead-client-async --example async_client -- "$XDG_RUNTIME_DIR/bulkhead/control.sock" test-minimal 100
//! ```

use bulkhead_client_async::{Connection, EventItem};
use bulkhead_protocol::{Json, Pattern};
use std::{collections::BTreeSet, error::Error, time::Duration};
use tokio::task::JoinSet;

/// How long a call may take.
const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, module, count] = words.as_slice() else {
        return Err("expected the path of a control socket, the name of a module and a number of calls".into());
    };
    let connection = Connection::connect(socket).await?;

    // Its first item reports that it follows from here on. An unread stream holds up no call.
    let mut events = connection.events(Pattern::new("module.*")?, None);
    events.next().await.ok_or("the host has ended")??;

    // A connection is cloned for each task; all clones share one socket.
    let mut calls = JoinSet::new();
    for _ in 0..count.parse::<u32>()? {
        let (connection, module) = (connection.clone(), module.clone());
        calls.spawn(async move { connection.call(&module, "ping", Json::null(), TIMEOUT).await });
    }
    let mut answers = BTreeSet::new();
    while let Some(answer) = calls.join_next().await {
        answers.insert(answer??.as_str().to_owned());
    }
    println!("{} different answers", answers.len());

    // The host itself has the name `supervisor`. The effects of a restart come as events.
    let name = Json::of(&serde_json::json!({ "name": module }));
    connection.call("supervisor", "restart", name, TIMEOUT).await?;
    while let Some(item) = events.next().await {
        if let EventItem::Event(event) = item?
            && event.event == "module.ready"
        {
            println!("{} {}", event.event, event.data.as_str());
            break;
        }
    }
    connection.close();
    connection.closed().await;
    Ok(())
}
