// The built JavaScript in the repository is what the sources say, and the sources run as they are.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { contract } from "./contract.mjs";
import { PACKAGE, REPOSITORY, typedNode } from "./programs.mjs";

/** The files of a folder and those below it, with what is in them. */
function contents(folder) {
  const names = fs
    .readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => fs.statSync(path.join(folder, name)).isFile());
  return Object.fromEntries(names.sort().map((name) => [name, fs.readFileSync(path.join(folder, name), "utf8")]));
}

contract("a build gives the bytes that are in the repository", () => {
  const tsc = path.join(PACKAGE, "node_modules/.bin/tsc");
  assert.ok(fs.existsSync(tsc), "there is no TypeScript here; `npm ci` gets it");
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bulkhead-build-"));
  try {
    execFileSync(tsc, ["--project", PACKAGE, "--outDir", folder]);
    const [built, kept] = [contents(folder), contents(path.join(PACKAGE, "dist"))];
    assert.deepEqual(Object.keys(kept), Object.keys(built), "`npm run build` makes other files than dist/ has");
    const other = Object.keys(built).filter((name) => built[name] !== kept[name]);
    assert.deepEqual(other, [], "`npm run build` makes other bytes of these files");
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

contract("the specimen's JavaScript is what its source says", () => {
  const tsc = path.join(PACKAGE, "node_modules/.bin/tsc");
  assert.ok(fs.existsSync(tsc), "there is no TypeScript here; `npm ci` gets it");
  const specimen = path.join(REPOSITORY, "modules/specimen-typescript");
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bulkhead-build-"));
  try {
    execFileSync(tsc, ["--project", specimen, "--outDir", folder]);
    const kept = fs.readFileSync(path.join(specimen, "specimen.js"), "utf8");
    const same = contents(folder)["specimen.js"] === kept;
    assert.ok(same, "`npm run build` makes other bytes of modules/specimen-typescript/specimen.js");
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

contract("the sources run as they are, where Node takes TypeScript", () => {
  const script =
    'import { t } from "./src/index.ts"; import "./src/testing.ts"; console.log(JSON.stringify(t.integer().toJsonSchema()))';
  const run = spawnSync(typedNode(), ["--input-type=module", "-e", script], { cwd: PACKAGE, encoding: "utf8" });
  assert.equal(run.stdout.trim(), '{"type":"integer"}', run.stderr);
});

contract("the package has no dependencies, and what it exports is there", () => {
  const description = JSON.parse(fs.readFileSync(path.join(PACKAGE, "package.json"), "utf8"));
  assert.equal(description.dependencies, undefined);
  for (const entry of Object.values(description.exports)) {
    for (const file of Object.values(entry)) assert.ok(fs.existsSync(path.join(PACKAGE, file)), file);
  }
});
