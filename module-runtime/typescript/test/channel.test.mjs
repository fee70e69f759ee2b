// A module in a process of its own, over a real socket pair and over real pipes, without a host.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { contract, within } from "./contract.mjs";
import { withPeer } from "./peer.mjs";

const TRANSPORTS = ["socket", "pipes", "stdio"];

for (const transport of TRANSPORTS) {
  contract(`a module says who it is, answers, and ends with 0 when it is asked to, over ${transport}`, () =>
    withPeer(
      async (peer) => {
        const description = await peer.start();
        assert.equal(description.name, "specimen");
        assert.equal(description.protocol, 1);
        const answer = await peer.call("echo", { text: "é \u{1F30A}", n: 1.5 });
        assert.deepEqual(answer.data, { text: "é \u{1F30A}", n: 1.5 });
        peer.send({ type: "ping" });
        assert.equal((await peer.next()).status, "success");
        const id = peer.send({ type: "shutdown" });
        assert.deepEqual(await peer.next(), { id, status: "success", data: null });
        assert.equal(await peer.exit(), 0);
        assert.match(peer.stderr, /shut down/);
      },
      "specimen.mjs",
      transport,
    ),
  );

  contract(`what is printed does no harm over ${transport}`, () =>
    withPeer(
      async (peer) => {
        await peer.start();
        assert.equal((await peer.call("print")).status, "success");
        // Over sockets as standard streams, only what goes through JavaScript can be caught.
        if (transport !== "stdio") assert.equal((await peer.call("print_anyhow")).status, "success");
        assert.deepEqual((await peer.call("echo", { still: "there" })).data, { still: "there" });
        await peer.exit();
        const log = peer.stdout + peer.stderr;
        const lines = [
          "printed before it runs",
          "by the console",
          "by the stream",
          '{"level":"warn","message":"by the log"}',
        ];
        if (transport !== "stdio") lines.push("by the descriptor", "by a child");
        for (const line of lines) assert.ok(log.includes(`${line}\n`), `${line} in ${log}`);
        if (transport !== "socket") assert.equal(peer.stdout, "");
      },
      "specimen.mjs",
      transport,
    ),
  );

  contract(`a host that is gone is the end of the module, with 0, over ${transport}`, () =>
    withPeer(
      async (peer) => {
        await peer.start();
        assert.equal(await peer.exit(), 0);
      },
      "specimen.mjs",
      transport,
    ),
  );
}

for (const transport of ["socket", "pipes"]) {
  contract(`programs that the module starts do not hold the channel open, over ${transport}`, () =>
    withPeer(
      async (peer) => {
        await peer.start();
        assert.deepEqual((await peer.call("held_by_a_child")).data, { found: true, held: [] });
      },
      "specimen.mjs",
      transport,
    ),
  );
}

contract("an end inside a frame is an error that says how much came", () =>
  withPeer(async (peer) => {
    await peer.start();
    peer.sink.write(Buffer.from([0, 0, 0, 9, 0x7b]));
    assert.equal(await peer.exit(), 1);
    assert.match(peer.stderr, /the stream ended inside a frame: expected 13 bytes, found 5/);
  }, "specimen.mjs"),
);

contract("text where a length belongs is quoted, and the module ends", () =>
  withPeer(async (peer) => {
    await peer.start();
    peer.sink.write("Starting up\n");
    assert.equal(await within("the end", peer.ended), 1);
    assert.match(peer.stderr, /expected a 4-byte length, found text: .*Starting up/);
  }, "specimen.mjs"),
);

contract("a length above the limit is refused before memory is taken for it", () =>
  withPeer(async (peer) => {
    await peer.start();
    peer.sink.write(Buffer.from([0x0f, 0xff, 0xff, 0xff]));
    assert.equal(await within("the end", peer.ended), 1);
    assert.match(peer.stderr, /expected a frame of at most 65600 bytes, found a length of 268435455/);
  }, "specimen.mjs"),
);

contract("frames are found however their bytes are cut", () =>
  withPeer(async (peer) => {
    await peer.start();
    const body = Buffer.from(
      JSON.stringify({ id: 70, type: "command", payload: { name: "echo", args: { text: "é".repeat(50) } } }),
    );
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(body.length);
    for (const byte of Buffer.concat([prefix, body])) peer.sink.write(Buffer.from([byte]));
    assert.deepEqual((await peer.next()).data, { text: "é".repeat(50) });
  }, "specimen.mjs"),
);

