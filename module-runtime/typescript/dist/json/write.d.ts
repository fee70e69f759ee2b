/**
 * The text of a value that is sent. `Raw`, `NumberText` and `bigint` keep their digits; a number that JSON does
 * not have is refused and does not become `null`.
 */
/**
 * The text of a value; `undefined` is `null`.
 *
 * @throws TypeError for what JSON does not have, with the place of it.
 */
export declare function write(value: unknown): string;
