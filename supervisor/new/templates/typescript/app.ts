// The module `@NAME@`: its commands. `main.ts` runs it.

import { Module, t } from "bulkhead";

export const app = new Module("@NAME@", "0.1.0");

app.command("greet", {
  description: "Greets by name.",
  idempotent: true,
  args: t.object({ name: t.string().describe("who is greeted") }),
  returns: t.object({ greeting: t.string() }),
  examples: [{ args: { name: "Ada" }, returns: { greeting: "hello, Ada" } }],
  run(_ctx, { name }) {
    return { greeting: `hello, ${name}` };
  },
});