contract("an answer that the channel has no room for arrives whole, and before the next one", () =>
  withPeer(async (peer) => {
    await peer.start({ limits: { frame_bytes_max: 4_000_000, window: 64, requests_max: 64 } });
    peer.source.pause();
    const first = peer.command("long", { bytes: 3_000_000 });
    const second = peer.command("many", { count: 100, bytes: 20_000 });
    const third = peer.command("echo", {});
    peer.source.resume();
    const answer = await peer.next();
    assert.deepEqual([answer.id, answer.data.length], [first, 3_000_000]);
    for (let n = 0; n < 100; n += 1) assert.equal((await peer.next()).data.n, n);
    assert.equal((await peer.next()).id, second);
    assert.equal((await peer.next()).id, third);
  }, "specimen.mjs"),
);

contract("an answer that is longer than a frame is answered with frame_too_large", () =>
  withPeer(async (peer) => {
    await peer.start();
    const answer = await peer.call("long", { bytes: 70_000 });
    assert.deepEqual([answer.status, answer.code], ["error", "frame_too_large"]);
    assert.equal(answer.error, "the module's answer is too long: expected at most 65536 bytes");
  }, "specimen.mjs"),
);

contract("a bug is answered as the last answer, and ends the process with 101 before anything else begins", () =>
  withPeer(async (peer) => {
    await peer.start();
    const [bug] = peer.together(() => [peer.command("bug"), peer.command("echo", {})]);
    const answer = await peer.next();
    assert.deepEqual([answer.id, answer.status, answer.code, answer.last], [bug, "error", "module_error", true]);
    assert.match(answer.error, /^RangeError: it went wrong \(specimen\.mjs:\d+:\d+\)$/);
    assert.equal(await within("the end", peer.ended), 101);
    assert.match(peer.stderr, /RangeError: it went wrong\n +at .*specimen\.mjs/);
    assert.doesNotMatch(peer.stderr, /serve\.js/);
  }, "specimen.mjs"),
);

contract("after a bug the module goes on where the manifest says so", () =>
  withPeer(async (peer) => {
    await peer.start({ on_panic: "continue" });
    const answer = await peer.call("bug");
    assert.equal(answer.last, undefined);
    assert.deepEqual((await peer.call("echo", { a: 1 })).data, { a: 1 });
  }, "specimen.mjs"),
);

contract("a file that is missing is the module's own trouble and no bug", () =>
  withPeer(async (peer) => {
    await peer.start();
    const answer = await peer.call("file");
    assert.deepEqual([answer.code, answer.last], ["module_error", undefined]);
    assert.match(answer.error, /ENOENT.*\/no\/such\/file/);
  }, "specimen.mjs"),
);

contract("a purposeful end is said with the answer, and has the code that was asked for", () =>
  withPeer(async (peer) => {
    await peer.start();
    const [id] = peer.together(() => [peer.command("end", { code: 125 }), peer.command("echo", {})]);
    assert.deepEqual(await peer.next(), { id, status: "success", data: null, last: true });
    assert.equal(await within("the end", peer.ended), 125);
  }, "specimen.mjs"),
);

contract("requests of the host wait while the module waits for an answer, and are answered in order", () =>
  withPeer(async (peer) => {
    await peer.start();
    const first = peer.command("ask", { to: "other" }, { traceparent: "00-ab-cd-01", tracestate: "x=1" });
    const second = peer.command("echo", { n: 2 });
    const asked = await peer.next();
    assert.deepEqual([asked.type, asked.to, asked.of], ["command", "other", first]);
    assert.deepEqual([asked.traceparent, asked.tracestate], ["00-ab-cd-01", "x=1"]);
    const ping = peer.send({ type: "ping" });
    assert.equal((await peer.next()).id, ping);
    peer.send(JSON.stringify({ id: asked.id, status: "success", data: { n: 1 } }));
    assert.deepEqual(await peer.next(), { id: first, status: "success", data: { answer: { n: 1 } } });
    assert.deepEqual(await peer.next(), { id: second, status: "success", data: { n: 2 } });
  }, "specimen.mjs"),
);

contract("a cancel reaches the handler and what it asked, and a request that waits", () =>
  withPeer(async (peer) => {
    await peer.start();
    const asking = peer.command("ask", { to: "other" });
    const waiting = peer.command("echo", {});
    const asked = await peer.next();
    const cancelWaiting = peer.send({ type: "cancel", payload: { id: waiting } });
    assert.equal((await peer.next()).id, cancelWaiting);
    const cancel = peer.send({ type: "cancel", payload: { id: asking } });
    const passedOn = await peer.next();
    assert.deepEqual([passedOn.type, passedOn.payload], ["cancel", { id: asked.id }]);
    const rest = [await peer.next(), await peer.next(), await peer.next()];
    const of = (id) => rest.find((message) => message.id === id);
    assert.deepEqual([of(asking).code, of(waiting).code, of(cancel).status], ["cancelled", "cancelled", "success"]);
    assert.equal(of(waiting).error, "cancelled before the module began with it");
  }, "specimen.mjs"),
);

