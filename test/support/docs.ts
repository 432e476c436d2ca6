import { readdirSync, readFileSync } from "node:fs";

/** A page of the documentation: "README.md", "docs/install.md". */
export interface Page {
  readonly name: string;
  readonly text: string;
}

/** A fenced block of a page. */
export interface Block {
  readonly page: string;
  /** The heading it stands below, as it is written. */
  readonly heading: string;
  readonly language: string;
  /**
   * What follows the language in the fence's first line: a file to write the block to, or for whom
   * it is. "" where nothing does.
   */
  readonly note: string;
  /** Without its indentation. */
  readonly text: string;
}

const ROOT = new URL("../../", import.meta.url);

/** README.md and every page of docs/. */
export const PAGES: readonly Page[] = [
  "README.md",
  ...readdirSync(new URL("docs/", ROOT))
    .filter((name) => name.endsWith(".md"))
    .toSorted()
    .map((name) => `docs/${name}`),
].map((name) => ({ name, text: readFileSync(new URL(name, ROOT), "utf8") }));

/** All pages, one after another. */
export const DOCS = PAGES.map(({ text }) => text).join("\n");

export const BLOCKS: readonly Block[] = PAGES.flatMap(blocksOf);

function blocksOf({ name, text }: Page): readonly Block[] {
  const pattern = /^#+ (?<heading>.*)$|^(?<indentation> *)```(?<info>.*)\n(?<body>[^]*?)^ *```$/gm;
  let heading = "";
  return Array.from(text.matchAll(pattern)).flatMap(({ groups = {} }) => {
    const { indentation = "", info, body = "" } = groups;
    if (info === undefined) {
      heading = groups["heading"] ?? "";
      return [];
    }
    const [language = "", note = ""] = info.split(" ");
    const plain = body.replaceAll(new RegExp(`^${indentation}`, "gm"), "");
    return [{ page: name, heading, language, note, text: plain }];
  });
}

/** The text of the blocks in a language, on all pages. */
export function examples(language: string): readonly string[] {
  return BLOCKS.filter((block) => block.language === language).map(({ text }) => text);
}

/** What stands between a heading, which occurs once, and the next of its level. */
export function section(heading: string): string {
  const [, ...found] = DOCS.split(`\n${heading}\n`);
  const [text = ""] = found;
  if (found.length !== 1) throw new Error(`${String(found.length)} times in the docs: ${heading}`);
  const [level = ""] = heading.split(" ");
  return text.split(new RegExp(`^#{1,${String(level.length)}} `, "m"))[0] ?? "";
}
