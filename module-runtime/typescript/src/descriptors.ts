/**
 * How the descriptors that lead to the host are found, and how standard input and output are taken away from
 * the rest of the process where they are the channel.
 */

import { Console } from "node:console";
import fs from "node:fs";
import { isatty } from "node:tty";

/** Where what the host sends comes from, and where what is sent to it goes. */
export interface Descriptors {
  readonly input: number;
  readonly output: number;
}

/** There is no host: a person started the program. */
export class NoHost extends Error {}

const NO_HOST =
  "this is a module of Bulkhead and waits for messages of a host, not for a person; " +
  "start it with `bulkhead run --modules FOLDER`, and talk to it with `bulkhead call`";

let taken: Descriptors | undefined;
let isInUse = false;

/**
 * The descriptors that the host gave this process. Given once in a process.
 *
 * @throws NoHost with a sentence where there are none.
 */
export function openDescriptors(): Descriptors {
  if (isInUse) throw new NoHost("a module runs once in a process, and this one runs already");
  const number = process.env.BULKHEAD_FD;
  const found = number === undefined ? takeStandard() : inherited(number);
  isInUse = true;
  return found;
}

/**
 * Takes standard input and output early where a host gave them as the channel, so that nothing is printed
 * into it before the module runs. Without a host, nothing is done.
 */
export function protectStandard(): void {
  const hasHost = process.env.BULKHEAD_TREE !== undefined && process.env.BULKHEAD_FD === undefined;
  if (hasHost && !isatty(0)) takeStandard();
}

function inherited(number: string): Descriptors {
  const fd = /^\d{1,9}$/.test(number) ? Number(number) : 0;
  if (fd <= 2) {
    throw new NoHost(`expected the number of a descriptor above 2 in BULKHEAD_FD, found ${JSON.stringify(number)}`);
  }
  let isSocket: boolean;
  try {
    isSocket = fs.fstatSync(fd).isSocket();
  } catch {
    throw new NoHost(`BULKHEAD_FD says ${fd}, and no such descriptor is open; ${NO_HOST}`);
  }
  if (!isSocket) throw new NoHost(`BULKHEAD_FD says ${fd}, and that descriptor is no socket; ${NO_HOST}`);
  return { input: fd, output: fd };
}

/** From now on what the process and its children print is log, as a stray line between two frames ends the module. */
function takeStandard(): Descriptors {
  if (taken !== undefined) return taken;
  if (isatty(0)) throw new NoHost(NO_HOST);
  try {
    taken = movePipes() ?? keepSockets();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NoHost(`cannot use standard input and output as the channel: ${reason}`);
  }
  return taken;
}

/**
 * Opens the pipes once more under other numbers, and puts an empty file and standard error in their places: a
 * descriptor that is opened gets the lowest number that is free. Everything that prints is caught by that,
 * whatever it is written in.
 */
function movePipes(): Descriptors | undefined {
  if (!fs.fstatSync(0).isFIFO() || !fs.fstatSync(1).isFIFO() || fs.fstatSync(2).isSocket()) return undefined;
  const input = fs.openSync("/proc/self/fd/0", "r");
  const output = fs.openSync("/proc/self/fd/1", "w");
  fs.closeSync(0);
  expectNumber(fs.openSync("/dev/null", "r"), 0);
  fs.closeSync(1);
  expectNumber(fs.openSync("/proc/self/fd/2", "a"), 1);
  return { input, output };
}

function expectNumber(found: number, expected: number): void {
  if (found !== expected) throw new Error(`expected descriptor ${expected} to be free, found it taken meanwhile`);
}

/** Sockets cannot be opened once more, so the streams of JavaScript alone are led to standard error. */
function keepSockets(): Descriptors {
  Object.defineProperty(process, "stdout", { configurable: true, enumerable: true, get: () => process.stderr });
  // The console may have looked for its streams already.
  globalThis.console = new Console({ stdout: process.stderr, stderr: process.stderr });
  return { input: 0, output: 1 };
}
