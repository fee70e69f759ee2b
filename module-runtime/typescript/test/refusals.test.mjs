// The sentences in which arguments are refused, which are those of each SDK with types of its own.
import assert from "node:assert/strict";
import fs from "node:fs";
import { Fault, t } from "../dist/index.js";
import { parseTree } from "../dist/json/tree.js";
import { readPart } from "../dist/schema/read.js";
import { hint } from "../dist/nearest.js";
import { NO } from "../dist/schema/schema.js";
import { Refusal } from "../dist/schema/refusal.js";
import { contract } from "./contract.mjs";

const ARGUMENTS = { way: [], called: "argument", absent: "{}", whole: "an object of arguments" };

function read(schema, text, part = ARGUMENTS) {
  const value = JSON.parse(text);
  return readPart(schema, { text, value }, value, part);
}

/** The sentence and the place of a refusal. */
function refused(schema, text, part) {
  try {
    read(schema, text, part);
  } catch (fault) {
    assert.ok(fault instanceof Fault, String(fault));
    assert.equal(fault.code, "bad_request");
    return [fault.message, fault.data.at];
  }
  assert.fail(`${text} was taken`);
}

const FILE = JSON.parse(fs.readFileSync(new URL("../../refusals.json", import.meta.url), "utf8"));

const line = t.object({ item: t.string(), count: t.integer() });
const order = t.object({
  id: t.string(),
  lines: t.array(line),
  colour: t.optional(t.oneOf("red", "green", 7, null)),
  paid: t.optional(t.boolean(), false),
  price: t.optional(t.number()),
  extra: t.optional(t.json()),
  to: t.optional(t.union(t.object({ street: t.string() }), t.null())),
  size: t.optional(t.union(t.string(), t.integer(), t.null())),
  prices: t.optional(t.record(t.number())),
});
const COMMANDS = {
  order,
  take: t.object({ item: t.string(), count: t.integer() }),
  nothing: t.object({}),
  many: t.object(Object.fromEntries(Array.from({ length: 23 }, (_, n) => [`name_${n}`, t.optional(t.null())]))),
  choose: t.object({ number: t.oneOf(...Array.from({ length: 23 }, (_, n) => n)) }),
};
const good = (more) => `{"id":"x","lines":[],${more}}`;

/** A schema without defaults, which other languages do not declare. */
function withoutDefaults(schema) {
  return JSON.parse(JSON.stringify(schema, (keyword, value) => (keyword === "default" ? undefined : value)));
}

contract("the commands are those of the file that the SDKs share", () => {
  assert.deepEqual(Object.keys(COMMANDS).sort(), Object.keys(FILE.commands).sort());
  for (const [name, schema] of Object.entries(FILE.commands)) {
    assert.deepEqual(withoutDefaults(COMMANDS[name].toJsonSchema()), schema, name);
  }
});

contract("each case of the file is refused in its words or taken", () => {
  let tried = 0;
  for (const { command, args, sdks, sentence, at, taken } of FILE.cases) {
    if (sdks !== undefined && !sdks.includes("typescript")) continue;
    tried += 1;
    // Absent arguments, and those that are null, are none.
    const given = args === "null" ? "{}" : args;
    if (taken) read(COMMANDS[command], given);
    else assert.deepEqual(refused(COMMANDS[command], given), [sentence, at], args.slice(0, 100));
  }
  assert.ok(tried > 80, `${tried} were tried`);
});

contract("an argument may be as deep as a text is long, and is refused all the same", () => {
  const text = good(`"price":${"[".repeat(50000)}${"]".repeat(50000)}`);
  const sentence = "argument `price`: expected at most 128 levels of lists and objects, found more";
  assert.deepEqual(refused(order, text), [sentence, "price"]);
});

contract("lists and objects may lie 128 levels deep in each argument", () => {
  const text = good(`"extra":${"[".repeat(128)}${"]".repeat(128)}`);
  assert.equal(JSON.stringify(read(order, text).extra), "[".repeat(128) + "]".repeat(128));
});

