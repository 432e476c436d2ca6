import { readdirSync, readFileSync } from "node:fs";

/** A page of the documentation: "README.md", "docs/install.md". */
interface Page {
  readonly name: string;
  readonly text: string;
}

/** A fenced block of a page. */
interface Block {
  readonly page: string;
  /** The heading it stands below, as it is written. */
  readonly heading: string;
  readonly language: string;
  /** What follows the language in the fence's first line: the file that the block is to be written to. "" where nothing does. */
  readonly file: string;
  /** Without its indentation. */
  readonly text: string;
}

const ROOT = new URL("../../", import.meta.url);

/** README.md and every page of docs/. */
const PAGES: readonly Page[] = [
  "README.md",
  ...readdirSync(new URL("docs/", ROOT))
    .filter((name) => name.endsWith(".md"))
    .toSorted()
    .map((name) => `docs/${name}`),
].map((name) => ({ name, text: readFileSync(new URL(name, ROOT), "utf8") }));

/** All pages, one after another. */
export const DOCS = PAGES.map(({ text }) => text).join("\n");

const BLOCKS: readonly Block[] = PAGES.flatMap(blocksOf);

function blocksOf({ name, text }: Page): readonly Block[] {
  const pattern = /^#+ (?<heading>.*)$|^(?<indentation> *)```(?<info>.*)\n(?<body>[^]*?)^ *```$/gm;
  let heading = "";
  return Array.from(text.matchAll(pattern)).flatMap(({ groups = {} }) => {
    const { indentation = "", info, body = "" } = groups;
    if (info === undefined) {
      heading = groups["heading"] ?? "";
      return [];
    }
    const [language = "", file = ""] = info.split(" ");
    const plain = body.replaceAll(new RegExp(`^${indentation}`, "gm"), "");
    return [{ page: name, heading, language, file, text: plain }];
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
