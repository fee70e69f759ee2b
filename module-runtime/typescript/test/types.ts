// What the compiler knows of a handler's arguments. It is checked by `npm run types` and never run.

import { type Infer, Module, type NumberText, type Raw, t } from "bulkhead";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<T extends true>(): T | undefined {
  return undefined;
}

const everything = t.object({
  text: t.string(),
  whole: t.integer(),
  big: t.bigint(),
  digits: t.numberText(),
  raw: t.raw(),
  colour: t.oneOf("red", 7, null),
  list: t.array(t.object({ on: t.boolean() })),
  names: t.record(t.number()),
  either: t.union(t.string(), t.object({ n: t.number() })),
  perhaps: t.nullable(t.string()),
  maybe: t.optional(t.string()),
  usual: t.optional(t.integer(), 1).describe("how many"),
});

is<
  Same<
    Infer<typeof everything>,
    {
      text: string;
      whole: number;
      big: bigint;
      digits: NumberText;
      raw: Raw;
      colour: "red" | 7 | null;
      list: { on: boolean }[];
      names: Record<string, number>;
      either: string | { n: number };
      perhaps: string | null;
      usual: number;
      maybe?: string;
    }
  >
>();

const app = new Module("types", "1", { config: t.object({ low: t.optional(t.integer(), 3) }) });
is<Same<typeof app.config, { low: number }>>();

app.command("take", {
  args: t.object({ id: t.string(), count: t.optional(t.integer(), 1) }),
  returns: t.object({ left: t.integer() }),
  async run(ctx, { id, count }) {
    is<Same<typeof id, string>>();
    is<Same<typeof count, number>>();
    const item = await ctx.entity("Item", id, t.object({ left: t.integer() }));
    is<Same<typeof item.data, { left: number }>>();
    const answer = await ctx.call("other", "do", {}, { returns: t.array(t.string()) });
    is<Same<typeof answer, string[]>>();
    // @ts-expect-error: the manifest's configuration has no such key.
    void app.config.high;
    return { left: item.data.left - count };
  },
});

app.command("none", {
  run(_ctx, args) {
    // @ts-expect-error: a command that declares no arguments has none.
    const text: string = args.text;
    return text;
  },
});

app.command("wrong", {
  args: t.object({ id: t.string() }),
  returns: t.object({ left: t.integer() }),
  // @ts-expect-error: that is not what it says that it returns.
  run: (_ctx, { id }) => ({ left: id }),
});

// @ts-expect-error: a default has the type of the member.
t.optional(t.integer(), "one");

app.on("item.taken", {
  data: t.object({ id: t.string() }),
  run(_ctx, { id }, { event, cursor }) {
    is<Same<typeof id, string>>();
    is<Same<typeof event, string>>();
    is<Same<typeof cursor, number | undefined>>();
  },
});
