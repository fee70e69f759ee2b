/** Any JSON, JSON as it was sent, and alternatives. */
import { isKept } from "../json/number.js";
import { Raw } from "../json/raw.js";
import { sourceOf } from "../json/tree.js";
import { inexact, Refusal, tooDeep, twice, wrong } from "./refusal.js";
import { KINDS, NO, Schema } from "./schema.js";
import { exactInside, put, repeated } from "./structures.js";
/** Any JSON whose numbers a double keeps. */
export class Anything extends Schema {
    words = ["any JSON"];
    kinds = KINDS;
    quick(value) {
        return value;
    }
    exact(node) {
        switch (node.kind) {
            case "text":
            case "boolean":
                return node.value;
            case "null":
                return null;
            case "number":
                if (!isKept(node.source))
                    throw inexact(node);
                return Number(node.source);
            case "list":
                return node.items.map((item, at) => exactInside(this, item, at));
            case "object": {
                const again = repeated(node);
                if (again !== undefined)
                    throw twice(again);
                const members = {};
                for (const { name, value } of node.members)
                    put(members, name, exactInside(this, value, name));
                return members;
            }
            case "deep":
                throw tooDeep();
        }
    }
    keywords() {
        return {};
    }
}
/** JSON as it was sent. */
export class AsSent extends Schema {
    words = ["any JSON"];
    kinds = KINDS;
    needsText = true;
    isRaw = true;
    quick() {
        return NO;
    }
    exact(node) {
        return Raw.trusted(sourceOf(node));
    }
    keywords() {
        return {};
    }
}
/** One of several types. */
export class AnyOf extends Schema {
    words;
    kinds;
    needsText;
    parts;
    constructor(parts) {
        super();
        this.parts = parts;
        this.words = parts.flatMap((part) => part.words);
        this.kinds = [...new Set(parts.flatMap((part) => part.kinds))];
        this.needsText = parts.some((part) => part.needsText);
    }
    quick(value) {
        for (const part of this.parts) {
            const read = part.quick(value);
            if (read !== NO)
                return read;
        }
        return NO;
    }
    exact(node) {
        const refusals = [];
        for (const part of this.parts) {
            if (node.kind !== "deep" && !part.kinds.includes(node.kind))
                continue;
            try {
                return part.exact(node);
            }
            catch (fault) {
                if (!(fault instanceof Refusal))
                    throw fault;
                refusals.push(fault);
            }
        }
        // Of one alternative that it may have been meant as, the fault inside of it says more than all of them.
        const [only] = refusals;
        if (refusals.length === 1 && only !== undefined && (only.way.length > 0 || only.inexact))
            throw only;
        throw wrong(this.words, node);
    }
    keywords() {
        return { anyOf: this.parts.map((part) => part.toJsonSchema()) };
    }
}
