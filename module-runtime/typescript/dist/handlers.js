/**
 * Which function of a module a request is for, and how its arguments are read. When it is called is not decided
 * here.
 */
import { matches } from "./events.js";
import { Fault } from "./fault.js";
import { QUOTE_CHARACTERS_MAX } from "./limits.js";
import { hint } from "./nearest.js";
import { cut } from "./quote.js";
import { readPart } from "./schema/read.js";
/** Whether the request may be handled beside others. */
export function mayRunBeside(declared, task) {
    switch (task.kind) {
        case "command":
            return declared.commands.get(task.payload?.name ?? "")?.concurrent ?? false;
        case "query":
            return declared.query?.concurrent ?? false;
        case "mutation":
            return declared.mutation?.concurrent ?? false;
        default:
            return false;
    }
}
/**
 * Calls the handler of a request; what it returns is the data of the answer, or a promise of it.
 *
 * @throws Fault where there is no handler, or what came does not fit it; and what the handler throws.
 */
export function handle(declared, task, context) {
    switch (task.kind) {
        case "command":
            return callCommand(declared, task, context);
        case "query":
            return callData(declared.query, "this module answers no queries", task, context);
        case "mutation":
            return callData(declared.mutation, "this module makes no mutations", task, context);
        case "event":
            return callEvent(declared, task, context);
        case "shutdown":
            return declared.shutdown?.(context);
        case "init":
            throw new Fault("the module is initialised already", { code: "bad_request" });
        default:
            throw new Fault(`this module does not know requests of type ${JSON.stringify(task.kind)}`, {
                code: "unknown_type",
            });
    }
}
function callCommand(declared, task, context) {
    const { name, args } = membersOf(task, "command");
    if (typeof name !== "string")
        throw form("command", "expected a text as its name");
    const command = declared.commands.get(name);
    if (command === undefined) {
        const known = hint(name, [...declared.commands.keys()], "this module has none");
        throw new Fault(`unknown command \`${cut(name, QUOTE_CHARACTERS_MAX)}\`; ${known}`, { code: "unknown_command" });
    }
    const read = readPart(command.args, task.message, args ?? {}, ARGUMENTS);
    return command.run(context, read);
}
const ARGUMENTS = {
    way: ["payload", "args"],
    called: "argument",
    absent: "{}",
    whole: "an object of arguments",
};
const PAYLOAD = { way: ["payload"], called: "member", absent: "null" };
const DATA = { way: ["payload", "data"], called: "member", absent: "null" };
function callData(handler, none, task, context) {
    if (handler === undefined)
        throw new Fault(none, { code: "unknown_type" });
    return handler.run(context, readPart(handler.payload, task.message, task.payload ?? null, PAYLOAD));
}
function callEvent(declared, task, context) {
    const { event, data, cursor, epoch } = membersOf(task, "event");
    if (typeof event !== "string")
        throw form("event", "expected a text as its event");
    const handler = declared.events.find(({ pattern }) => matches(pattern, event));
    if (handler === undefined)
        return null;
    const read = readPart(handler.data, task.message, data ?? null, DATA);
    const done = handler.run(context, read, {
        event,
        cursor: typeof cursor === "number" ? cursor : undefined,
        epoch: typeof epoch === "string" ? epoch : undefined,
    });
    return done instanceof Promise ? done.then(() => null) : null;
}
function membersOf(task, kind) {
    const { payload } = task;
    if (typeof payload === "object" && payload !== null && !Array.isArray(payload))
        return payload;
    throw form(kind, "expected an object");
}
function form(kind, reason) {
    return new Fault(`the payload of this ${kind} has another form: ${reason}`, { code: "bad_request" });
}
