/** Names that may have been meant by one that there is not. */

import { COMPARED_CHARACTERS_MAX, NAMES_MAX, QUOTE_CHARACTERS_MAX } from "./limits.ts";
import { cut } from "./quote.ts";

/** The end of a sentence about an unknown name. */
export function hint(name: string, known: readonly string[], none: string): string {
  if (known.length === 0) return none;
  const near = nearest(name, known);
  if (near !== undefined) return `did you mean \`${cut(near, QUOTE_CHARACTERS_MAX)}\`?`;
  const named = known.slice(0, NAMES_MAX).map((other) => `\`${cut(other, QUOTE_CHARACTERS_MAX)}\``);
  const more = known.length - NAMES_MAX;
  return `known are ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** The known name that is near enough to be what was meant, and nearest. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const characters = [...name];
  let far = Math.floor(characters.length / 3) + 1;
  let best: string | undefined;
  for (const other of known) {
    const edits = distance(characters, [...other]);
    if (edits <= far) [best, far] = [other, edits - 1];
  }
  return best;
}

/** How many characters have to be added, removed or replaced. */
function distance(left: string[], right: string[]): number {
  const a = left.slice(0, COMPARED_CHARACTERS_MAX);
  const b = right.slice(0, COMPARED_CHARACTERS_MAX);
  const row = Array.from({ length: b.length + 1 }, (_, at) => at);
  a.forEach((x, i) => {
    let diagonal = row[0] as number;
    row[0] = i + 1;
    b.forEach((y, j) => {
      const replaced = diagonal + (x === y ? 0 : 1);
      diagonal = row[j + 1] as number;
      row[j + 1] = Math.min(replaced, (row[j] as number) + 1, diagonal + 1);
    });
  });
  return row[b.length] as number;
}
