// The stockroom in the test's own process. The host's data store is a list here.

import assert from "node:assert/strict";
import test from "node:test";
import { Harness } from "bulkhead/testing";
import { app } from "./stock.ts";

const shelves: { id: string; data: { item: string; count: number } }[] = [];

const stock = await Harness.start(app, {
  config: { low: 2 },
  hostAnswers({ type, payload }) {
    if (type === "query") {
      const { item } = payload.filters ?? {};
      return { entities: shelves.filter(({ data }) => item === undefined || data.item === item), next: null };
    }
    const known = shelves.find(({ id }) => id === payload.id);
    if (known === undefined) shelves.push({ id: String(shelves.length), data: payload.data });
    else Object.assign(known.data, payload.data);
    return { id: payload.id ?? String(shelves.length - 1), version: 1 };
  },
});

test("what is added is counted", async () => {
  assert.deepEqual(await stock.command("add", { item: "bolt", count: 5 }), { count: 5 });
  assert.deepEqual(await stock.command("add", { item: "bolt", count: 1 }), { count: 6 });
  assert.deepEqual(await stock.command("count", { item: "bolt" }), { count: 6 });
  await assert.rejects(stock.command("count", { item: "nut" }), {
    message: 'there is no item "nut"',
    code: "not_found",
  });
});

test("what is not there cannot be taken", async () => {
  await assert.rejects(stock.command("take", { item: "bolt", count: 7 }), {
    moduleCode: "out_of_stock",
    data: { there: 6 },
  });
});

test("a shelf that runs low is announced", async () => {
  await stock.command("take", { item: "bolt", count: 5 });
  assert.deepEqual(stock.emitted, [{ event: "stock.low", data: { item: "bolt", count: 1 } }]);
});

test("a delivery is put on the shelf, and an audit tells how far it is", async () => {
  await stock.event("delivery.arrived", { item: "nut", count: 40 });
  const seen: string[] = [];
  const onProgress = ({ item }: { item: string }) => seen.push(item);
  assert.deepEqual(await stock.command("audit", {}, { onProgress }), { items: 2, pieces: 41 });
  assert.deepEqual(seen, ["bolt", "nut"]);
});
