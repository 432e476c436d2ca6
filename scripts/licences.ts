import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The licences of the packages to which `files`, paths below node_modules, belong. Most of them
 * demand that every copy contain the licence.
 */
export function licencesOf(files: Iterable<string>): string {
  const directories = new Set<string>();
  for (const file of files) {
    const [directory] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file) ?? [];
    if (directory !== undefined) directories.add(directory);
  }
  return [...directories]
    .toSorted()
    .map(licenceOf)
    .join(`\n${"-".repeat(72)}\n\n`);
}

function licenceOf(directory: string): string {
  const manifest = readFileSync(join(directory, "package.json"), "utf8");
  const { name, license }: { name?: unknown; license?: unknown } = JSON.parse(manifest);
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
  const text =
    file === undefined ? "" : `\n${readFileSync(join(directory, file), "utf8").trim()}\n`;
  return `${String(name)} (${String(license)})\n${text}`;
}
