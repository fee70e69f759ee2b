/** JSON text without white space between its parts, for people to read the beginning of. */

import { cut } from "../quote.ts";
import { QUOTE_CHARACTERS_MAX } from "../limits.ts";
import { endOfString } from "./scan.ts";
import { sourceOf, type Node } from "./tree.ts";

/** What was found, cut: numbers with the digits that were sent, texts with the escapes that JSON requires. */
export function found(node: Node): string {
  return cut(beginning(sourceOf(node), 2 * (QUOTE_CHARACTERS_MAX + 1)), QUOTE_CHARACTERS_MAX);
}

/** At least the first `units` of the compact text. */
function beginning(text: string, units: number): string {
  let shown = "";
  for (let at = 0; at < text.length && shown.length < units; at += 1) {
    const c = text[at] as string;
    if (c === '"') {
      const end = endOfString(text, at);
      shown += JSON.stringify(JSON.parse(text.slice(at, end + 1)));
      at = end;
    } else if (c !== " " && c !== "\n" && c !== "\r" && c !== "\t") {
      shown += c;
    }
  }
  return shown;
}
