// What a module does with requests, in the order in which they come, and what it asks of the host.
import assert from "node:assert/strict";
import { Fault, Module, NumberText, t } from "../dist/index.js";
import { Harness } from "../dist/testing.js";
import { contract, within } from "./contract.mjs";

/** A promise that is settled from outside. */
function gate() {
  let open;
  const promise = new Promise((resolve) => (open = resolve));
  return { promise, open };
}

const codeOf = (fault) => [fault.code, fault.moduleCode, fault.message];
const refusal = async (promise) =>
  codeOf(
    await promise.then(
      () => assert.fail("it succeeded"),
      (fault) => fault,
    ),
  );

contract("a module says of itself what was declared, with schemas and examples", async () => {
  const app = new Module("stock", "0.1.0", { keys: true });
  app.command("take", {
    description: "Takes pieces.",
    idempotent: true,
    args: t.object({ id: t.string(), count: t.optional(t.integer(), 1) }),
    returns: t.object({ left: t.integer() }),
    examples: [{ args: { id: "a" }, returns: { left: 1 } }],
    run: () => ({ left: 1 }),
  });
  app.command("look", { concurrent: true, readOnly: true, run: () => null });
  const { description } = await Harness.start(app);
  assert.deepEqual(description, {
    name: "stock",
    version: "0.1.0",
    protocol: 1,
    commands: [
      {
        name: "take",
        idempotent: true,
        description: "Takes pieces.",
        args: {
          type: "object",
          properties: { id: { type: "string" }, count: { type: "integer", default: 1 } },
          required: ["id"],
          additionalProperties: false,
        },
        returns: {
          type: "object",
          properties: { left: { type: "integer" } },
          required: ["left"],
          additionalProperties: false,
        },
        examples: [{ args: { id: "a" }, returns: { left: 1 } }],
      },
      {
        name: "look",
        idempotent: false,
        read_only: true,
        args: { type: "object", properties: {}, required: [], additionalProperties: false },
      },
    ],
    features: ["concurrent", "keys"],
  });
});

contract("what a module says of itself has limits, and an example must fit", async () => {
  const long = new Module("long", "1").command("a", { args: t.oneOf("x".repeat(70_000)), run: () => null });
  const [, , sentence] = await refusal(Harness.start(long));
  assert.match(sentence, /^args of the command "a": expected at most 65536 bytes, found 70\d\d\d$/);
  const many = new Module("many", "1");
  for (let n = 0; n < 5; n += 1) many.command(`c${n}`, { args: t.oneOf("x".repeat(60_000)), run: () => null });
  assert.match((await refusal(Harness.start(many)))[2], /expected at most 262144 bytes, found more/);
  const wrong = new Module("wrong", "1").command("a", {
    args: t.object({ n: t.integer() }),
    examples: [{ args: { m: 1 } }],
    run: () => null,
  });
  assert.equal(
    (await refusal(Harness.start(wrong)))[2],
    'an example of the command "a" does not fit its arguments: unknown argument `m`; did you mean `n`?',
  );
  const bare = new Module("bare", "1").command("a", { examples: [{ m: 1 }], run: () => null });
  assert.equal(
    (await refusal(Harness.start(bare)))[2],
    'an example of the command "a": expected args, and returns and description if wanted, found {"m":1}',
  );
});

contract("the configuration is read by its type, and a fault in it is permanent", async () => {
  const make = () => {
    const app = new Module("shop", "1", { config: t.object({ low: t.optional(t.integer(), 3), name: t.string() }) });
    app.init(({ config, module }) => assert.deepEqual([config.low, config.name, module], [3, "Ada's", "shop"]));
    app.command("low", { run: () => app.config.low });
    return app;
  };
  const harness = await Harness.start(make(), { config: { name: "Ada's" } });
  assert.equal(await harness.command("low"), 3);
  assert.throws(() => make().config, /has not started yet/);
  const [code, , sentence] = await refusal(Harness.start(make(), { config: { nmae: "x" } }));
  assert.deepEqual([code, sentence], ["bad_request", "[config]: unknown key `nmae`; did you mean `name`?"]);
});