contract("a deadline aborts the signal of the handler", () =>
  withPeer(async (peer) => {
    await peer.start();
    const id = peer.command("hang", undefined, { deadline_ms: 50 });
    assert.equal((await peer.next()).status, "progress");
    const answer = await peer.next();
    assert.deepEqual([answer.id, answer.code], [id, "deadline_exceeded"]);
    const late = await peer.call("echo", {}, { deadline_ms: 0 });
    assert.equal(late.error, "the deadline passed before the module began with it");
  }, "specimen.mjs"),
);

contract("numbers keep their digits, as a bigint and as they were sent", () =>
  withPeer(async (peer) => {
    await peer.start();
    const lines = [];
    const received = new Promise((resolve) => peer.source.on("data", (data) => (lines.push(data), resolve())));
    peer.send(
      '{"id":50,"type":"command","payload":{"name":"raw","args":{"value": [1.00, 123456789012345678901234567890 , {"b":1,"a":2}]}}}',
    );
    await within("the answer", received);
    assert.ok(Buffer.concat(lines).includes('"data":{"value":[1.00, 123456789012345678901234567890 , {"b":1,"a":2}]}'));
    await peer.next();
    peer.send('{"id":51,"type":"command","payload":{"name":"big","args":{"n":9007199254740992}}}');
    await peer.next();
    assert.ok(Buffer.concat(lines).includes('"data":{"n":9007199254740993}'));
    peer.send('{"id":52,"type":"command","payload":{"name":"echo","args":{"n":9007199254740993}}}');
    const refused = await peer.next();
    assert.equal(refused.error, "argument `n`: expected a number that a double holds exactly, found 9007199254740993");
  }, "specimen.mjs"),
);

contract("an answer of another with a number that would change is an error, or goes out as it came", () =>
  withPeer(async (peer) => {
    await peer.start();
    const answer = (id) => peer.send(`{"id":${id},"status":"success","data":{"n":0.10000000000000000001}}`);
    peer.command("ask", { to: "other" });
    answer((await peer.next()).id);
    const refused = await peer.next();
    const sentence =
      "the answer of other to do: member `n`: expected a number that a double holds exactly, found 0.10000000000000000001";
    assert.deepEqual([refused.code, refused.error], ["module_error", sentence]);
    const lines = [];
    peer.source.on("data", (data) => lines.push(data));
    peer.command("ask_raw");
    answer((await peer.next()).id);
    await peer.next();
    assert.ok(Buffer.concat(lines).includes('"data":{"n":0.10000000000000000001}'));
  }, "specimen.mjs"),
);

contract("another version of the wire is refused for good", () =>
  withPeer(async (peer) => {
    peer.send({ type: "init", payload: { protocol: 2 } });
    const answer = await peer.next();
    assert.equal(answer.error, "this module speaks version 1 of the wire, the host speaks 2");
    assert.equal(await within("the end", peer.ended), 125);
  }, "specimen.mjs"),
);

contract("a person who starts a module learns what it is, and the exit code is 2", async () => {
  const file = fileURLToPath(new URL("fixtures/specimen.mjs", import.meta.url));
  const { BULKHEAD_FD, BULKHEAD_TREE, ...env } = process.env;
  const run = (more) => {
    const child = spawn(process.execPath, [file], { stdio: ["ignore", "ignore", "pipe"], env: { ...env, ...more } });
    let stderr = "";
    child.stderr.on("data", (data) => (stderr += data));
    return within("the end", new Promise((resolve) => child.on("close", (code) => resolve([code, stderr]))));
  };
  const [code, stderr] = await run({ BULKHEAD_FD: "77" });
  assert.equal(code, 2);
  assert.match(stderr, /specimen: BULKHEAD_FD says 77, and no such descriptor is open; this is a module of Bulkhead/);
  const [other, sentence] = await run({ BULKHEAD_FD: "one" });
  assert.equal(other, 2);
  assert.match(sentence, /expected the number of a descriptor above 2 in BULKHEAD_FD, found "one"/);
});

contract("handlers have a second to end after the host is gone, and the exit code stays what it is", () =>
  withPeer(async (peer) => {
    await peer.start();
    peer.command("hang", {});
    assert.equal((await peer.next()).status, "progress");
    peer.sink.write("Starting up\n");
    assert.equal(await within("the end", peer.ended), 1);
  }, "specimen.mjs"),
);
