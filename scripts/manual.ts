/**
 * Writes the manual pages in man/ and the example configuration from the program itself: from its
 * tree of commands, and from the schema of its configuration with scripts/manual/key-texts.ts. The
 * files are committed; test/unit/manual.test.ts fails if they are outdated.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { exampleFile } from "./manual/example-file.ts";
import { programPage } from "./manual/program-page.ts";
import { tomlPage } from "./manual/toml-page.ts";

/** The contents of each generated file, by its path in the project. */
export function generated(): ReadonlyMap<string, string> {
  return new Map([
    ["examples/popbsmtp.toml", exampleFile()],
    ["man/popbsmtp.8", programPage()],
    ["man/popbsmtp.toml.5", tomlPage()],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of generated()) {
    const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