contract("commands, queries, mutations and events reach their handlers, and others have answers", async () => {
  const app = new Module("all", "1");
  const events = [];
  app.command("do", { args: t.object({ n: t.integer() }), run: (ctx, { n }) => [n, ctx.key ?? null, ctx.id] });
  app.query({ payload: t.object({ what: t.string() }), run: (_ctx, { what }) => ({ what }) });
  app.on("stock.*", {
    data: t.object({ id: t.string() }),
    run: (_ctx, data, event) => void events.push([data.id, event]),
  });
  app.on("stock.low", { run: () => assert.fail("the first pattern decides") });
  const harness = await Harness.start(app);
  assert.deepEqual(await harness.command("do", { n: 1 }, { key: "k" }), [1, "k", 2]);
  assert.deepEqual(await harness.query({ what: "x" }), { what: "x" });
  assert.equal(await harness.event("stock.low", { id: "a" }, { cursor: 4, epoch: "e" }), null);
  assert.equal(await harness.event("other", 1), null);
  assert.deepEqual(events, [["a", { event: "stock.low", cursor: 4, epoch: "e" }]]);
  assert.deepEqual(await refusal(harness.mutation({})), ["unknown_type", undefined, "this module makes no mutations"]);
  assert.deepEqual(await refusal(harness.query([])), ["bad_request", undefined, "expected an object, found []"]);
  assert.deepEqual(await refusal(harness.event("stock.low", {})), [
    "bad_request",
    undefined,
    "missing member `id`; expected a text",
  ]);
  assert.deepEqual(await refusal(harness.command("doo", {})), [
    "unknown_command",
    undefined,
    "unknown command `doo`; did you mean `do`?",
  ]);
  assert.deepEqual(await refusal(harness.send("dance")), [
    "unknown_type",
    undefined,
    'this module does not know requests of type "dance"',
  ]);
  assert.deepEqual(await refusal(harness.send("command", { name: 1 })), [
    "bad_request",
    undefined,
    "the payload of this command has another form: expected a text as its name",
  ]);
  assert.equal(await harness.shutdown(), 0);
});

contract("a handler's own errors are codes with data, and one of another goes on without its code", async () => {
  const app = new Module("errors", "1");
  app.command("own", {
    run: () => Promise.reject(new Fault("no ink", { code: "out_of_ink", data: { left: 0 }, retryable: true })),
  });
  app.command("wire", { run: () => Promise.reject(new Fault("gone", { code: "not_found" })) });
  app.command("passed", { run: (ctx) => ctx.call("other", "do") });
  const harness = await Harness.start(app, {
    hostAnswers: () => Promise.reject(new Fault("it crashed", { code: "module_crashed" })),
  });
  const own = await harness.command("own").catch((fault) => fault);
  assert.deepEqual(
    [own.code, own.moduleCode, own.data, own.retryable, own.is("out_of_ink")],
    ["module_error", "out_of_ink", { left: 0 }, true, true],
  );
  assert.deepEqual(await refusal(harness.command("wire")), ["not_found", undefined, "gone"]);
  assert.deepEqual(await refusal(harness.command("passed")), ["module_error", "module_crashed", "it crashed"]);
  // Only the host may say it; of the module's own it is a text without a meaning.
  assert.deepEqual(new Fault("it crashed", { code: "module_crashed" }).members(), {
    error: "it crashed",
    code: "module_error",
    module_code: "module_crashed",
  });
  assert.equal(Fault.of({ error: "it crashed", code: "module_crashed" }).members().retryable, true);
});

