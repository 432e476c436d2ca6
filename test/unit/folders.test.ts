import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, it } from "node:test";

const SRC = join(import.meta.dirname, "../../src");

function files(): readonly string[] {
  return readdirSync(SRC, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => join(parentPath, name));
}

function repeated<T>(names: readonly T[]): readonly T[] {
  return names.filter((name, at) => names.indexOf(name) !== at);
}

/**
 * Which folders of src/ the files of each folder import from. The files of src/ itself only start
 * the program.
 */
function folders(): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const file of files()) {
    const folder = relative(SRC, dirname(file));
    if (folder === "") continue;
    const imported = found.get(folder) ?? new Set();
    found.set(folder, imported);
    const text = readFileSync(file, "utf8");
    for (const [, path = ""] of text.matchAll(/(?:from|import\()\s*"(\.[^"]+\.ts)"/g)) {
      const target = relative(SRC, dirname(join(dirname(file), path)));
      if (target !== folder) imported.add(target);
    }
  }
  return found;
}

describe("the folders of src/", () => {
  it("depend downwards only: no folder imports itself by way of others", () => {
    const left = new Map(folders());
    while (left.size > 0) {
      const lowest = [...left].filter(
        ([, imported]) => ![...imported].some((other) => left.has(other)),
      );
      assert.notEqual(lowest.length, 0, `these import each other: ${[...left.keys()].join(", ")}`);
      for (const [folder] of lowest) left.delete(folder);
    }
  });

  it("have files whose names occur once", () => {
    assert.deepEqual(repeated(files().map((path) => basename(path))), []);
  });

  it("have types whose names occur once", () => {
    const declared = files().flatMap((path) =>
      Array.from(
        readFileSync(path, "utf8").matchAll(
          /^(?:export )?(?:abstract )?(?:type|interface|class) (\w+)/gm,
        ),
        ([, name]) => name,
      ),
    );
    assert.deepEqual(repeated(declared), []);
  });
});

describe("docs/architecture.md", () => {
  const root = join(SRC, "..");
  const page = readFileSync(join(root, "docs/architecture.md"), "utf8");

  it("names files and folders that exist", () => {
    const named = page.matchAll(/\b(?:src|bin|test|scripts)\/[\w./-]*[\w/]/g);
    const missing = [...named]
      .map(([path]) => path)
      .filter((path) => !existsSync(join(root, path)));
    assert.deepEqual(
      missing.filter((path) => path !== "bin/popbsmtp"),
      [],
    );
  });

  it("describes each folder of src/", () => {
    const tops = new Set([...folders().keys()].map((folder) => folder.split("/")[0] ?? ""));
    const described = new Set(
      Array.from(page.matchAll(/^\| `src\/([\w-]+)`/gm), ([, name = ""]) => name),
    );
    assert.deepEqual([...described].toSorted(), [...tops].toSorted());
  });
});
