// A real host with modules in a folder of its own, which is gone after the test.
import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { within } from "./contract.mjs";
import { bulkhead, PACKAGE, typedNode } from "./programs.mjs";

export class World {
  #host;
  #log = "";
  #listeners = new Set();
  #followers = [];

  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "bulkhead-typescript-"));
    fs.mkdirSync(path.join(this.folder, "modules"));
    // `node` in a manifest is this one.
    fs.mkdirSync(path.join(this.folder, "bin"));
    fs.symlinkSync(typedNode(), path.join(this.folder, "bin/node"));
    this.env = {
      ...process.env,
      PATH: `${path.join(this.folder, "bin")}:${process.env.PATH}`,
      BULKHEAD_SOCKET: path.join(this.folder, "socket"),
    };
    delete this.env.NODE_TEST_CONTEXT;
  }

  /** Adds a module: its manifest, its files by name, and the SDK where it is looked for. */
  module(name, manifest, files) {
    const folder = path.join(this.folder, "modules", name);
    fs.mkdirSync(path.join(folder, "node_modules"), { recursive: true });
    fs.symlinkSync(PACKAGE, path.join(folder, "node_modules/bulkhead"));
    fs.writeFileSync(path.join(folder, "package.json"), '{"type":"module"}');
    fs.writeFileSync(path.join(folder, "module.toml"), manifest);
    for (const [file, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, file), text);
  }

  /** Starts the host, and waits until these modules are ready. */
  async start(...names) {
    const args = ["run", "--modules", "modules", "--state", "state", "--socket", "socket"];
    this.#host = spawn(bulkhead(), args, { cwd: this.folder, env: this.env, stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise((resolve) => this.#host.on("close", resolve));
    for (const stream of [this.#host.stdout, this.#host.stderr]) {
      stream.on("data", (data) => {
        this.#log += data;
        for (const listener of [...this.#listeners]) listener();
      });
    }
    for (const name of names) await this.until(`module.ready ${name}#`);
  }

  /** Waits for a line of the host's log. */
  until(text) {
    return within(
      `${text} in the host's log`,
      new Promise((resolve) => {
        const look = () => {
          if (!this.#log.includes(text)) return;
          this.#listeners.delete(look);
          resolve();
        };
        this.#listeners.add(look);
        look();
      }),
    ).catch((error) => Promise.reject(new Error(`${error.message}: ${this.#log}`)));
  }

  /** Runs `bulkhead` with these arguments; with `input`, that is its standard input. */
  command(args, input = "") {
    const run = new Promise((resolve) => {
      const child = execFile(bulkhead(), args, { cwd: this.folder, env: this.env }, (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, stdout, stderr });
      });
      // A command that reads nothing may have ended.
      child.stdin.on("error", () => {});
      child.stdin.end(input);
    });
    return within(`bulkhead ${args.join(" ")}`, run);
  }

  /** The whole answer to a command. */
  async call(module, name, args = {}, ...more) {
    const { stdout, stderr } = await this.command(["call", module, name, JSON.stringify(args), "--full", ...more]);
    const last = stdout.trimEnd().split("\n").at(-1);
    if (!last) throw new Error(`${module} ${name}: ${stderr}`);
    return JSON.parse(last);
  }

  /** Follows events of these names; what is returned waits for one of a name with this in it. */
  follow(...names) {
    const lines = [];
    let changed = () => {};
    for (const name of names) {
      const child = spawn(bulkhead(), ["events", name, "--from-beginning", "--json"], {
        cwd: this.folder,
        env: this.env,
      });
      this.#followers.push(child);
      createInterface(child.stdout).on("line", (line) => {
        lines.push(line);
        changed();
      });
    }
    let seen = 0;
    return async (name, part) => {
      for (;;) {
        while (seen < lines.length) {
          seen += 1;
          const line = lines[seen - 1];
          if (JSON.parse(line).event === name && line.includes(part)) return line;
        }
        await within(`the event ${name} with ${part}`, new Promise((resolve) => (changed = resolve)));
      }
    };
  }

  async stop() {
    for (const child of this.#followers) child.kill("SIGKILL");
    this.#host?.kill("SIGTERM");
    await within(`the end of the host: ${this.#log}`, this.ended ?? Promise.resolve(), 20_000).finally(() => {
      this.#host?.kill("SIGKILL");
      fs.rmSync(this.folder, { recursive: true, force: true });
    });
  }
}

/** Runs with a world that is gone afterwards. */
export async function withWorld(run) {
  const world = new World();
  try {
    return await run(world);
  } finally {
    await world.stop();
  }
}