contract("handlers run one at a time and in order, unless they are declared concurrent", async () => {
  const app = new Module("order", "1", { concurrentMax: 2 });
  const log = [];
  const gates = new Map();
  const work = async (name) => {
    log.push(`begin ${name}`);
    gates.set(name, gate());
    await gates.get(name).promise;
    log.push(`end ${name}`);
  };
  const args = t.object({ name: t.string() });
  app.command("alone", { args, run: (_ctx, { name }) => work(name) });
  app.command("beside", { args, concurrent: true, run: (_ctx, { name }) => work(name) });
  const harness = await Harness.start(app);
  const answers = ["a", "b", "c"].map((name) => harness.command("beside", { name }));
  answers.push(harness.command("alone", { name: "d" }), harness.command("beside", { name: "e" }));
  const turn = () => new Promise(setImmediate);
  const until = async (line) => {
    while (!log.includes(line)) await turn();
  };
  await within("b", until("begin b"));
  await turn();
  assert.deepEqual(log, ["begin a", "begin b"], "two of them at one time");
  gates.get("b").open();
  await within("c", until("begin c"));
  gates.get("c").open();
  await answers[2];
  assert.ok(!log.includes("begin d"), "what is alone waits for all before it");
  gates.get("a").open();
  await within("d", until("begin d"));
  await turn();
  assert.ok(!log.includes("begin e"), "nothing begins beside it");
  gates.get("d").open();
  await within("e", until("begin e"));
  gates.get("e").open();
  await Promise.all(answers);
});

contract("a last answer is said only when nothing else is handled, and nothing begins after it", async () => {
  const app = new Module("leaving", "1");
  const held = gate();
  let begun = 0;
  app.command("hold", { concurrent: true, run: () => held.promise });
  app.command("leave", { concurrent: true, run: (ctx) => ctx.end(3) });
  app.command("more", { concurrent: true, run: () => (begun += 1) });
  const harness = await Harness.start(app);
  const holding = harness.command("hold");
  await harness.command("leave");
  const never = refusal(harness.command("more"));
  assert.equal(harness.exitCode, undefined);
  held.open(1);
  assert.equal(await holding, 1);
  assert.deepEqual([harness.exitCode, begun], [3, 0]);
  assert.equal((await never)[2], "the module ended with the exit code 3");
});

contract("entities are read by their type and changed by the words of the store", async () => {
  const app = new Module("books", "1");
  const Book = t.object({ title: t.string(), pages: t.optional(t.bigint()) });
  app.command("lend", {
    args: t.object({ id: t.string() }),
    async run(ctx, { id }) {
      const book = await ctx.entity("Book", id, Book);
      await ctx.update("Book", id, { lent: true }, { expectedVersion: book.version });
      const made = await ctx.create("Loan", { book: id });
      await ctx.delete("Hold", id);
      await ctx.change([{ entity: "Book", operation: "delete", id }]);
      await ctx.emit("book.lent", { id });
      return { title: book.data.title, pages: book.data.pages, made: made.id };
    },
  });
  app.command("none", { run: (ctx) => ctx.entityIfAny("Book", "gone").then((found) => found === undefined) });
  app.command("all", {
    async run(ctx) {
      const titles = [];
      for await (const { data } of ctx.entities("Book", { filters: { lent: true }, limit: 1 }, Book))
        titles.push(data.title);
      return titles;
    },
  });
  const entity = (title) => ({
    id: "b",
    entity: "Book",
    version: 3,
    created_at: "",
    updated_at: "",
    data: { title, pages: new NumberText("12345678901234567890"), new: 1 },
  });
  const hostAnswers = ({ type, payload }) => {
    if (type === "mutation")
      return payload.operations ? { results: [{ id: "b", version: 4 }] } : { id: "made", version: 1 };
    if (payload.id === "gone") throw new Fault("there is none", { code: "not_found" });
    if (payload.id === "bad") return { entities: [entity(7)], next: null };
    if (payload.id) return { entities: [entity("Dune")], next: null };
    return payload.after ? { entities: [entity("Solaris")], next: null } : { entities: [entity("Dune")], next: "on" };
  };
  const harness = await Harness.start(app, { hostAnswers });
  const lent = await harness.command("lend", { id: "b" });
  assert.deepEqual([lent.title, lent.made], ["Dune", "made"]);
  assert.deepEqual(harness.emitted, [{ event: "book.lent", data: { id: "b" } }]);
  assert.deepEqual(
    harness.asked.map(({ type, payload, of }) => [type, payload, of]),
    [
      ["query", { entity: "Book", id: "b" }, 2],
      ["mutation", { entity: "Book", operation: "update", id: "b", data: { lent: true }, expected_version: 3 }, 2],
      ["mutation", { entity: "Loan", operation: "create", data: { book: "b" } }, 2],
      ["mutation", { entity: "Hold", operation: "delete", id: "b" }, 2],
      ["mutation", { operations: [{ entity: "Book", operation: "delete", id: "b" }] }, 2],
    ],
  );
  assert.equal(await harness.command("none"), true);
  assert.deepEqual(await harness.command("all"), ["Dune", "Solaris"]);
  const [, , sentence] = await refusal(harness.command("lend", { id: "bad" }));
  assert.equal(sentence, "the answer of layer1: member `entities.0.data.title`: expected a text, found 7");
});

