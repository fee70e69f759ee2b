// The module in the test's own process. Run this with `node --test`.

import assert from "node:assert/strict";
import test from "node:test";
import { Harness } from "bulkhead/testing";
import { app } from "./app.ts";

const module = await Harness.start(app);

test("a greeting has the name", async () => {
  assert.deepEqual(await module.command("greet", { name: "Ada" }), { greeting: "hello, Ada" });
});

test("a greeting needs a name", async () => {
  await assert.rejects(module.command("greet", {}), { code: "bad_request" });
});
