// The stockroom as a process of its own, under the real host and with its data store.

import assert from "node:assert/strict";
import test from "node:test";
import { TestHost } from "bulkhead/testing";

test("what is taken is gone, and a shelf that runs low is announced", async () => {
  const stock = await TestHost.folder(import.meta.dirname, { config: { low: 2 } });
  try {
    await stock.create("Shelf", { item: "bolt", count: 5 });
    assert.deepEqual(await stock.call("take", { item: "bolt", count: 4 }), { left: 1 });
    const [shelf] = await stock.entities("Shelf");
    assert.equal(shelf?.data.count, 1);
    const low = await stock.events("stock.low");
    assert.deepEqual(
      low.map(({ data }) => data),
      [{ item: "bolt", count: 1 }],
    );
    await assert.rejects(stock.call("take", { item: "nut" }), { moduleCode: "out_of_stock" });
  } finally {
    await stock.close();
  }
});

test("a delivery is put on the shelf, and an audit is finished by the next process", async () => {
  const stock = await TestHost.folder(import.meta.dirname);
  try {
    await stock.deliver("delivery.arrived", { item: "nut", count: 40 });
    const audit = stock.call("audit", { pause_ms: 100 });
    assert.deepEqual(await audit.waitProgress(1), [{ item: "nut", items: 1 }]);
    await stock.kill();
    assert.deepEqual(await audit, { items: 1, pieces: 40 });
    const [crash] = await stock.crashes();
    assert.equal(crash.reason, "SIGKILL");
    assert.equal(crash.in_flight[0].delivery, "started");
  } finally {
    await stock.close();
  }
});
