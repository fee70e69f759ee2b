// The code of the guide and of the README is that of files which are compiled, and the commands print what is shown.
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { contract, within } from "./contract.mjs";
import { bulkhead, PACKAGE, REPOSITORY, typedNode } from "./programs.mjs";
import { withWorld } from "./world.mjs";

const read = (...parts) => fs.readFileSync(path.join(REPOSITORY, ...parts), "utf8");
const GUIDE = read("docs/typescript.md");
const FIRST = read("module-runtime/typescript/examples/first.ts");
const SAMPLE = "modules/stock-typescript";
const SOURCES = [
  FIRST,
  read("module-runtime/typescript/examples/more.ts"),
  read(SAMPLE, "stock.ts"),
  read(SAMPLE, "stock.test.ts"),
  read(SAMPLE, "stock.host.test.ts"),
];

/** The blocks of code in a page, of one language; "" is a transcript. */
function blocks(page, language) {
  return page
    .split(/^```/m)
    .filter((_, at) => at % 2 === 1)
    .filter((block) => block.startsWith(`${language}\n`))
    .map((block) => block.slice(language.length + 1).trimEnd());
}

const afterTheFirstParagraph = (text) => text.slice(text.indexOf("\n\n") + 2).trimEnd();

contract("every piece of code in the guide and the README stands in a file that is compiled", () => {
  const pieces = [...blocks(GUIDE, "ts"), ...blocks(read("module-runtime/typescript/README.md"), "ts")];
  assert.ok(pieces.length > 8);
  for (const piece of pieces)
    assert.ok(
      SOURCES.some((source) => source.includes(piece)),
      `no file has this piece:\n${piece}`,
    );
});

contract("the first module and the manifest of the sample are shown whole", () => {
  assert.equal(blocks(GUIDE, "ts")[0], afterTheFirstParagraph(FIRST));
  const [, manifest] = blocks(GUIDE, "toml");
  assert.equal(
    `# A module in TypeScript. Copy this folder to begin one of your own; README.md says what it needs.\n${manifest}\n`,
    read(SAMPLE, "module.toml"),
  );
});

contract("the tests of the sample, which the guide shows whole, pass, without a host and with one", () => {
  const files = ["stock.ts", "main.ts", "module.toml", "package.json", "stock.test.ts", "stock.host.test.ts"];
  for (const file of files.slice(4))
    assert.ok(blocks(GUIDE, "ts").includes(afterTheFirstParagraph(read(SAMPLE, file))), file);
  const world = fs.mkdtempSync(path.join(os.tmpdir(), "bulkhead-sample-"));
  try {
    for (const file of files) fs.writeFileSync(path.join(world, file), read(SAMPLE, file));
    fs.mkdirSync(path.join(world, "node_modules"));
    fs.symlinkSync(PACKAGE, path.join(world, "node_modules/bulkhead"));
    const { NODE_TEST_CONTEXT, ...env } = { ...process.env, BULKHEAD_BIN: bulkhead() };
    const run = spawnSync(typedNode(), ["--test", ...files.slice(4)], { cwd: world, env, encoding: "utf8" });
    assert.equal(run.status, 0, run.stdout + run.stderr);
    assert.match(run.stdout, /pass 6/);
  } finally {
    fs.rmSync(world, { recursive: true });
  }
});

/** A transcript as commands, each with what it prints. */
function commands(block) {
  const parts = block.split(/^\$ /m).slice(1);
  return parts.map((part) => {
    const [command, ...output] = part.trimEnd().split("\n");
    return { command, output: output.join("\n") };
  });
}

/** Those that print the same each time. The handler with `trim` is one that the guide tells of and no file has. */
const isSteady = ({ command, output }) => /^(bulkhead (call|emit) |printf )/.test(command) && !output.includes("trim");

contract("the commands of the guide print what it shows", () =>
  withWorld(async (world) => {
    const manifest = blocks(GUIDE, "toml")[0];
    world.module("stock", manifest, { "main.ts": FIRST });
    world.module("stock-typescript", read(SAMPLE, "module.toml"), {
      "main.ts": read(SAMPLE, "main.ts"),
      "stock.ts": read(SAMPLE, "stock.ts"),
    });
    await world.start("stock", "stock-typescript");
    const env = { ...world.env, PATH: `${path.dirname(bulkhead())}:${world.env.PATH}` };
    const shell = (command) =>
      within(
        command,
        new Promise((resolve) =>
          execFile("bash", ["-c", `{ ${command}\n} 2>&1`], { cwd: world.folder, env }, (_, stdout) =>
            resolve(stdout.trimEnd()),
          ),
        ),
      );
    const steady = blocks(GUIDE, "")
      .map(commands)
      .filter((found) => found.every(isSteady))
      .flat();
    assert.ok(steady.length > 15, `${steady.length} commands are steady`);
    for (const { command, output } of steady) assert.equal(await shell(command), output, command);
  }),
);
