// The sentences in which arguments are refused, which are those of each SDK with types of its own.
import assert from "node:assert/strict";
import { Fault, t } from "../dist/index.js";
import { parseTree } from "../dist/json/tree.js";
import { readPart } from "../dist/schema/read.js";
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
  "a.b\\c": t.optional(t.record(t.number())),
});
const good = (more) => `{"id":"x","lines":[],${more}}`;

const TABLE = [
  ["[1, 2]", "expected an object of arguments, found [1,2]", ""],
  ["{}", "missing argument `id`; expected a text", "id"],
  ['{"id":"x"}', "missing argument `lines`; expected a list", "lines"],
  ['{"id":"x","id":"y","what":1}', "argument `id` stands there twice", "id"],
  ['{"i":1}', "unknown argument `i`; did you mean `id`?", "i"],
  [
    '{"nothing_like":1,"id":1}',
    "unknown argument `nothing_like`; known are `id`, `lines`, `colour`, `paid`, `price`, `extra`, `to`, `size`, `a.b\\c`",
    "nothing_like",
  ],
  ['{"id":1,"lines":[]}', "argument `id`: expected a text, found 1", "id"],
  ['{"id":1.50E0,"lines":[]}', "argument `id`: expected a text, found 1.50E0", "id"],
  [
    '{"id":"x","lines":[{"item":"a","count":"2"}]}',
    'argument `lines.0.count`: expected an integer, found "2"',
    "lines.0.count",
  ],
  [
    '{"id":"x","lines":[{"item":"a","count":2.5}]}',
    "argument `lines.0.count`: expected an integer, found 2.5",
    "lines.0.count",
  ],
  ['{"id":"x","lines":[{"item":"a"}]}', "missing argument `lines.0.count`; expected an integer", "lines.0.count"],
  [
    '{"id":"x","lines":[{"item":"a","count":1,"cuont":1}]}',
    "unknown argument `lines.0.cuont`; did you mean `count`?",
    "lines.0.cuont",
  ],
  [
    '{"id":"x","lines":[{"item":"a","count":1,"item":"b"}]}',
    "argument `lines.0.item` stands there twice",
    "lines.0.item",
  ],
  [
    '{"id":"x","lines":[{"item":"a","count":9007199254740993}]}',
    "argument `lines.0.count`: expected a number that a double holds exactly, found 9007199254740993",
    "lines.0.count",
  ],
  [good('"price":1e400'), "argument `price`: expected a number that a double holds exactly, found 1e400", "price"],
  [
    good('"price":0.30000000000000000001'),
    "argument `price`: expected a number that a double holds exactly, found 0.30000000000000000001",
    "price",
  ],
  [good('"price":null'), "argument `price`: expected a number, found null", "price"],
  [good('"colour":"blue"'), 'argument `colour`: expected "red", "green", 7 or null, found "blue"', "colour"],
  [good('"colour":8'), 'argument `colour`: expected "red", "green", 7 or null, found 8', "colour"],
  [good('"paid":0'), "argument `paid`: expected true or false, found 0", "paid"],
  [good('"to":{}'), "missing argument `to.street`; expected a text", "to.street"],
  [good('"to":1'), "argument `to`: expected an object or null, found 1", "to"],
  [good('"size":[ ]'), "argument `size`: expected a text, an integer or null, found []", "size"],
  [good('"size":1.5'), "argument `size`: expected a text, an integer or null, found 1.5", "size"],
  [
    good('"size":12345678901234567890'),
    "argument `size`: expected a number that a double holds exactly, found 12345678901234567890",
    "size",
  ],
  [good('"a.b\\\\c":{"d":"e"}'), 'argument `a\\.b\\\\c.d`: expected a number, found "e"', "a\\.b\\\\c.d"],
  [good('"extra":{"a":{"b":1,"b":2}}'), "argument `extra.a.b` stands there twice", "extra.a.b"],
  [
    good(`"extra":${"[".repeat(129)}${"]".repeat(129)}`),
    "argument `extra`: expected at most 128 levels of lists and objects, found more",
    "extra",
  ],
  [
    good(`"price":${"[".repeat(50000)}${"]".repeat(50000)}`),
    "argument `price`: expected at most 128 levels of lists and objects, found more",
    "price",
  ],
  [good(`"paid":"${"é".repeat(70)}"`), `argument \`paid\`: expected true or false, found "${"é".repeat(59)}…`, "paid"],
];

contract("what does not fit is refused with the place, what was expected and what was found", () => {
  for (const [text, sentence, at] of TABLE) assert.deepEqual(refused(order, text), [sentence, at], text.slice(0, 100));
});

contract("lists and objects may lie 128 levels deep in each argument", () => {
  const text = good(`"extra":${"[".repeat(128)}${"]".repeat(128)}`);
  assert.equal(JSON.stringify(read(order, text).extra), "[".repeat(128) + "]".repeat(128));
});

contract("a command without arguments takes none, and of many known names the first twenty are named", () => {
  assert.deepEqual(refused(t.object({}), '{"a":1}'), ["unknown argument `a`; expected none", "a"]);
  const many = t.object(Object.fromEntries(Array.from({ length: 23 }, (_, n) => [`name_${n}`, t.optional(t.null())])));
  const known = Array.from({ length: 20 }, (_, n) => `\`name_${n}\``).join(", ");
  assert.deepEqual(
    refused(many, '{"quite_different":1}')[0],
    `unknown argument \`quite_different\`; known are ${known} and 3 more`,
  );
  const words = t.object({ a: t.oneOf(...Array.from({ length: 23 }, (_, n) => n)) });
  const twenty = Array.from({ length: 20 }, (_, n) => n).join(", ");
  assert.deepEqual(refused(words, '{"a":"x"}')[0], `argument \`a\`: expected ${twenty} or 3 others, found "x"`);
});

contract("a member of a payload and a key of the configuration are called what they are", () => {
  const member = { way: ["payload"], called: "member", absent: "null" };
  assert.deepEqual(
    refused(t.object({ a: t.null() }), '{"payload":{"a":1}}', member)[0],
    "member `a`: expected null, found 1",
  );
  const key = { way: [], called: "key", absent: "{}", whole: "an object of keys", before: "[config]: " };
  assert.deepEqual(
    refused(t.object({ low: t.integer() }), '{"lwo":1}', key)[0],
    "[config]: unknown key `lwo`; did you mean `low`?",
  );
  assert.deepEqual(refused(t.object({}), "[]", key)[0], "[config]: expected an object of keys, found []");
  assert.deepEqual(refused(t.array(t.null()), "{}")[0], "expected a list, found {}");
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

contract("types have their JSON Schema 2020-12", () => {
  assert.deepEqual(order.toJsonSchema(), {
    type: "object",
    properties: {
      id: { type: "string" },
      lines: {
        type: "array",
        items: {
          type: "object",
          properties: { item: { type: "string" }, count: { type: "integer" } },
          required: ["item", "count"],
          additionalProperties: false,
        },
      },
      colour: { enum: ["red", "green", 7, null] },
      paid: { type: "boolean", default: false },
      price: { type: "number" },
      extra: {},
      to: {
        anyOf: [
          {
            type: "object",
            properties: { street: { type: "string" } },
            required: ["street"],
            additionalProperties: false,
          },
          { type: "null" },
        ],
      },
      size: { anyOf: [{ type: "string" }, { type: "integer" }, { type: "null" }] },
      "a.b\\c": { type: "object", additionalProperties: { type: "number" } },
    },
    required: ["id", "lines"],
    additionalProperties: false,
  });
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
