// A module of Bulkhead in plain Node, written from PROTOCOL.md alone.
import net from "node:net";

const fd = process.env.BULKHEAD_FD;
const socket = fd === undefined ? undefined : new net.Socket({ fd: Number(fd) });
const [source, sink] = socket ? [socket, socket] : [process.stdin, process.stdout]; // transport = "stdio"

function send(message) {
  if (message.id === undefined || message.id === null) return; // an event without an id is not answered
  const body = Buffer.from(JSON.stringify(message));
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, 4);
  sink.write(frame);
}

const succeed = (id, data = null) => send({ id, status: "success", data });
const fail = (id, code, sentence, more) => send({ id, status: "error", code, error: sentence, ...more });

function command(id, name, args) {
  if (name === "echo") {
    succeed(id, args);
  } else if (name === "count") {
    const total = Number(args?.to ?? 3);
    if (!Number.isInteger(total) || total > 1e6)
      return fail(id, "bad_request", "to: expected a number up to a million");
    for (let done = 1; done <= total; done += 1) send({ id, status: "progress", data: { done, total } });
    succeed(id, total);
  } else {
    fail(id, "unknown_command", `there is no command ${JSON.stringify(name)}; known are echo, count`);
  }
}

function receive({ id, type, payload }) {
  if (type === "init") {
    succeed(id, { name: "echo", version: "1", protocol: 1, commands: ["count", { name: "echo", idempotent: true }] });
    console.error("ready as", payload.instance); // a line of the log
  } else if (type === "command") {
    command(id, payload.name, payload.args);
  } else if (["ping", "cancel", "event", "shutdown"].includes(type)) {
    succeed(id);
    if (type === "shutdown") sink.end(() => process.exit(0)); // when the answer has left
  } else if (type !== undefined) {
    fail(id, "unknown_type", `this module does not know requests of type ${type}`);
  }
}

let held = Buffer.alloc(0);
source.on("data", (chunk) => {
  held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
  while (held.length >= 4 && held.length - 4 >= held.readUInt32BE(0)) {
    const end = 4 + held.readUInt32BE(0);
    const message = JSON.parse(held.toString("utf8", 4, end));
    held = held.subarray(end);
    receive(message);
  }
});
source.on("end", () => process.exit(held.length === 0 ? 0 : 1)); // the host is gone
source.on("error", () => process.exit(0));
