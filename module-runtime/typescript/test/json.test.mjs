// Texts and values: which numbers a double keeps, what a text has twice, and what is written.
import assert from "node:assert/strict";
import { NumberText, Raw } from "../dist/index.js";
import { isKept } from "../dist/json/number.js";
import { look, membersOf } from "../dist/json/scan.js";
import { write } from "../dist/json/write.js";
import { nearest } from "../dist/nearest.js";
import { Decoder, FrameFault } from "../dist/frames.js";
import { contract } from "./contract.mjs";

contract("a double keeps a number if its shortest text is the same decimal", () => {
  const kept = [
    "0",
    "-0",
    "0.1",
    "1.0",
    "1e3",
    "1E+2",
    "9007199254740992",
    "1e21",
    "123456789012345.0",
    "5e-324",
    "1.7976931348623157e308",
    "0e999",
    "100000000000000000000",
  ];
  for (const text of kept) assert.equal(isKept(text), true, text);
  const changed = [
    "9007199254740993",
    "1e400",
    "1e-400",
    "0.1000000000000000055511151231257827",
    "1152921504606846976",
    "123456789.12345678901",
  ];
  for (const text of changed) assert.equal(isKept(text), false, text);
});

contract("a look over a text sees what its value does not show", () => {
  assert.deepEqual(look('{"a:b":["\\\\\\"{[:",{"c":1e2}],"d":-12345678901234567890}'), {
    members: 3,
    levels: 3,
    kept: false,
  });
  assert.deepEqual(look('{ "a" : 1, "a" : 2 }'), { members: 2, levels: 1, kept: true });
  assert.equal(membersOf(JSON.parse('{"a":1,"a":2,"b":[{"c":{}}]}')), 3);
});

contract("what is sent keeps its digits, and what JSON does not have is refused with its place", () => {
  assert.equal(
    write({ a: new Raw("[1.00]"), b: 2n ** 64n, c: new NumberText("1.10"), d: [undefined, null], e: undefined }),
    '{"a":[1.00],"b":18446744073709551616,"c":1.10,"d":[null,null]}',
  );
  assert.equal(write(undefined), "null");
  assert.equal(write({ at: new Date(0), none: null }), '{"at":"1970-01-01T00:00:00.000Z","none":null}');
  assert.equal(write("null"), '"null"');
  assert.throws(() => write({ a: { b: Number.NaN } }), { message: '"b": expected a number that JSON has, found NaN' });
  const circle = {};
  circle.self = circle;
  assert.throws(() => write(circle), { message: '"self": expected JSON, found a value that is a part of itself' });
  let deep = null;
  for (let n = 0; n < 100_000; n += 1) deep = [deep];
  assert.throws(() => write({ deep }), /expected at most 1024 levels of lists and objects, found more/);
  assert.throws(() => new Raw("{"), SyntaxError);
  assert.throws(() => new NumberText("01"), /expected a number as JSON has it/);
});

contract("the nearest name is the one that needs the fewest changes, and the first of several", () => {
  assert.equal(nearest("titel", ["tags", "title"]), "title");
  assert.equal(nearest("ab", ["ax", "ay"]), "ax");
  assert.equal(nearest("colour", ["title", "tags"]), undefined);
});

contract("what is no frame is refused before memory is taken for it", () => {
  const feed = (...bytes) => {
    const decoder = new Decoder(1000);
    const frames = [];
    for (const part of bytes) decoder.feed(Buffer.from(part), (text) => frames.push(text));
    decoder.finish();
    return frames;
  };
  assert.deepEqual(feed([0, 0, 0, 2, 0x7b, 0x7d, 0, 0], [0, 2], [0x7b, 0x7d]), ["{}", "{}"]);
  assert.throws(() => feed([0, 0, 0, 1]), new FrameFault("expected a frame of at least 2 bytes, found a length of 1"));
  assert.throws(
    () => feed([0, 0, 4, 0]),
    new FrameFault("expected a frame of at most 1000 bytes, found a length of 1024"),
  );
  assert.throws(
    () => feed("OK", " re", 'ady "now"\n'),
    new FrameFault('expected a 4-byte length, found text: "OK re"'),
  );
  assert.throws(
    () => feed([0, 0, 0, 2, 0x7b, 0xff]),
    new FrameFault("expected a frame in UTF-8, found other bytes in it"),
  );
  assert.throws(() => feed([0, 0]), new FrameFault("the stream ended inside a frame: expected 4 bytes, found 2"));
});
