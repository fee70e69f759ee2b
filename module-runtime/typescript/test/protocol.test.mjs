// The exact bytes of the protocol's own folder, read as a module reads them.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { Module, t } from "../dist/index.js";
import { Decoder } from "../dist/frames.js";
import { Server } from "../dist/serve.js";
import { contract } from "./contract.mjs";
import { REPOSITORY } from "./programs.mjs";

const TESTS = path.join(REPOSITORY, "protocol/tests");
const golden = (beginning) =>
  fs
    .readdirSync(path.join(TESTS, "golden"))
    .filter((name) => name.startsWith(beginning))
    .map((name) => [name, fs.readFileSync(path.join(TESTS, "golden", name))]);

/** A module at whose other end the test is. */
function served(module) {
  const line = {
    sent: [],
    exitCode: undefined,
    isCongested: false,
    frameBytesMax: 1 << 20,
    open: (receiver) => (line.receiver = receiver),
    limit: () => {},
    send: (text) => line.sent.push(JSON.parse(text)) > 0,
    drained: (then) => then(),
    close: () => {},
  };
  new Server(module, line, (code) => (line.exitCode ??= code)).open();
  return line;
}

function textOf(frame) {
  const found = [];
  new Decoder(1 << 20).feed(frame, (text) => found.push(text));
  assert.equal(found.length, 1);
  return found[0];
}

contract("each message that a host sends to a module is answered with its number", async () => {
  const app = new Module("golden", "1", { config: t.record(t.json()) });
  const [init] = golden("to-module-init");
  const others = golden("to-module-").filter(([name]) => name !== init[0] && !name.includes("shutdown"));
  assert.ok(others.length >= 5, String(others.length));
  const line = served(app);
  line.receiver.frame(textOf(init[1]));
  await new Promise(setImmediate);
  assert.equal(line.sent.pop()?.status, "success");
  for (const [name, frame] of others) {
    const text = textOf(frame);
    line.receiver.frame(text);
    await new Promise(setImmediate);
    const answer = line.sent.pop();
    assert.deepEqual([answer?.id, typeof answer?.status], [JSON.parse(text).id, "string"], name);
  }
  for (const [, frame] of golden("from-host-")) line.receiver.frame(textOf(frame));
  assert.deepEqual([line.sent, line.exitCode], [[], undefined], "an answer to nothing is passed over");
});

contract("what is no message of a host ends the module with 1", () => {
  const names =
    "array empty-object nan neither-type-nor-status not-json nul-at-the-end null number single-quotes " +
    "trailing-comma byte-order-mark two-objects utf16 not-utf8";
  for (const name of names.split(" ")) {
    const body = fs.readFileSync(path.join(TESTS, "bad", `${name}.json`));
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(body.length);
    const line = served(new Module("bad", "1"));
    let text;
    try {
      text = textOf(Buffer.concat([prefix, body]));
    } catch (error) {
      assert.match(error.message, /expected a frame/, name);
      continue;
    }
    line.receiver.frame(text);
    assert.equal(line.exitCode, 1, name);
  }
});
