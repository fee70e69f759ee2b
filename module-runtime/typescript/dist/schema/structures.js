/** Lists, and objects with known or with any names. */
import { missing, Refusal, twice, unknown, wrong } from "./refusal.js";
import { NO, Schema } from "./schema.js";
/** Reads a part, and says where it is if it is refused. */
export function exactInside(schema, node, place) {
    try {
        return schema.exact(node);
    }
    catch (fault) {
        throw fault instanceof Refusal ? fault.inside(place) : fault;
    }
}
/** The first member that stands there twice. */
export function repeated(node) {
    const names = new Set();
    for (const { name } of node.members) {
        if (names.has(name))
            return name;
        names.add(name);
    }
    return undefined;
}
/** Sets a member, also one whose name means something to JavaScript. */
export function put(object, name, value) {
    if (name === "__proto__") {
        Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
    }
    else {
        object[name] = value;
    }
}
export class List extends Schema {
    words = ["a list"];
    kinds = ["list"];
    needsText;
    items;
    constructor(items) {
        super();
        this.items = items;
        this.needsText = items.needsText;
    }
    quick(value) {
        if (!Array.isArray(value))
            return NO;
        const items = new Array(value.length);
        for (let at = 0; at < value.length; at += 1) {
            const item = this.items.quick(value[at]);
            if (item === NO)
                return NO;
            items[at] = item;
        }
        return items;
    }
    exact(node) {
        if (node.kind !== "list")
            throw wrong(this.words, node);
        return node.items.map((item, at) => exactInside(this.items, item, at));
    }
    keywords() {
        return { type: "array", items: this.items.toJsonSchema() };
    }
}
/** An object with any names. */
export class Dictionary extends Schema {
    words = ["an object"];
    kinds = ["object"];
    needsText;
    members;
    constructor(members) {
        super();
        this.members = members;
        this.needsText = members.needsText;
    }
    quick(value) {
        if (typeof value !== "object" || value === null || Array.isArray(value))
            return NO;
        const members = {};
        for (const name in value) {
            const member = this.members.quick(value[name]);
            if (member === NO)
                return NO;
            put(members, name, member);
        }
        return members;
    }
    exact(node) {
        if (node.kind !== "object")
            throw wrong(this.words, node);
        const again = repeated(node);
        if (again !== undefined)
            throw twice(again);
        const members = {};
        for (const { name, value } of node.members)
            put(members, name, exactInside(this.members, value, name));
        return members;
    }
    keywords() {
        return { type: "object", additionalProperties: this.members.toJsonSchema() };
    }
}
/** A member that may be left out; `P` says whether the handler then finds a default. */
export class Optional {
    schema;
    /** What the handler gets where the member is left out. */
    fallback;
    constructor(schema, fallback) {
        this.schema = schema;
        this.fallback = fallback;
    }
    /** The same with a word for people. */
    describe(description) {
        return new Optional(this.schema.describe(description), this.fallback);
    }
}
/** An object with known names. */
export class Known extends Schema {
    words = ["an object"];
    kinds = ["object"];
    needsText;
    entries;
    names;
    /** Whether members with other names are passed over. */
    ignoresOthers = false;
    /** @throws TypeError for a member named `__proto__`. */
    constructor(members) {
        super();
        if (Object.hasOwn(members, "__proto__"))
            throw new TypeError("no member of t.object can be named __proto__");
        this.entries = Object.entries(members).map(([name, member]) => {
            const isRequired = member instanceof Schema;
            const schema = isRequired ? member : member.schema;
            const fallback = isRequired ? undefined : member.fallback;
            return { name, schema, isRequired, fallback, isInherited: name in Object.prototype };
        });
        this.names = Object.keys(members);
        this.needsText = this.entries.some(({ schema }) => schema.needsText);
    }
    /** The same type, where members with other names are passed over and left out. */
    ignoringOthers() {
        const open = Object.create(Object.getPrototypeOf(this));
        return Object.assign(open, this, { ignoresOthers: true });
    }
    quick(value) {
        if (typeof value !== "object" || value === null || Array.isArray(value))
            return NO;
        const given = value;
        const members = {};
        let known = 0;
        for (const entry of this.entries) {
            const { name } = entry;
            const member = entry.isInherited && !Object.hasOwn(given, name) ? undefined : given[name];
            if (member === undefined) {
                if (entry.isRequired)
                    return NO;
                if (entry.fallback !== undefined)
                    members[name] = copyOf(entry.fallback);
                continue;
            }
            known += 1;
            const read = entry.schema.quick(member);
            if (read === NO)
                return NO;
            members[name] = read;
        }
        if (this.ignoresOthers)
            return members;
        for (const _ in given)
            known -= 1;
        return known === 0 ? members : NO;
    }
    exact(node) {
        return this.exactWith(node, exactInside);
    }
    /** As `exact`, with another way to read the members. */
    exactWith(node, read) {
        if (node.kind !== "object")
            throw wrong(this.words, node);
        const again = repeated(node);
        if (again !== undefined)
            throw twice(again);
        const given = new Map(node.members.map(({ name, value }) => [name, value]));
        for (const name of given.keys()) {
            if (!this.ignoresOthers && !this.names.includes(name))
                throw unknown(name, this.names);
        }
        for (const { name, schema, isRequired } of this.entries) {
            if (isRequired && !given.has(name))
                throw missing(name, schema.words);
        }
        const members = {};
        for (const { name, schema, fallback } of this.entries) {
            const member = given.get(name);
            if (member !== undefined)
                members[name] = read(schema, member, name);
            else if (fallback !== undefined)
                members[name] = copyOf(fallback);
        }
        return members;
    }
    keywords() {
        const properties = this.entries.map(({ name, schema, fallback }) => {
            const form = schema.toJsonSchema();
            return [name, fallback === undefined ? form : { ...form, default: fallback }];
        });
        const required = this.entries.filter(({ isRequired }) => isRequired).map(({ name }) => name);
        return {
            type: "object",
            properties: Object.fromEntries(properties),
            required,
            additionalProperties: this.ignoresOthers,
        };
    }
}
/** A default that a handler may change without changing the next one's. */
function copyOf(fallback) {
    return typeof fallback === "object" && fallback !== null ? structuredClone(fallback) : fallback;
}
