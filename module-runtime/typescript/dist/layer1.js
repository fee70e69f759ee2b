/**
 * Layer 1, the host's data store, as a module uses it: entities with what they hold as the module's own types.
 * Nothing is checked here that the host checks: it is the one place that knows the grammar.
 */
import { Fault } from "./fault.js";
import { PageOf } from "./pages.js";
import { t } from "./schema/t.js";
const DATA = t.json();
/** The part of a context that is for entities. */
export class EntityContext {
    /**
     * The entity of this type with this id. With a type for what it holds, that is checked.
     *
     * @throws Fault `not_found` where there is none, and what the host answers.
     */
    async entity(entity, id, data = DATA) {
        const page = await this.query({ entity, id }, { returns: new PageOf(data) });
        const [found] = page.entities;
        if (found === undefined)
            throw new Fault(`there is no ${entity} ${id}`, { code: "not_found" });
        return found;
    }
    /** The entity of this type with this id, or `undefined` where there is none. */
    async entityIfAny(entity, id, data = DATA) {
        try {
            return await this.entity(entity, id, data);
        }
        catch (fault) {
            if (fault instanceof Fault && fault.code === "not_found")
                return undefined;
            throw fault;
        }
    }
    /** One page of the entities of this type that the query asks for. */
    async find(entity, query = {}, data = DATA) {
        return await this.query({ entity, ...query }, { returns: new PageOf(data) });
    }
    /** All of them, page by page: the memory holds one page at a time. */
    async *entities(entity, query = {}, data = DATA) {
        let after = query.after ?? null;
        do {
            const page = await this.find(entity, after === null ? query : { ...query, after }, data);
            yield* page.entities;
            after = page.next;
        } while (after !== null);
    }
    /** Creates an entity, with an id of the module's own if one is given. */
    async create(entity, data, options = {}) {
        return await this.mutate({ entity, operation: "create", id: options.id, data });
    }
    /**
     * Changes what an entity holds by a merge patch (RFC 7396): members replace or add, `null` removes.
     *
     * @throws Fault `conflict` where `expectedVersion` is given and the entity has another one.
     */
    async update(entity, id, patch, options = {}) {
        return await this.mutate({
            entity,
            operation: "update",
            id,
            data: patch,
            expected_version: options.expectedVersion,
        });
    }
    /** Deletes an entity. */
    async delete(entity, id, options = {}) {
        return await this.mutate({ entity, operation: "delete", id, expected_version: options.expectedVersion });
    }
    /** Makes 1 to 1000 changes, one after the other, all or none. */
    async change(operations) {
        const answer = await this.mutate({ operations });
        return answer.results;
    }
}
