// Pieces of the guide that the stockroom has no use for.

import { readFile } from "node:fs/promises";
import { Fault, Module, t } from "bulkhead";

const app = new Module("more", "0.1.0");
let handled = 0;

app.command("restock", {
  args: t.object({ item: t.string() }),
  async run(ctx, { item }) {
    const returns = t.object({ left: t.integer() });
    const { left } = await ctx.call("stock", "take", { item }, { returns, timeoutMs: 2000 });
    return left < 5 ? await ctx.call("orders", "place", { item }, { key: `restock-${ctx.id}` }) : null;
  },
});

app.command("price", {
  description: "Asks another server.",
  idempotent: true,
  concurrent: true,
  args: t.object({ item: t.string() }),
  async run(ctx, { item }) {
    const answer = await fetch(`http://prices.example/${item}`, { signal: ctx.signal });
    if (answer.status === 404) throw new Fault(`there is no price for "${item}"`, { code: "not_found" });
    return await answer.json();
  },
});

app.command("sum", {
  args: t.object({ amounts: t.array(t.bigint()) }),
  run: (_ctx, { amounts }) => ({ sum: amounts.reduce((sum, amount) => sum + amount, 0n) }),
});

app.command("archive", {
  args: t.object({ document: t.raw() }),
  run: (ctx, { document }) => ctx.create("Document", document),
});

app.command("report", {
  async run(ctx) {
    handled += 1;
    if (handled === 1000) ctx.end();
    return await readFile("report.txt", "utf8");
  },
});

app.run();
