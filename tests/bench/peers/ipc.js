// A Node child process over its own IPC: the parent forks this same file, sends it messages with 128
// bytes of text, and gets as many back. What to measure comes as lines of standard input, as in
// src/rounds.rs beside this. There is no relay, and no supervisor restarts the child.
"use strict";

const TEXT_BYTES = 128;

if (process.send) {
  process.on("message", ({ id, text }) => process.send({ id, text }));
} else {
  parent();
}

function parent() {
  const { fork } = require("node:child_process");
  const lines = require("node:readline").createInterface({ input: process.stdin });
  const child = fork(__filename);
  const text = "x".repeat(TEXT_BYTES);
  let heard = () => {};
  let nextId = 0;
  child.on("message", (message) => {
    if (message.text.length !== TEXT_BYTES) {
      throw new Error(`expected ${TEXT_BYTES} bytes, found ${message.text.length}`);
    }
    heard(message);
  });
  child.on("exit", (code, signal) => {
    console.error(`the child ended: ${signal ?? code}`);
    process.exit(1);
  });
  const send = () => child.send({ id: nextId++, text });

  const alone = (calls, done) => {
    const times = [];
    let began;
    const next = () => {
      began = process.hrtime.bigint();
      send();
    };
    heard = () => {
      times.push(Number(process.hrtime.bigint() - began));
      times.length < calls ? next() : done(times);
    };
    next();
  };

  const ahead = (calls, window, done) => {
    const began = process.hrtime.bigint();
    let sent = 0;
    let answered = 0;
    heard = () => {
      answered += 1;
      if (sent < calls) {
        sent += 1;
        send();
      }
      if (answered === calls) done(Number(process.hrtime.bigint() - began));
    };
    for (; sent < Math.min(calls, window); sent += 1) send();
  };

  const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  lines.on("line", (line) => {
    const [what, calls, window] = line.split(" ");
    if (what === "alone") alone(Number(calls), say);
    else if (what === "ahead") ahead(Number(calls), Number(window), say);
    else throw new Error(`expected alone CALLS or ahead CALLS WINDOW, found ${line}`);
  });
  lines.on("close", () => process.exit(0));
  // Its first answer says that the child listens.
  heard = () => say("ready");
  send();
}
