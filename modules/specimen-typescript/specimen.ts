// One of everything that a module can do, each with a command of its own: the specimen of the conformance suite in
// TypeScript. It keeps nothing, opens nothing and starts no threads, as the one in Rust, whose commands it has.

import { randomBytes } from "node:crypto";
// By its path and not by its name, so that it runs without an installation.
import { Fault, log as lines, Module, t } from "../../module-runtime/typescript/dist/index.js";

// A test that went wrong cannot exhaust the machine.
const RANDOM_BYTES_MAX = 65_536;
const SPIN_MS_MAX = 60_000;
const GROW_BYTES_MAX = 2 ** 31;
// No test waits for an hour.
const WAIT_MS_MAX = 3_600_000;

const app = new Module("specimen-typescript", "0.1.0");

let count = 0;
let events = 0;
let last: unknown = null;

function atMost(what: string, most: number, found: number): number {
  if (found >= 0 && found <= most) return found;
  throw new Fault(`expected at most ${most} ${what}, found ${found}`, { code: "bad_request" });
}

app.command("echo", {
  description: "answers with its arguments as they came",
  idempotent: true,
  args: t.raw(),
  run: (_ctx, args) => args,
});

app.command("count", {
  description: "how often it was asked since the module was created",
  idempotent: true,
  run() {
    count += 1;
    return { count };
  },
});

app.command("events", {
  description: "how many events came, and the last of them",
  idempotent: true,
  run: () => ({ count: events, last }),
});

app.command("key", {
  description: "the request's idempotency key",
  idempotent: true,
  run: (ctx) => ({ key: ctx.key ?? null }),
});

app.command("deadline", {
  description: "how many milliseconds are left",
  idempotent: true,
  run: (ctx) => ({ deadline_ms: ctx.deadline === undefined ? null : Math.floor(ctx.deadline) }),
});

app.command("time", {
  description: "milliseconds since 1970",
  idempotent: true,
  run: () => ({ unix_ms: Date.now() }),
});

app.command("fail", {
  description: 'answers with the error {"code","message","retryable","data"}',
  args: t.object({
    code: t.string(),
    message: t.string(),
    retryable: t.optional(t.boolean(), false),
    data: t.optional(t.json()),
  }),
  run(_ctx, { code, message, retryable, data }) {
    throw new Fault(message, retryable ? { code, data, retryable } : { code, data });
  },
});

/** The host's answer as data, so that the suite sees errors as the module saw them. */
async function outcome(asked: Promise<unknown>): Promise<unknown> {
  try {
    return { data: await asked };
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    return { code: fault.code, error: fault.message };
  }
}

app.command("ask", {
  description: 'sends the command {"name","args"} to the module {"to"}',
  args: t.object({ to: t.string(), name: t.string(), args: t.optional(t.raw()) }),
  run: (ctx, { to, name, args }) => outcome(ctx.call(to, name, args, { returns: t.raw() })),
});

const data = t.object({ to: t.optional(t.nullable(t.string()), null), payload: t.optional(t.raw()) });

app.command("ask_query", {
  description: 'sends the query {"payload"} to {"to"}, or to the data store',
  args: data,
  run: (ctx, { to, payload }) => outcome(ctx.query(payload, { returns: t.raw(), ...(to === null ? {} : { to }) })),
});

app.command("ask_mutation", {
  description: 'sends the mutation {"payload"} to {"to"}, or to the data store',
  args: data,
  run: (ctx, { to, payload }) => outcome(ctx.mutate(payload, { returns: t.raw(), ...(to === null ? {} : { to }) })),
});

app.command("emit", {
  description: 'publishes the event {"event","data"}',
  args: t.object({ event: t.string(), data: t.optional(t.raw()) }),
  async run(ctx, { event, data }) {
    await ctx.emit(event, data);
    return {};
  },
});

app.command("progress", {
  description: 'reports {"steps"} steps',
  args: t.object({ steps: t.integer() }),
  async run(ctx, { steps }) {
    for (let step = 1; step <= steps; step += 1) {
      await ctx.check();
      await ctx.progress({ step });
    }
    return { steps };
  },
});

app.command("wait", {
  description: 'waits for {"ms"}',
  args: t.object({ ms: t.integer() }),
  async run(ctx, { ms }) {
    await ctx.wait(Math.min(ms, WAIT_MS_MAX));
    return { waited: ms };
  },
});

app.command("log", {
  description: 'writes {"message"} to the log at {"level"}',
  args: t.object({ level: t.oneOf("debug", "info", "warn", "error"), message: t.string() }),
  run(_ctx, { level, message }) {
    lines[level](message);
    return {};
  },
});

app.command("crash", {
  description: "ends the process in the hard way",
  run: () => process.abort(),
});

app.command("panic", {
  description: "throws an exception that is no answer",
  run() {
    throw new Error("the specimen panicked on request");
  },
});

app.command("random", {
  description: '{"bytes"} bytes that cannot be foretold, in hexadecimal',
  args: t.object({ bytes: t.integer() }),
  run: (_ctx, { bytes }) => ({ hex: randomBytes(atMost("bytes", RANDOM_BYTES_MAX, bytes)).toString("hex") }),
});

app.command("spin", {
  description: 'uses the processor for {"ms"}, and looks at nothing else',
  args: t.object({ ms: t.integer() }),
  run(_ctx, { ms }) {
    const end = performance.now() + atMost("ms", SPIN_MS_MAX, ms);
    while (performance.now() < end);
    return { spun: ms };
  },
});

app.command("grow", {
  description: 'uses {"bytes"} of memory until it has answered',
  args: t.object({ bytes: t.integer() }),
  // Ones and not zeros: the system gives pages of zeros without having any.
  run: (_ctx, { bytes }) => ({ bytes: Buffer.alloc(atMost("bytes", GROW_BYTES_MAX, bytes), 1).length }),
});

app.query({ payload: t.raw(), run: (_ctx, payload) => payload });
app.mutation({ payload: t.raw(), run: (_ctx, payload) => payload });

app.on("*", {
  data: t.raw(),
  run(_ctx, data, { event }) {
    events += 1;
    last = { event, data };
  },
});

app.run();
