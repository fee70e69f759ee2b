// What each test has: a name that is a contract, and a time after which it has failed.
import test from "node:test";

/** How much longer than usual things may take, on a slow machine. */
const FACTOR = Number(process.env.BULKHEAD_TEST_TIMEOUT_FACTOR ?? 1);

/** A test that has failed after 20 seconds. */
export function contract(name, run) {
  test(name, { timeout: 20_000 * FACTOR }, run);
}

/** The promise, which is rejected after a time that says what was waited for. */
export function within(what, promise, ms = 10_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), ms * FACTOR);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
