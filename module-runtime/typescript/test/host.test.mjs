// Modules under the real host. It needs the program `bulkhead`: see programs.mjs.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { contract } from "./contract.mjs";
import { REPOSITORY } from "./programs.mjs";
import { withWorld } from "./world.mjs";

const SAMPLE = path.join(REPOSITORY, "modules/stock-typescript");
const read = (...parts) => fs.readFileSync(path.join(...parts), "utf8");
const manifest = (name, more = "") =>
  `[module]\nname = "${name}"\nversion = "1"\ncommand = ["node", "main.mjs"]\n${more}`;
const module = (body) =>
  `import { Fault, Module, t } from "bulkhead";\nconst app = new Module("m", "1");\n${body}\napp.run();\n`;

contract("the sample keeps its shelves in the data store, once for each key, and over a crash", () =>
  withWorld(async (world) => {
    world.module("stock-typescript", read(SAMPLE, "module.toml"), {
      "main.ts": read(SAMPLE, "main.ts"),
      "stock.ts": read(SAMPLE, "stock.ts"),
    });
    await world.start("stock-typescript");
    for (let n = 0; n < 2; n += 1) {
      assert.deepEqual(
        (await world.call("stock-typescript", "add", { item: "bolt", count: 5 }, "--key", "order-17")).data,
        { count: 5 },
      );
    }
    assert.deepEqual((await world.call("stock-typescript", "take", { item: "bolt" })).data, { left: 4 });
    const refused = await world.call("stock-typescript", "take", { item: "bolt", count: 9 });
    assert.deepEqual(
      [refused.code, refused.module_code, refused.error, refused.data],
      ["module_error", "out_of_stock", 'too few left: 4 of "bolt"', { there: 4 }],
    );
    const wrong = await world.call("stock-typescript", "take", { itm: "bolt" });
    assert.deepEqual(
      [wrong.code, wrong.error, wrong.data],
      ["bad_request", "unknown argument `itm`; did you mean `item`?", { at: "itm" }],
    );
    const { pid } = JSON.parse((await world.command(["status", "stock-typescript", "--json"])).stdout);
    process.kill(pid, "SIGKILL");
    await world.until("module.ready stock-typescript#2");
    assert.deepEqual((await world.call("stock-typescript", "count", { item: "bolt" })).data, { count: 4 });
    const events = world.follow("stock.low", "Shelf.created");
    await world.command(["emit", "delivery.arrived", '{"item": "nut", "count": 40}']);
    await events("Shelf.created", '"item":"nut","count":40');
    assert.deepEqual((await world.call("stock-typescript", "audit")).data, { items: 2, pieces: 44 });
    assert.deepEqual((await world.call("stock-typescript", "take", { item: "bolt", count: 2 })).data, { left: 2 });
    await events("stock.low", '"item":"bolt","count":2');
  }),
);

contract("a module waits until what it has read is on the disk", () =>
  withWorld(async (world) => {
    const body = `
      app.command("add", { async run(ctx) { return await ctx.create("Thing", { n: 1 }); } });
      app.command("look", { async run(ctx) {
        const things = await ctx.find("Thing", { count: true });
        await ctx.flush({ timeoutMs: 10000 });
        return things.count;
      } });`;
    const rights = '[capabilities]\nentity_read = ["Thing"]\nentity_create = ["Thing"]\n';
    world.module("m", manifest("m", rights), { "main.mjs": module(body) });
    await world.start("m");
    await world.call("m", "add");
    assert.equal((await world.call("m", "look")).data, 1);
  }),
);

for (const transport of ["socket", "stdio"]) {
  contract(`a module that prints whatever it likes answers on, over ${transport}`, () =>
    withWorld(async (world) => {
      const body = `
        import fs from "node:fs";
        import { spawnSync } from "node:child_process";
        console.log("at the top");
        app.command("print", { run() {
          console.log("by the console");
          fs.writeSync(1, "by the descriptor\\n");
          spawnSync("echo", ["by a child"], { stdio: "inherit" });
          return "printed";
        } });`;
      world.module("printer", manifest("printer", `transport = "${transport}"\n`), { "main.mjs": module(body) });
      await world.start("printer");
      for (let n = 0; n < 3; n += 1) assert.equal((await world.call("printer", "print")).data, "printed");
      const { stdout } = await world.command(["logs", "printer"]);
      for (const line of ["at the top", "by the console", "by the descriptor", "by a child"])
        assert.ok(stdout.includes(line), `${line}: ${stdout}`);
      const status = JSON.parse((await world.command(["status", "printer", "--json"])).stdout);
      assert.deepEqual([status.restarts, status.strange_answers], [0, 0]);
    }),
  );
}

