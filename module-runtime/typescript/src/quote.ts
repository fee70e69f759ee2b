/** Text for people: control characters are written out, so that they steer no terminal. */

const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };

/** The text between double quotes. */
export function quoteText(text: string): string {
  const shown = text.replace(/[\u0000-\u001f"\\\u007f-\u009f\u2028\u2029]/g, (c) => {
    return NAMED[c] ?? `\\u{${c.charCodeAt(0).toString(16)}}`;
  });
  return `"${shown}"`;
}

/** The first characters of a text, as many as `max`, and `…` where there are more. Characters are code points. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = 0;
  for (let count = 0; count < max && end < text.length; count += 1) {
    end += (text.codePointAt(end) as number) > 0xffff ? 2 : 1;
  }
  return end < text.length ? `${text.slice(0, end)}…` : text;
}
