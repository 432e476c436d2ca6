/** The lines in a stream of bytes. */
import { LINE_BYTES } from "../../mail-formats/fragments.ts";

export const LF = 0x0a;

/** Stands for a line that is too long. */
export const TOO_LONG = Buffer.alloc(0);

/**
 * The complete lines in `bytes`, without their newlines, as parts of `bytes`; {@link TOO_LONG} for
 * a line that is too long.
 *
 * @param inLine whether the bytes begin within a line that is too long
 */
export function splitLines(bytes: Buffer, inLine = false): readonly Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; ;) {
    const end = bytes.indexOf(LF, start);
    if (end < 0) return lines;
    const isLine = end - start <= LINE_BYTES && !(inLine && start === 0);
    lines.push(isLine ? bytes.subarray(start, end) : TOO_LONG);
    start = end + 1;
  }
}

/** The lines of a stream, several at a time. A last line may lack its newline. */
export async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<readonly Buffer[]> {
  let rest = Buffer.alloc(0);
  let inLine = false;
  for await (const chunk of stream) {
    const bytes = Buffer.concat([rest, chunk]);
    const end = bytes.lastIndexOf(LF) + 1;
    if (end > 0) {
      yield splitLines(bytes.subarray(0, end), inLine);
      inLine = false;
    }
    rest = bytes.subarray(end);
    if (rest.length > LINE_BYTES) {
      rest = Buffer.alloc(0);
      inLine = true;
    }
  }
  if (rest.length > 0 && !inLine) yield [rest];
}
