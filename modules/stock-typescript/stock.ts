// A stockroom whose shelves are entities in the host's data store.

import { type Context, Fault, Module, t } from "bulkhead";

const Shelf = t.object({ item: t.string(), count: t.integer() });
const Delivery = t.object({ item: t.string(), count: t.integer().describe("how many pieces") });

export const app = new Module("stock-typescript", "0.1.0", {
  config: t.object({ low: t.optional(t.integer(), 3) }),
});

/** The shelf of an item, if there is one. */
async function shelfOf(ctx: Context, item: string) {
  const { entities } = await ctx.find("Shelf", { filters: { item }, limit: 1 }, Shelf);
  return entities[0];
}

/** Puts pieces on the shelf of an item; how many there are then. */
async function put(ctx: Context, item: string, count: number) {
  if (count < 1) throw new Fault("expected at least one piece", { code: "bad_request" });
  const shelf = await shelfOf(ctx, item);
  if (shelf === undefined) {
    await ctx.create("Shelf", { item, count });
    return count;
  }
  const total = shelf.data.count + count;
  await ctx.update("Shelf", shelf.id, { count: total });
  return total;
}

app.command("add", {
  description: "Puts pieces of an item on the shelf.",
  args: Delivery,
  returns: t.object({ count: t.integer() }),
  examples: [{ args: { item: "bolt", count: 5 }, returns: { count: 5 } }],
  run: async (ctx, { item, count }) => ({ count: await put(ctx, item, count) }),
});

app.command("take", {
  description: "Takes pieces of an item from the shelf.",
  args: t.object({ item: t.string(), count: t.optional(t.integer(), 1) }),
  returns: t.object({ left: t.integer() }),
  async run(ctx, { item, count }) {
    const shelf = await shelfOf(ctx, item);
    const there = shelf?.data.count ?? 0;
    if (shelf === undefined || there < count) {
      throw new Fault(`too few left: ${there} of "${item}"`, { code: "out_of_stock", data: { there } });
    }
    const left = there - count;
    await ctx.update("Shelf", shelf.id, { count: left });
    if (left < app.config.low) {
      ctx.log.warn(`${item} is running low: ${left} left`);
      await ctx.emit("stock.low", { item, count: left });
    }
    return { left };
  },
});

app.command("count", {
  description: "How many pieces of an item there are.",
  idempotent: true,
  args: t.object({ item: t.string() }),
  returns: t.object({ count: t.integer() }),
  async run(ctx, { item }) {
    const shelf = await shelfOf(ctx, item);
    if (shelf === undefined) throw new Fault(`there is no item "${item}"`, { code: "not_found" });
    return { count: shelf.data.count };
  },
});

app.command("audit", {
  description: "Counts everything, slowly.",
  idempotent: true,
  args: t.object({ pause_ms: t.optional(t.integer(), 0) }),
  async run(ctx, { pause_ms }) {
    let items = 0;
    let pieces = 0;
    for await (const { data } of ctx.entities("Shelf", { order: "item" }, Shelf)) {
      items += 1;
      pieces += data.count;
      await ctx.progress({ item: data.item, items });
      await ctx.wait(pause_ms);
    }
    return { items, pieces };
  },
});

app.on("delivery.arrived", {
  data: Delivery,
  run: (ctx, { item, count }) => put(ctx, item, count),
});
