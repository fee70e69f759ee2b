//! An MCP server that does what real ones do wrong, for the tests of modules of `type = "mcp"`. It is written by hand and
//! shares nothing with the library that the runtime stands on. Its first argument says what it does before the greeting.

use serde_json::{Value, json};
use std::io::{self, BufRead, Write};
use std::process;

/// The server's state.
struct Fake {
    /// Whether there is one tool more.
    has_more: bool,
    /// Whether it knows the greeting of MCP 2026-07-28 only.
    is_modern: bool,
    /// Whether its list of tools never ends.
    is_endless: bool,
}

fn main() {
    let kind = std::env::args().nth(1).unwrap_or_default();
    match kind.as_str() {
        "banner" => {
            println!("Fake MCP server 1.0 running on stdio");
            println!("{}", "=".repeat(100_000));
            io::stdout().write_all(b"\xff\xfe\n\n").unwrap();
        }
        "exits" => {
            eprintln!("fake: no configuration");
            process::exit(3);
        }
        "silent" => {
            // Until the end of its input.
            io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
            return;
        }
        "closes" => {
            close_output().unwrap();
            loop {
                std::thread::park();
            }
        }
        _ => {}
    }
    let mut fake = Fake { has_more: false, is_modern: kind == "modern", is_endless: kind == "pages" };
    for line in io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line.unwrap()).expect("the client sends JSON");
        fake.handle(&message);
    }
    eprintln!("fake: the input has ended");
}

/// Puts nothing in the place of standard output.
fn close_output() -> io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    Ok(nix::unistd::dup2_stdout(&null)?)
}

fn send(message: &Value) {
    println!("{message}");
}

fn notify(method: &str, params: &Value) {
    send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
}

impl Fake {
    fn handle(&mut self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        let answer = |result: Value| send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
        let refuse = |code: i32, sentence: &str| {
            send(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": sentence } }));
        };
        match message["method"].as_str().unwrap_or_default() {
            "initialize" if !self.is_modern => answer(json!({
                "protocolVersion": "2025-06-18", "capabilities": { "tools": { "listChanged": true } },
                "serverInfo": { "name": "fake", "version": "1.2" }, "instructions": "does things wrong",
            })),
            "server/discover" if self.is_modern => answer(json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
                "ttlMs": 0, "cacheScope": "private",
                "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "fake", "version": "2.0" } },
            })),
            "ping" => answer(json!({})),
            "tools/list" => {
                let mut result = json!({ "tools": self.tools() });
                if self.is_endless {
                    result = json!({ "tools": [], "nextCursor": "again" });
                }
                answer(result);
            }
            "tools/call" => self.call(params, &answer, &refuse),
            "notifications/cancelled" => eprintln!("fake: cancelled {}", params["requestId"]),
            "notifications/initialized" => {}
            other if id.is_null() => eprintln!("fake: notified of {other}"),
            _ => refuse(-32601, "Method not found"),
        }
    }

    fn tools(&self) -> Vec<Value> {
        let object = json!({ "type": "object" });
        let mut tools: Vec<Value> =
            ["fail", "refuse", "slow", "wait", "hang", "die", "endless", "log", "change", "bad_result"]
                .iter()
                .map(|name| json!({ "name": name, "inputSchema": object }))
                .collect();
        tools.push(json!({
            "name": "echo", "description": "says it again", "annotations": { "readOnlyHint": true },
            "inputSchema": { "type": "object", "properties": { "text": { "type": "string" } } },
        }));
        tools.push(json!({
            "name": "add", "inputSchema": { "type": "object", "required": ["a", "b"] },
            "outputSchema": { "type": "object", "required": ["sum"] }, "annotations": { "idempotentHint": true },
        }));
        if self.has_more {
            tools.push(json!({ "name": "more", "inputSchema": object }));
        }
        tools
    }

    fn call(&mut self, params: &Value, answer: &dyn Fn(Value), refuse: &dyn Fn(i32, &str)) {
        let args = &params["arguments"];
        let text = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
        match params["name"].as_str().unwrap_or_default() {
            "echo" => answer(text(&args.to_string())),
            "more" => answer(text("there is more")),
            "add" => {
                let sum = args["a"].as_i64().unwrap_or_default() + args["b"].as_i64().unwrap_or_default();
                answer(json!({ "content": [], "structuredContent": { "sum": sum } }));
            }
            "fail" => answer(json!({ "content": [{ "type": "text", "text": "no such file" }], "isError": true })),
            "refuse" => refuse(-32602, "expected a path"),
            "slow" => {
                let token = &params["_meta"]["progressToken"];
                for step in 1..=3 {
                    let params = json!({ "progressToken": token, "progress": step, "total": 3, "message": "reading" });
                    notify("notifications/progress", &params);
                }
                answer(text("done"));
            }
            // It never answers, and lives.
            "wait" => eprintln!("fake: waits"),
            "hang" => loop {
                std::thread::park();
            },
            "die" => {
                println!("half a line");
                match args["how"].as_str() {
                    Some("abort") => process::abort(),
                    Some("leave") => process::exit(0),
                    _ => process::exit(7),
                }
            }
            "endless" => loop {
                let _ = io::stdout().write_all(&[b'x'; 65536]);
            },
            "log" => {
                notify("notifications/message", &json!({ "level": "error", "logger": "disk", "data": "it is full" }));
                answer(text("logged"));
            }
            "change" => {
                self.has_more = true;
                notify("notifications/tools/list_changed", &json!({}));
                answer(text("changed"));
            }
            "bad_result" => answer(json!({ "content": "a text", "isError": "yes" })),
            _ => refuse(-32602, "Unknown tool"),
        }
    }
}
