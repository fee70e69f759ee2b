/** Texts, numbers, booleans, null, and values out of a list. */
import { isKept, isWhole, toBigInt, wholeDigits } from "../json/number.js";
import { NumberText } from "../json/raw.js";
import { BIGINT_DIGITS_MAX } from "../limits.js";
import { inexact, wrong } from "./refusal.js";
import { NO, Schema } from "./schema.js";
export class Text extends Schema {
    words = ["a text"];
    kinds = ["text"];
    quick(value) {
        return typeof value === "string" ? value : NO;
    }
    exact(node) {
        if (node.kind !== "text")
            throw wrong(this.words, node);
        return node.value;
    }
    keywords() {
        return { type: "string" };
    }
}
/** A whole number that a double keeps. */
export class Integer extends Schema {
    words = ["an integer"];
    kinds = ["number"];
    quick(value) {
        return Number.isInteger(value) ? value : NO;
    }
    exact(node) {
        if (node.kind !== "number" || !isWhole(node.source))
            throw wrong(this.words, node);
        if (!isKept(node.source))
            throw inexact(node);
        return Number(node.source);
    }
    keywords() {
        return { type: "integer" };
    }
}
/** A number that a double keeps. */
export class Double extends Schema {
    words = ["a number"];
    kinds = ["number"];
    quick(value) {
        return typeof value === "number" ? value : NO;
    }
    exact(node) {
        if (node.kind !== "number")
            throw wrong(this.words, node);
        if (!isKept(node.source))
            throw inexact(node);
        return Number(node.source);
    }
    keywords() {
        return { type: "number" };
    }
}
/** A whole number of any size, up to `BIGINT_DIGITS_MAX` digits. */
export class Big extends Schema {
    words = ["an integer"];
    kinds = ["number"];
    needsText = true;
    quick() {
        return NO;
    }
    exact(node) {
        if (node.kind !== "number" || !isWhole(node.source))
            throw wrong(this.words, node);
        if (wholeDigits(node.source) > BIGINT_DIGITS_MAX)
            throw inexact(node);
        return toBigInt(node.source);
    }
    keywords() {
        return { type: "integer" };
    }
}
/** Any number, with the digits that were sent. */
export class Digits extends Schema {
    words = ["a number"];
    kinds = ["number"];
    needsText = true;
    quick() {
        return NO;
    }
    exact(node) {
        if (node.kind !== "number")
            throw wrong(this.words, node);
        return new NumberText(node.source);
    }
    keywords() {
        return { type: "number" };
    }
}
export class Truth extends Schema {
    words = ["true or false"];
    kinds = ["boolean"];
    quick(value) {
        return typeof value === "boolean" ? value : NO;
    }
    exact(node) {
        if (node.kind !== "boolean")
            throw wrong(this.words, node);
        return node.value;
    }
    keywords() {
        return { type: "boolean" };
    }
}
export class Null extends Schema {
    words = ["null"];
    kinds = ["null"];
    quick(value) {
        return value === null ? null : NO;
    }
    exact(node) {
        if (node.kind !== "null")
            throw wrong(this.words, node);
        return null;
    }
    keywords() {
        return { type: "null" };
    }
}
/** One of some values. */
export class OneOf extends Schema {
    words;
    kinds;
    values;
    /** @throws TypeError for none, and for a number that is not whole and safe. */
    constructor(values) {
        super();
        if (values.length === 0)
            throw new TypeError("expected at least one value in t.oneOf, found none");
        for (const value of values) {
            if (typeof value === "number" && !Number.isSafeInteger(value)) {
                throw new TypeError(`expected texts, safe integers, true, false or null in t.oneOf, found ${value}`);
            }
        }
        this.values = values;
        this.words = values.map((value) => JSON.stringify(value));
        this.kinds = [...new Set(values.map(kindOf))];
    }
    quick(value) {
        return this.values.includes(value) ? value : NO;
    }
    exact(node) {
        const value = constantOf(node);
        const fits = value !== undefined && this.values.includes(value);
        if (!fits)
            throw wrong(this.words, node);
        return value;
    }
    keywords() {
        return { enum: [...this.values] };
    }
}
function kindOf(value) {
    if (value === null)
        return "null";
    if (typeof value === "string")
        return "text";
    return typeof value === "number" ? "number" : "boolean";
}
function constantOf(node) {
    switch (node.kind) {
        case "text":
        case "boolean":
            return node.value;
        case "null":
            return null;
        case "number":
            return isKept(node.source) ? Number(node.source) : undefined;
        default:
            return undefined;
    }
}
