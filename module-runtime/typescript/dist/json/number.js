/** Whether the text of a number is the same number once it is a double. */
const FORM = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Every decimal of so many digits, without an exponent, comes back from a double with the same digits. */
const DIGITS_SAFE = 15;
/** Whether the text has the form of a number of JSON. */
export function isNumberText(text) {
    return FORM.test(text) && !/^-?0\d/.test(text);
}
/** Whether a double keeps the number: the shortest text of the double is the same decimal as this one. */
export function isKept(text) {
    if (text.length <= DIGITS_SAFE && !/[eE]/.test(text))
        return true;
    const value = Number(text);
    if (!Number.isFinite(value))
        return false;
    const shortest = String(value);
    return shortest === text || decimal(shortest) === decimal(text);
}
/** Whether the text is a whole number, as `1.0` and `1e3` are. */
export function isWhole(text) {
    return decimalParts(text).exponent >= 0;
}
/** The whole number of a text. Only of one that `isWhole`, and whose exponent is bounded by the caller. */
export function toBigInt(text) {
    const { negative, digits, exponent } = decimalParts(text);
    const value = BigInt(digits || "0") * 10n ** BigInt(digits === "" ? 0 : exponent);
    return negative ? -value : value;
}
/** How many digits a whole number has when it is written without an exponent. */
export function wholeDigits(text) {
    const { digits, exponent } = decimalParts(text);
    return digits.length + (digits === "" ? 0 : exponent);
}
function decimal(text) {
    const { negative, digits, exponent } = decimalParts(text);
    return digits === "" ? "0" : `${negative ? "-" : ""}${digits}e${exponent}`;
}
/** Digits without zeros at either end, and the power of ten that they are multiplied with. */
function decimalParts(text) {
    const match = FORM.exec(text);
    if (match === null)
        throw new TypeError(`expected a number as JSON has it, found ${text}`);
    const [, sign, whole = "", fraction = "", power = "0"] = match;
    const all = whole + fraction;
    let end = all.length;
    while (end > 0 && all.charCodeAt(end - 1) === 48)
        end -= 1;
    let begin = 0;
    while (begin < end && all.charCodeAt(begin) === 48)
        begin += 1;
    const digits = all.slice(begin, end);
    const exponent = digits === "" ? 0 : Number(power) - fraction.length + (all.length - end);
    return { negative: sign === "-", digits, exponent };
}
