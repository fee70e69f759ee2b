/** What a module says of itself in its answer to `init`. */
import { Fault } from "./fault.js";
import { write } from "./json/write.js";
import { PROTOCOL_VERSION, QUOTE_CHARACTERS_MAX, SCHEMA_BYTES_MAX, SCHEMAS_BYTES_MAX } from "./limits.js";
import { cut } from "./quote.js";
import { readPart } from "./schema/read.js";
/**
 * The data of the answer, as JSON.
 *
 * @throws Fault permanent, for a description that is too long and for an example that its command would refuse.
 */
export function describe(module) {
    const { declared } = module;
    const commands = [...declared.commands.values()];
    const total = { bytes: 0 };
    const features = [];
    if (isConcurrent(module))
        features.push("concurrent");
    if (declared.keys)
        features.push("keys");
    return write({
        name: module.name,
        version: module.version,
        protocol: PROTOCOL_VERSION,
        commands: commands.map((command) => entryOf(command, total)),
        features,
    });
}
/** Whether any handler may run beside another. */
export function isConcurrent({ declared }) {
    const commands = [...declared.commands.values()];
    return [...commands, declared.query, declared.mutation].some((handler) => handler?.concurrent === true);
}
function entryOf(command, total) {
    const { name, idempotent, readOnly, description, args, returns, examples } = command;
    for (const example of examples ?? [])
        checkExample(command, example);
    const entry = { name, idempotent };
    if (readOnly)
        entry.read_only = true;
    if (description !== "")
        entry.description = description;
    entry.args = args.toJsonSchema();
    if (returns !== undefined)
        entry.returns = returns.toJsonSchema();
    if (examples !== undefined)
        entry.examples = examples;
    for (const part of ["args", "returns", "examples"]) {
        if (part in entry)
            total.bytes += bounded(name, part, entry[part]);
    }
    if (total.bytes > SCHEMAS_BYTES_MAX) {
        throw inVain(`args, returns and examples of all commands: expected at most ${SCHEMAS_BYTES_MAX} bytes, found more`);
    }
    return entry;
}
function bounded(command, part, value) {
    const bytes = Buffer.byteLength(write(value));
    if (bytes <= SCHEMA_BYTES_MAX)
        return bytes;
    throw inVain(`${part} of the command ${JSON.stringify(command)}: expected at most ${SCHEMA_BYTES_MAX} bytes, found ${bytes}`);
}
const MEMBERS = ["args", "returns", "description"];
function checkExample({ name, args }, example) {
    const isObject = typeof example === "object" && example !== null && "args" in example;
    if (!isObject || Object.keys(example).some((member) => !MEMBERS.includes(member))) {
        const found = cut(write(example), QUOTE_CHARACTERS_MAX);
        throw inVain(`an example of the command ${JSON.stringify(name)}: expected args, and returns and description if wanted, found ${found}`);
    }
    const text = write(example.args);
    try {
        const value = JSON.parse(text);
        readPart(args, { text, value }, value, {
            way: [],
            called: "argument",
            absent: "{}",
            whole: "an object of arguments",
        });
    }
    catch (fault) {
        if (!(fault instanceof Fault))
            throw fault;
        throw inVain(`an example of the command ${JSON.stringify(name)} does not fit its arguments: ${fault.message}`);
    }
}
/** The module is written like that, so another start changes nothing. */
function inVain(sentence) {
    return new Fault(sentence, { permanent: true });
}
