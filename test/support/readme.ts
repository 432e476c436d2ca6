import { readFileSync } from "node:fs";

/** README.md as it is. */
export const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

/** Its fenced examples in a language, without their indentation. */
export function examples(language: string): readonly string[] {
  const fence = new RegExp(`^( *)\`\`\`${language}\n([^]*?)^ *\`\`\`$`, "gm");
  return Array.from(README.matchAll(fence), ([, indentation = "", text = ""]) =>
    text.replaceAll(new RegExp(`^${indentation}`, "gm"), ""),
  );
}
