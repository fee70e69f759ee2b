/** The first message of the host: what a module gets before it starts. */
import { Fault } from "./fault.js";
import { FRAME_BYTES_MAX_HIGHEST, PROTOCOL_VERSION } from "./limits.js";
import { readPart } from "./schema/read.js";
/**
 * Reads the first message.
 *
 * @throws Fault for another message, another version of the wire, or a configuration that does not fit.
 */
export function readInit(message, config) {
    const request = message.value;
    if (request.type !== "init") {
        throw new Fault(`expected "init" first, found ${JSON.stringify(request.type)}`, { code: "bad_request" });
    }
    const payload = objectOf(request.payload, "the payload of init");
    // The version first: of another one, everything else may look different.
    if (payload.protocol !== PROTOCOL_VERSION) {
        const sentence = `this module speaks version ${PROTOCOL_VERSION} of the wire, the host speaks ${JSON.stringify(payload.protocol)}`;
        throw new Fault(sentence, { code: "bad_request", permanent: true });
    }
    const limits = objectOf(payload.limits, "the limits of init");
    return {
        module: String(payload.module),
        instance: String(payload.instance),
        dataDir: String(payload.data_dir),
        limits: {
            frameBytesMax: countOf(limits.frame_bytes_max, "limits.frame_bytes_max", FRAME_BYTES_MAX_HIGHEST),
            window: countOf(limits.window, "limits.window", Number.MAX_SAFE_INTEGER),
            requestsMax: countOf(limits.requests_max, "limits.requests_max", Number.MAX_SAFE_INTEGER),
        },
        capabilities: {
            event_subscribe: [],
            event_emit: [],
            call: [],
            ...payload.capabilities,
        },
        onPanic: payload.on_panic === "continue" ? "continue" : "restart",
        config: readConfig(message, payload.config, config),
    };
}
/** The manifest stays as it is until a person changes it, so a fault in it is permanent. */
function readConfig(message, value, schema) {
    try {
        return readPart(schema, message, value ?? {}, {
            way: ["payload", "config"],
            called: "key",
            absent: "{}",
            whole: "an object of keys",
            before: "[config]: ",
        });
    }
    catch (fault) {
        if (!(fault instanceof Fault))
            throw fault;
        throw new Fault(fault.message, { code: "bad_request", data: fault.data, permanent: true });
    }
}
function objectOf(value, what) {
    if (typeof value === "object" && value !== null && !Array.isArray(value))
        return value;
    throw new Fault(`expected an object as ${what}, found ${JSON.stringify(value)}`, { code: "bad_request" });
}
function countOf(value, what, max) {
    if (Number.isSafeInteger(value) && value > 0 && value <= max)
        return value;
    throw new Fault(`expected a number of 1 to ${max} as ${what} of init, found ${JSON.stringify(value)}`, {
        code: "bad_request",
    });
}
