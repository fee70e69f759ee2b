// The first module of the guide.

import { Fault, Module, t } from "bulkhead";

const app = new Module("stock", "0.1.0");
const counts = new Map<string, number>();

app.command("add", {
  description: "Puts pieces of an item on the shelf.",
  args: t.object({ item: t.string(), count: t.integer() }),
  run(_ctx, { item, count }) {
    const total = (counts.get(item) ?? 0) + count;
    counts.set(item, total);
    return { count: total };
  },
});

app.command("count", {
  description: "How many pieces of an item there are.",
  idempotent: true,
  args: t.object({ item: t.string() }),
  run(_ctx, { item }) {
    const count = counts.get(item);
    if (count === undefined) throw new Fault(`there is no item "${item}"`, { code: "not_found" });
    return { count };
  },
});

app.run();
