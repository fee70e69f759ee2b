// Modules under `bulkhead test-host`, as tests of modules use it.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Fault } from "bulkhead";
import { TestHost } from "bulkhead/testing";
import { contract } from "./contract.mjs";
import { bulkhead, PACKAGE } from "./programs.mjs";

process.env.BULKHEAD_BIN = bulkhead();

const BODY = `
app.command("echo", { args: t.json(), run: (_ctx, args) => args });
app.command("ask", { args: t.json(), run: (ctx, args) => ctx.call("mailer", "send", args) });
app.command("say", { run: async (ctx) => { console.log("says it"); await ctx.emit("said", 1); } });
app.command("abort", { run() { process.abort(); } });
app.command("steps", { async run(ctx) {
  for (const n of [1, 2, 3]) await ctx.progress(n);
  await ctx.wait(20000);
} });
app.on("told", { run: (ctx) => ctx.create("Told", { once: true }) });
`;

/** A module in a folder of its own, which is removed when the test is done. */
async function withModule(work, { body = BODY, run = "app.run();" } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bulkhead-module-"));
  try {
    fs.mkdirSync(path.join(folder, "node_modules"));
    fs.symlinkSync(PACKAGE, path.join(folder, "node_modules/bulkhead"));
    const file = path.join(folder, "speaker.mjs");
    fs.writeFileSync(
      file,
      `import { Module, t } from "bulkhead";\nconst app = new Module("speaker", "1");\n${body}\n${run}\n`,
    );
    await work([process.execPath, file]);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** A host of a test, closed when the test is done. */
async function withHost(command, options, work) {
  const host = await TestHost.command(command, options);
  try {
    await work(host);
  } finally {
    await host.close();
  }
}

contract("a command is a module that answers, publishes and takes events, and its entities can be read", () =>
  withModule((command) =>
    withHost(command, { capabilities: { event_subscribe: ["told"] } }, async (host) => {
      assert.equal(host.name, "speaker");
      assert.deepEqual(await host.call("echo", { a: [1, "x"] }), { a: [1, "x"] });
      await host.call("say");
      assert.deepEqual(
        (await host.events("said")).map(({ data, source }) => [data, source]),
        [[1, "speaker"]],
      );
      assert.equal((await host.waitEvent("sa*")).event, "said");
      await assert.rejects(host.waitEvent("sa*", undefined, 20), { code: "deadline_exceeded" });
      await host.deliver("told");
      const [told] = await host.entities("Told", { once: true });
      assert.deepEqual((await host.entity("Told", told.id)).data, { once: true });
      const { version } = await host.update("Told", told.id, { once: false });
      assert.equal(version, 2);
      await host.delete("Told", told.id);
      await assert.rejects(host.entity("Told", told.id), { code: "not_found" });
      assert.equal((await host.waitLog("says")).line, "says it");
      assert.ok((await host.logs()).some(({ line }) => line === "says it"));
      await assert.rejects(host.waitLog("never", 20), { code: "deadline_exceeded" });
    }),
  ),
);

contract("a fake answers for a module, and what it was asked is noted", () =>
  withModule(async (command) => {
    const fakes = { mailer: { send: ({ to }) => (to === "eve" ? Promise.reject(new Fault("no", { code: "no_paper" })) : `sent to ${to}`) } };
    await withHost(command, { fakes }, async (host) => {
      assert.equal(await host.call("ask", { to: "ada" }), "sent to ada");
      await assert.rejects(host.call("ask", { to: "eve" }), { message: "no" });
      assert.deepEqual(
        host.asked("mailer").map(({ name, args }) => [name, args]),
        [
          ["send", { to: "ada" }],
          ["send", { to: "eve" }],
        ],
      );
    });
  }),
);

contract("a crash has its verdict and its record, and the next process answers", () =>
  withModule((command) =>
    withHost(command, {}, async (host) => {
      await assert.rejects(host.call("abort"), { code: "module_crashed", delivery: "started", exit: { signal: "SIGABRT" } });
      await host.kill();
      assert.equal(await host.call("echo", 1), 1);
      assert.deepEqual(
        (await host.crashes()).map(({ reason }) => reason),
        ["SIGABRT", "SIGKILL"],
      );
      assert.equal((await host.hostEvents("module.crashed")).length, 2);
    }),
  ),
);

contract("a call shows its progress and can be cancelled", () =>
  withModule((command) =>
    withHost(command, {}, async (host) => {
      const call = host.call("steps");
      assert.deepEqual(await call.waitProgress(3), [1, 2, 3]);
      await call.cancel();
      await assert.rejects(call, { code: "cancelled" });
    }),
  ),
);

contract("what is created before the start is there, and a module that is not started is not running", () =>
  withModule((command) =>
    withHost(command, { start: false }, async (host) => {
      await host.create("Told", { once: true });
      assert.equal((await host.status()).state, "stopped");
      await host.start();
      assert.equal(await host.call("echo", 1), 1);
      await host.stop();
      assert.equal((await host.status()).state, "stopped");
    }),
  ),
);

contract("a module that does not start is reported with its reason, and one that does not run with its end", async () => {
  await withModule(
    (command) =>
      assert.rejects(TestHost.command(command), (fault) => {
        assert.match(fault.message, /init failed: Error: no ink/);
        assert.match(fault.message, /its last lines:\n {2}Error: no ink/);
        return true;
      }),
    { body: 'app.init(() => { throw new Error("no ink"); });' },
  );
  await withModule((command) => assert.rejects(TestHost.command(command), /exit code 0 before it was ready/), { run: "" });
  await assert.rejects(TestHost.folder("/no/such/folder"), /module\.toml: no such file/);
});

contract("without the program the error says what to install", async () => {
  const { BULKHEAD_BIN, PATH } = process.env;
  try {
    delete process.env.BULKHEAD_BIN;
    process.env.PATH = "/nowhere";
    await assert.rejects(async () => TestHost.command(["true"]), /expected the command `bulkhead`/);
  } finally {
    Object.assign(process.env, { BULKHEAD_BIN, PATH });
  }
});
