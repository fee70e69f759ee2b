/**
 * How an answer of the data store is read: what each entity holds by the module's type, all around it as it is.
 * An entity may have been written by a later version of its module, so members that the type has not are passed over.
 */
import { memberOf } from "./json/tree.js";
import { Anything } from "./schema/others.js";
import { Refusal, wrong } from "./schema/refusal.js";
import { NO, Schema } from "./schema/schema.js";
import { exactInside, Known } from "./schema/structures.js";
const ANYTHING = new Anything();
export class PageOf extends Schema {
    words = ["an object with entities"];
    kinds = ["object"];
    needsText;
    data;
    constructor(data) {
        super();
        this.data = data instanceof Known ? data.ignoringOthers() : data;
        this.needsText = data.needsText;
    }
    quick(value) {
        const { entities } = value;
        if (!Array.isArray(entities))
            return NO;
        if (this.data instanceof Anything)
            return value;
        const read = [];
        for (const entity of entities) {
            const data = this.data.quick(entity.data);
            if (data === NO)
                return NO;
            read.push({ ...entity, data });
        }
        return { ...value, entities: read };
    }
    exact(node) {
        const entities = memberOf(node, "entities");
        if (node.kind !== "object" || entities?.kind !== "list")
            throw wrong(this.words, node);
        const page = {};
        for (const { name, value } of node.members) {
            page[name] =
                name === "entities" ? exactInside(new Entities(this.data), value, name) : exactInside(ANYTHING, value, name);
        }
        return page;
    }
    keywords() {
        return { type: "object", properties: { entities: new Entities(this.data).toJsonSchema() } };
    }
}
/** The list of a page. */
class Entities extends Schema {
    words = ["a list"];
    kinds = ["list"];
    data;
    constructor(data) {
        super();
        this.data = data;
    }
    quick() {
        return NO;
    }
    exact(node) {
        if (node.kind !== "list")
            throw wrong(this.words, node);
        return node.items.map((item, at) => {
            if (item.kind !== "object")
                throw wrong(["an object"], item).inside(at);
            const entity = {};
            for (const { name, value } of item.members) {
                const read = name === "data" ? this.data : ANYTHING;
                try {
                    entity[name] = exactInside(read, value, name);
                }
                catch (refusal) {
                    throw refusal instanceof Refusal ? refusal.inside(at) : refusal;
                }
            }
            return entity;
        });
    }
    keywords() {
        return { type: "array", items: { type: "object", properties: { data: this.data.toJsonSchema() } } };
    }
}
