//! Follows the host's own events, so that the list of tools follows the modules, and reaches the daemon again when it
//! was away.

use crate::facade::Facade;
use bulkhead_protocol::Pattern;
use std::time::Duration;

/// The host's events about modules.
const EVENTS: &str = "module.*";

/// What comes in this time after an event is looked at together with it.
const TOGETHER: Duration = Duration::from_millis(100);

/// How long after a failed attempt the daemon is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Never ends.
pub(crate) async fn follow(facade: Facade) {
    let mut said = String::new();
    loop {
        let Err(sentence) = while_connected(&facade).await;
        // Each reason once, as it may stay for hours.
        if sentence != said {
            eprintln!("bulkhead mcp: {sentence}");
            said = sentence;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// The error is why it ended.
async fn while_connected(facade: &Facade) -> Result<std::convert::Infallible, String> {
    let connection = facade.daemon().connection().await?;
    let pattern = Pattern::new(EVENTS).expect("it is a pattern");
    let mut events = connection.events(pattern, None);
    loop {
        // The first item comes before anything happens, so nothing is missed between it and the look.
        match events.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(format!("Bulkhead's daemon is away: {error}")),
            None => return Err("Bulkhead's daemon ended its events; it is reached again".to_owned()),
        }
        let until = tokio::time::Instant::now() + TOGETHER;
        while let Ok(Some(Ok(_))) = tokio::time::timeout_at(until, events.next()).await {}
        facade.refresh().await?;
    }
}