contract("requests of the module are at most as many as the host allows, and the rest waits", async () => {
  const app = new Module("asker", "1");
  app.command("ask", {
    run: async (ctx) => (await Promise.all(Array.from({ length: 200 }, (_, n) => ctx.query({ n })))).length,
  });
  let open = 0;
  let most = 0;
  const hostAnswers = async () => {
    open += 1;
    most = Math.max(most, open);
    await new Promise(setImmediate);
    open -= 1;
  };
  const harness = await Harness.start(app, { hostAnswers });
  assert.equal(await harness.command("ask"), 200);
  assert.ok(most > 1 && most <= 64, `${most} were open`);
});

contract(
  "a request has a deadline of its own or of the request that is handled, and is cancelled after it",
  async () => {
    const app = new Module("late", "1");
    app.command("ask", { run: (ctx) => ctx.call("other", "do", {}, { timeoutMs: 20, key: "k" }) });
    app.command("wait", { run: (ctx) => ctx.wait(60_000) });
    app.command("check", {
      async run(ctx) {
        for (;;) await ctx.check();
      },
    });
    const harness = await Harness.start(app, { hostAnswers: () => new Promise(() => {}) });
    assert.deepEqual(await refusal(harness.command("ask")), [
      "deadline_exceeded",
      undefined,
      "the deadline passed without an answer",
    ]);
    const [asked, cancel] = harness.asked;
    assert.ok(asked.deadline_ms <= 20 && asked.deadline_ms > 0 && asked.key === "k");
    assert.deepEqual(cancel.payload, { id: asked.id });
    const late = ["deadline_exceeded", undefined, "the deadline passed while the module worked on it"];
    assert.deepEqual(await refusal(harness.command("wait", {}, { deadlineMs: 20 })), late);
    assert.deepEqual(await refusal(harness.command("check", {}, { deadlineMs: 20 })), late);
    const abort = new AbortController();
    const checked = refusal(harness.command("check", {}, { signal: abort.signal }));
    abort.abort();
    assert.deepEqual(await checked, ["cancelled", undefined, "the caller cancelled"]);
  },
);

contract("a request that was answered can be used for nothing any more", async () => {
  const app = new Module("kept", "1");
  let kept;
  app.command("keep", { run: (ctx) => void (kept = ctx) });
  const harness = await Harness.start(app);
  await harness.command("keep");
  const sentence = "the request was answered already, and nothing can be done for it any more";
  for (const use of [() => kept.emit("a.b"), () => kept.progress(1), () => kept.call("a", "b")]) {
    assert.equal((await refusal(use()))[2], sentence);
  }
});

contract("names of events and patterns are checked where they are written", async () => {
  const app = new Module("names", "1");
  app.command("emit", { args: t.object({ name: t.string() }), run: (ctx, { name }) => ctx.emit(name) });
  const harness = await Harness.start(app);
  const sentence = async (name) => (await refusal(harness.command("emit", { name })))[2];
  assert.equal(await sentence(""), "an event's name has 1 to 256 bytes, found 0");
  assert.equal(await sentence("a b"), 'an event\'s name has no white space and no control characters, found " "');
  assert.equal(await sentence("a*"), "a '*' stands only at the end of a pattern, found \"a*\"");
  assert.throws(() => app.on("a*b", { run: () => null }), /stands only at the end/);
});

contract("what cannot be sent is a bug of the handler, with its place", async () => {
  const app = new Module("odd", "1");
  app.command("nan", { run: () => ({ ratio: 0 / 0 }) });
  const harness = await Harness.start(app);
  const [, , sentence] = await refusal(harness.command("nan"));
  assert.equal(sentence, 'TypeError: the answer cannot be sent: "ratio": expected a number that JSON has, found NaN');
  assert.equal(harness.exitCode, 101);
});