contract("a bug is reported to its caller, and what was sent after it is done by the next process", () =>
  withWorld(async (world) => {
    const body = `
      let done = 0;
      app.command("bug", { run: () => null.x });
      app.command("count", { run: () => (done += 1) });`;
    world.module("buggy", manifest("buggy"), { "main.mjs": module(body) });
    await world.start("buggy");
    const names = ["count", "bug", "count", "count"];
    const input = names.map((name) => `${JSON.stringify({ name })}\n`).join("");
    const { stdout } = await world.command(["pipe", "buggy"], input);
    const [first, bug, ...others] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual([first, others], [1, [1, 2]]);
    assert.equal(bug.code, "module_error");
    assert.match(bug.error, /^TypeError: Cannot read properties of null \(reading 'x'\) \(main\.mjs:\d+:\d+\)$/);
    const { stdout: crashes } = await world.command(["crashes", "buggy"]);
    assert.match(crashes, /exit code 101/);
    assert.match(crashes, /ended by +command \{"name":"bug"/);
  }),
);

contract("in order, a crash in the middle has begun one request, and the others are done by the next process", () =>
  withWorld(async (world) => {
    const body = `
      app.command("die", { run: async (ctx) => { await ctx.progress(1); process.kill(process.pid, "SIGKILL"); await new Promise(() => {}); } });
      app.command("fine", { run: () => process.pid });`;
    world.module("dying", manifest("dying"), { "main.mjs": module(body) });
    await world.start("dying");
    const { stdout } = await world.command(["pipe", "dying"], '{"name":"die"}\n{"name":"fine"}\n');
    const [died, fine] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual([died.code, died.delivery, died.exit], ["module_crashed", "started", { signal: "SIGKILL" }]);
    assert.equal(typeof fine, "number");
  }),
);

contract("what the manifest does not grant is refused with the line that is missing", () =>
  withWorld(async (world) => {
    const body = `
      app.command("keep", { run: (ctx) => ctx.create("Note", { a: 1 }) });
      app.command("ask", { run: (ctx) => ctx.call("other", "do") });`;
    world.module("poor", manifest("poor"), { "main.mjs": module(body) });
    await world.start("poor");
    const keep = await world.call("poor", "keep");
    assert.deepEqual([keep.code, keep.error.includes('entity_create = ["Note"]')], ["permission_denied", true]);
    assert.equal((await world.call("poor", "ask")).code, "permission_denied");
  }),
);

contract("a configuration that does not fit keeps the module down for good, with the reason", () =>
  withWorld(async (world) => {
    const text = `import { Module, t } from "bulkhead";\nnew Module("m", "1", { config: t.object({ low: t.integer() }) }).run();\n`;
    world.module("strict", manifest("strict", "[config]\nlwo = 1\n"), { "main.mjs": text });
    await world.start();
    await world.until("[config]: unknown key `lwo`; did you mean `low`?");
    const { stdout } = await world.command(["status", "strict"]);
    assert.match(stdout, /failed/);
  }),
);

contract("numbers and texts pass through the host and the module as they were sent", () =>
  withWorld(async (world) => {
    const body = `
      app.command("pass", { args: t.object({ value: t.raw() }), run: (_ctx, { value }) => value });
      app.command("relay", { args: t.object({ value: t.raw() }), run: (ctx, { value }) => ctx.call("pass", "pass", { value }, { returns: t.raw() }) });`;
    world.module("pass", manifest("pass"), { "main.mjs": module(body) });
    world.module("relay", manifest("relay", '[capabilities]\ncall = ["pass"]\n'), { "main.mjs": module(body) });
    await world.start("pass", "relay");
    const value = '[1.00,123456789012345678901234567890,{"b":1,"a":2},"\\u00e9"]';
    const { stdout } = await world.command(["call", "relay", "relay", `{"value":${value}}`]);
    assert.equal(stdout.trim(), value);
  }),
);

contract("the module in plain Node of the documentation does all that a module must, over both transports", () =>
  withWorld(async (world) => {
    const echo = read(REPOSITORY, "docs/examples/echo.mjs");
    for (const transport of ["socket", "stdio"]) {
      world.module(`echo-${transport}`, manifest(`echo-${transport}`, `transport = "${transport}"\n`), {
        "main.mjs": echo,
      });
    }
    await world.start("echo-socket", "echo-stdio");
    for (const name of ["echo-socket", "echo-stdio"]) {
      assert.deepEqual((await world.call(name, "echo", { text: "é \u{1F30A}", n: 1.5 })).data, {
        text: "é \u{1F30A}",
        n: 1.5,
      });
      assert.equal((await world.call(name, "count", { to: 2 })).data, 2);
      assert.equal((await world.call(name, "sing")).code, "unknown_command");
      assert.equal((await world.call(name, "count", { to: "many" })).code, "bad_request");
      assert.match((await world.command(["stop", name])).stdout, /stopped/);
    }
  }),
);
