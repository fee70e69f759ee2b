/** What a value may be: the one interface of all types that `t` makes. How single types read is not known here. */
export const KINDS = ["text", "number", "boolean", "null", "list", "object"];
/** What `Schema.quick` returns for a value that does not fit. */
export const NO = Symbol("it does not fit");
/** A type of values; `T` is what a handler gets. */
export class Schema {
    /** Whether it is read from the text only, since a value of JavaScript is not enough. */
    needsText = false;
    /** Whether it takes any text as it is, however deep. */
    isRaw = false;
    /** What it is, for people. */
    description = undefined;
    /** The JSON Schema 2020-12 of what it takes. */
    toJsonSchema() {
        const keywords = this.keywords();
        return this.description === undefined ? keywords : { ...keywords, description: this.description };
    }
    /** The same type with a word for people, which is the `description` of its JSON Schema. */
    describe(description) {
        const described = Object.create(Object.getPrototypeOf(this));
        return Object.assign(described, this, { description });
    }
}
