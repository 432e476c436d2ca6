import assert from "node:assert/strict";
import { BLOCKS, type Block } from "./docs.ts";
import type { Machine } from "./machine.ts";

const CONFIG = "/etc/popbsmtp/popbsmtp.toml";

/** What has been done so far, on any machine. */
export const followed = new Set<Block>();

interface Part {
  readonly page: string;
  /** The headings right above the blocks that are meant. Default: all. */
  readonly below?: readonly string[];
  /**
   * What these blocks begin with, in the order in which they are to be done. Default: all, as they
   * stand.
   */
  readonly blocks?: readonly string[];
}

/**
 * Does what a part of the documentation says, as an administrator would: runs the commands, writes
 * the files, adds settings to the configuration. Throws where a command fails. Returns what the
 * commands wrote to stdout.
 *
 * @param edit makes of a block's text what this administrator writes instead
 */
export async function follow(
  machine: Machine,
  part: Part,
  edit = (text: string) => text,
): Promise<string> {
  let output = "";
  for (const block of blocksOf(part)) {
    output += await follow1(machine, block, edit(block.text));
    followed.add(block);
  }
  return output;
}

/** The blocks of a part, of which there has to be one at least. */
export function blocksOf({ page, below, blocks }: Part): readonly Block[] {
  const found = BLOCKS.filter(
    (block) => block.page === page && (below?.includes(block.heading) ?? true),
  );
  assert.ok(found.length > 0, `no block in ${page} below ${String(below)}`);
  if (blocks === undefined) return found;
  return blocks.map((beginning) => {
    const [block, ...others] = found.filter(({ text }) => text.startsWith(beginning));
    assert.ok(block !== undefined && others.length === 0, `${page}: one block: ${beginning}`);
    return block;
  });
}

async function follow1(machine: Machine, block: Block, text: string): Promise<string> {
  const { page, language, note } = block;
  if (note.startsWith("/")) {
    await machine.write(note, text);
    return "";
  }
  switch (language) {
    case "sh":
      assert.equal(note, "", page);
      return await machine.shell(EXPECTED + text);
    case "toml":
      await machine.write(CONFIG, withSettings(await machine.shell(`cat ${CONFIG}`), text));
      return "";
    default:
      assert.fail(`${page}: nobody knows what to do with a block in ${language}`);
  }
}

/**
 * The first two exit with 1 where nothing is found, which ends nothing for whoever types them. What
 * doctor asks may answer too late on a busy machine.
 */
const EXPECTED = `postmap() { command postmap "$@" || (($? == 1)); }
grep() { command grep "$@" || (($? == 1)); }
popbsmtp() {
  local tries=5
  [[ $1 == doctor ]] || tries=1
  while ! command popbsmtp "$@"; do
    ((--tries)) || return 1
    sleep 1
  done
}
`;

/** A configuration with the settings of another one in it, each in its section. */
function withSettings(config: string, settings: string): string {
  const sections = sectionsOf(config);
  for (const [header, lines] of sectionsOf(settings)) {
    const keys = new Set(lines.map(keyOf));
    const old = (sections.get(header) ?? []).filter((line) => !keys.has(keyOf(line)));
    sections.set(header, [...lines, ...old]);
  }
  return [...sections]
    .flatMap(([header, lines]) => [...(header === "" ? [] : [header]), ...lines, ""])
    .join("\n");
}

function sectionsOf(toml: string): Map<string, readonly string[]> {
  const parts = `\n${toml}`.split(/\n(?=\[)/);
  return new Map(
    parts.map((part, index) => {
      const lines = part.split("\n").filter((line) => line.trim() !== "");
      return index === 0 ? ["", lines] : [lines[0] ?? "", lines.slice(1)];
    }),
  );
}

function keyOf(line: string): string {
  return line.split("=")[0]?.trim() ?? "";
}