contract("a member of a payload and a key of the configuration are called what they are", () => {
  const PARTS = {
    member: { way: ["payload"], called: "member", absent: "null" },
    key: { way: [], called: "key", absent: "{}", whole: "an object of keys", before: "[config]: " },
  };
  const TYPES = { null: t.null(), integer: t.integer() };
  const typeOf = ({ type, properties }) =>
    type === "object"
      ? t.object(Object.fromEntries(Object.entries(properties).map(([name, { type }]) => [name, TYPES[type]])))
      : TYPES[type];
  assert.equal(FILE.parts.length, 4);
  for (const { part, type, given, sentence, at } of FILE.parts) {
    const text = part === "member" ? `{"payload":${given}}` : given;
    assert.deepEqual(refused(typeOf(type), text, PARTS[part]), [sentence, at]);
  }
  assert.deepEqual(refused(t.array(t.null()), "{}")[0], "expected a list, found {}");
});

contract("an unknown command is refused with the nearest", () => {
  assert.equal(FILE.unknown_commands.length, 3);
  for (const { name, known, sentence } of FILE.unknown_commands) {
    assert.equal(`unknown command \`${name}\`; ${hint(name, known, "this module has none")}`, sentence);
  }
});

contract("what fits is what the handler gets, with defaults, and without a look at the prototype", () => {
  assert.deepEqual(read(order, good('"size":1.0')), { id: "x", lines: [], paid: false, size: 1 });
  assert.deepEqual(read(order, good('"size":1e3,"price":0.1')), {
    id: "x",
    lines: [],
    paid: false,
    size: 1000,
    price: 0.1,
  });
  assert.equal(
    refused(t.object({ constructor: t.json() }), "{}")[0],
    "missing argument `constructor`; expected any JSON",
  );
  const proto = read(t.record(t.json()), '{"__proto__":1}');
  assert.deepEqual(Object.keys(proto), ["__proto__"]);
  assert.throws(() => t.object({ ["__proto__"]: t.null() }), /__proto__/);
});

contract("numbers are kept by choice as a bigint, as a text, or with the whole value as it was sent", () => {
  const schema = t.object({ n: t.bigint(), d: t.numberText(), r: t.raw() });
  const { n, d, r } = read(schema, '{"n":123456789012345678901234567890,"d":1.000,"r": [ 1.0,{"b":1,"b":2}] }');
  assert.deepEqual([n, d.text, r.text], [123456789012345678901234567890n, "1.000", '[ 1.0,{"b":1,"b":2}]']);
  assert.equal(read(schema, '{"n":1.5e3,"d":0,"r":0}').n, 1500n);
  assert.equal(
    refused(schema, '{"n":1e999999999,"d":0,"r":0}')[0],
    "argument `n`: expected a number that a double holds exactly, found 1e999999999",
  );
  assert.equal(refused(schema, '{"n":1.5,"d":0,"r":0}')[0], "argument `n`: expected an integer, found 1.5");
});

contract("a type says its default and its description in its JSON Schema 2020-12", () => {
  assert.deepEqual(order.toJsonSchema().properties.paid, { type: "boolean", default: false });
  assert.deepEqual(t.integer().describe("how many").toJsonSchema(), { type: "integer", description: "how many" });
});

/** Numbers that come back the same each time, so that a failure can be looked at again. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

contract("values and texts are read alike: what is taken is the same, and nothing else is refused", () => {
  const pick = generator(7);
  const scalars = ["null", "true", "false", '"red"', '""', "0", "7", "-1", "1.0", "1.5", "1e3", "0.1"];
  const names = [
    "id",
    "lines",
    "colour",
    "paid",
    "price",
    "extra",
    "to",
    "size",
    "item",
    "count",
    "street",
    "constructor",
  ];
  const value = (depth) => {
    const kind = depth === 0 ? 0 : pick(4);
    if (kind < 2) return scalars[pick(scalars.length)];
    const parts = Array.from({ length: pick(4) }, () => value(depth - 1));
    if (kind === 2) return `[${parts.join(", ")}]`;
    const chosen = [...new Set(parts.map(() => names[pick(names.length)]))];
    return `{${chosen.map((name, at) => `"${name}" : ${parts[at]}`).join(",")}}`;
  };
  const around = () => `{"id":"x","lines":[{"item":"a","count":${value(0)}}],"${names[2 + pick(6)]}":${value(2)}}`;
  let taken = 0;
  for (let n = 0; n < 20_000; n += 1) {
    const text = n % 2 ? around() : value(3);
    const quick = order.quick(JSON.parse(text));
    let exact = NO;
    try {
      exact = order.exact(parseTree(text));
    } catch (refusal) {
      assert.ok(refusal instanceof Refusal, text);
    }
    assert.deepEqual(quick, exact, text);
    if (exact !== NO) taken += 1;
  }
  assert.ok(taken > 1000, `${taken} were taken`);
});
