/**
 * Reads what came as a type says: from the values where nothing is lost by it, else from the text, which also
 * says why something is refused.
 */
import { Fault } from "../fault.js";
import { look, membersOf } from "../json/scan.js";
import { memberOf, parseTree } from "../json/tree.js";
import { LEVELS_MAX } from "../limits.js";
import { Refusal, tooDeep } from "./refusal.js";
import { NO } from "./schema.js";
import { exactInside, Known } from "./structures.js";
/**
 * What a handler gets of a part of a message.
 *
 * @throws Fault `bad_request` with a sentence and the place, for one that does not fit.
 */
export function readPart(schema, message, value, part) {
    if (!schema.needsText && isWhole(message)) {
        const read = schema.quick(value);
        if (read !== NO)
            return read;
    }
    let node = parseTree(message.text);
    for (const name of part.way)
        node = memberOf(node, name);
    if (node === undefined || node.kind === "null")
        node = node !== undefined && part.absent === "null" ? node : parseTree(part.absent);
    try {
        return readRoot(schema, node);
    }
    catch (fault) {
        if (!(fault instanceof Refusal))
            throw fault;
        const isObject = schema instanceof Known;
        const sentence = (part.before ?? "") + fault.sentence(part.called, isObject ? part.whole : undefined);
        throw new Fault(sentence, { code: "bad_request", data: { at: fault.path.slice(0, PATH_UNITS_MAX) } });
    }
}
/** Of the place in the data of a refusal. */
const PATH_UNITS_MAX = 1024;
/** Whether the value of a message has all that its text has. */
export function isWhole(message) {
    const { members, levels, kept } = look(message.text);
    return kept && levels <= LEVELS_MAX && members === membersOf(message.value);
}
/** Reads all that was given. How deep it is counts for each member alone. */
function readRoot(schema, node) {
    if (schema instanceof Known)
        return schema.exactWith(node, readShallow);
    if (!schema.isRaw && node.levels > LEVELS_MAX)
        throw tooDeep();
    return schema.exact(node);
}
function readShallow(schema, node, place) {
    if (!schema.isRaw && node.levels > LEVELS_MAX)
        throw tooDeep().inside(place);
    return exactInside(schema, node, place);
}
