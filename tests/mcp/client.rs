//! An MCP client that is written by hand, over the standard streams of `bulkhead mcp`.

use bulkhead_tests::{World, timeout};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// The program and its streams; dropping it kills it.
pub(crate) struct McpClient {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// What came while something else was waited for.
    kept: VecDeque<Value>,
    next_id: u64,
}

impl McpClient {
    /// Starts `bulkhead mcp` with these words, and greets it.
    pub(crate) fn start(world: &World, words: &[&str]) -> McpClient {
        let mut command = world.command(&[&["mcp"], words].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the command can be started");
        let (sender, messages) = channel();
        let output = child.stdout.take().expect("it was asked for");
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Each line is MCP, or the test fails.
                let message = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "no MCP": line }));
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        let mut client = McpClient { child, input, messages, kept: VecDeque::new(), next_id: 1 };
        let greeting = client.ask(
            "initialize",
            json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        );
        assert_eq!(greeting["result"]["protocolVersion"], "2025-06-18", "{greeting}");
        assert_eq!(greeting["result"]["serverInfo"]["name"], "bulkhead");
        client.notify("notifications/initialized", json!({}));
        client
    }

    fn write(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{message}").expect("it reads");
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request, and returns its number.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The next message that `is_it` accepts. Others are kept.
    pub(crate) fn wait(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&is_it) {
            return self.kept.remove(at).expect("it is there");
        }
        loop {
            let message = self.messages.recv_timeout(timeout());
            let message = message.unwrap_or_else(|_| panic!("expected {what}, found only {:?}", self.kept));
            assert_eq!(message["jsonrpc"], "2.0", "{message}");
            if is_it(&message) {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    /// The next notification of a method.
    pub(crate) fn notified(&mut self, method: &str) -> Value {
        self.wait(method, |message| message["method"] == method)
    }

    pub(crate) fn answer(&mut self, id: u64) -> Value {
        self.wait("an answer", |message| message["id"] == id && message.get("method").is_none())
    }

    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    /// The result of a call.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))["result"].take()
    }

    /// The names of the tools.
    pub(crate) fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({}));
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn close(&mut self) -> ExitStatus {
        drop(self.input.take());
        bulkhead_tests::until("the end of the program", || self.child.try_wait().expect("a child can be waited for"))
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
