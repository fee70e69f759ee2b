// The host's end of a channel to a module in a process of its own. It is the bytes of PROTOCOL.md, without the SDK.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { within } from "./contract.mjs";

const FIXTURES = new URL("fixtures/", import.meta.url);

export class Peer {
  #held = Buffer.alloc(0);
  #messages = [];
  #waiting = [];
  #next = 1;
  stdout = "";
  stderr = "";

  /**
   * Starts a fixture. `transport` is "socket"; "pipes", which is how the host does stdio; or "stdio" over sockets.
   */
  constructor(fixture, transport = "socket", { node = process.execPath, env = {} } = {}) {
    const file = fileURLToPath(new URL(fixture, FIXTURES));
    const { BULKHEAD_FD, BULKHEAD_TREE, NODE_TEST_CONTEXT, ...own } = process.env;
    const given = { ...own, BULKHEAD_TREE: "1", ...env };
    if (transport === "socket") {
      this.process = spawn(node, [file], {
        stdio: ["ignore", "pipe", "pipe", "pipe"],
        env: { ...given, BULKHEAD_FD: "3" },
      });
      this.sink = this.source = this.process.stdio[3];
      this.process.stdout.on("data", (data) => (this.stdout += data));
    } else {
      const args =
        transport === "pipes"
          ? ["bash", ["-c", 'set -o pipefail; cat | "$0" "$1" 2> >(cat >&2) | cat', node, file]]
          : [node, [file]];
      this.process = spawn(...args, { stdio: ["pipe", "pipe", "pipe"], env: given });
      this.sink = this.process.stdin;
      this.source = this.process.stdout;
    }
    // A module that has ended takes nothing more.
    this.sink.on("error", () => {});
    this.source.on("data", (data) => this.#received(data));
    this.process.stderr.on("data", (data) => (this.stderr += data));
    this.ended = new Promise((resolve) => this.process.on("close", (code, signal) => resolve(code ?? signal)));
    this.closed = new Promise((resolve) => this.source.on("close", resolve));
  }

  /** Sends a message, or text as the object of a frame; returns the number that it was given. */
  send(message) {
    const id = this.#next;
    this.#next += 1;
    const text = typeof message === "string" ? message : JSON.stringify({ id, ...message });
    const body = Buffer.from(text);
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(body.length);
    this.sink.write(Buffer.concat([prefix, body]));
    return id;
  }

  /**
   * Sends in one piece what `run` sends. A second piece could come after the end of a process that ends with the
   * first one, and Node drops what it has not read yet of a socket on which a write fails.
   */
  together(run) {
    this.sink.cork();
    const result = run();
    this.sink.uncork();
    return result;
  }

  command(name, args, more = {}) {
    return this.send({ type: "command", payload: { name, args }, ...more });
  }

  /** The next message of the module. */
  next(what = "a message of the module") {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return within(`${what}; its log: ${this.stderr}`, new Promise((resolve) => this.#waiting.push(resolve)));
  }

  /** Starts the module: what it says of itself. */
  async start(payload = {}) {
    this.send({
      type: "init",
      payload: {
        protocol: 1,
        module: "fixture",
        instance: "fixture#1",
        config: {},
        limits: { frame_bytes_max: 65536, window: 64, requests_max: 64 },
        capabilities: { event_subscribe: ["*"], event_emit: ["*"], call: ["*"] },
        data_dir: "",
        ...payload,
      },
    });
    return (await this.next("the answer to init")).data;
  }

  /** Calls a command and returns the answer to it, which must be what comes next. */
  async call(name, args, more) {
    const id = this.command(name, args, more);
    const answer = await this.next(`the answer to ${name}`);
    if (answer.id !== id) throw new Error(`expected the answer ${id}, found ${JSON.stringify(answer)}`);
    return answer;
  }

  /** The exit code, once the process has ended. */
  async exit() {
    this.sink.end();
    return await within(`the end of the process; its log: ${this.stderr}`, this.ended);
  }

  /** For the end of a test, however it ends. */
  kill() {
    this.process.kill("SIGKILL");
    this.sink.destroy();
  }

  #received(data) {
    this.#held = Buffer.concat([this.#held, data]);
    while (this.#held.length >= 4 && this.#held.length - 4 >= this.#held.readUInt32BE(0)) {
      const end = 4 + this.#held.readUInt32BE(0);
      const message = JSON.parse(this.#held.toString("utf8", 4, end));
      this.#held = this.#held.subarray(end);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#messages.push(message);
      else waiting(message);
    }
  }
}

/** Runs with a peer that is gone afterwards. */
export async function withPeer(run, ...options) {
  const peer = new Peer(...options);
  try {
    return await run(peer);
  } finally {
    peer.kill();
    await within("the end of the process", peer.ended);
  }
}
