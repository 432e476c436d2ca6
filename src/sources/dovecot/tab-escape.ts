/**
 * Dovecot's tab-escaping (dovecot/core, src/lib/strescape.c): fields of arbitrary bytes in a
 * tab-separated line.
 */

const ESCAPE = 1;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;

/** The byte for each character after \001. */
const ESCAPED: Readonly<Record<string, number>> = { 0: 0, 1: ESCAPE, t: TAB, r: CR, n: LF };

/** The bytes of an escaped field. */
export function tabUnescape(field: Buffer): Buffer {
  if (!field.includes(ESCAPE)) return field;
  const bytes: number[] = [];
  for (let at = 0; at < field.length; at++) {
    const byte = field.readUInt8(at);
    if (byte !== ESCAPE || at + 1 === field.length) bytes.push(byte);
    else {
      at++;
      bytes.push(ESCAPED[String.fromCharCode(field.readUInt8(at))] ?? field.readUInt8(at));
    }
  }
  return Buffer.from(bytes);
}

/** `text` as an escaped field. It must not contain a NUL. */
export function tabEscape(text: string): string {
  return text
    .replaceAll("\u0001", "\u00011")
    .replaceAll("\t", "\u0001t")
    .replaceAll("\r", "\u0001r")
    .replaceAll("\n", "\u0001n");
}

/** The fields of a line, unescaped. */
export function tabSplit(line: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  for (let start = 0; ;) {
    const end = line.indexOf(TAB, start);
    fields.push(tabUnescape(line.subarray(start, end < 0 ? undefined : end)));
    if (end < 0) return fields;
    start = end + 1;
  }
}
