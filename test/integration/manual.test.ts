import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { it } from "node:test";

const MAN = new URL("../../man/", import.meta.url);
const PAGES = readdirSync(MAN);

for (const page of PAGES) {
  it(`mandoc has nothing to say about ${page}`, () => {
    const { status, stdout } = spawnSync("mandoc", ["-T", "lint", "-W", "style", page], {
      cwd: MAN,
      encoding: "utf8",
    });
    assert.ok(status !== null && status < 5, "mandoc ran");
    // which manual pages are installed is this host's business
    const complaints = stdout.split("\n").filter((line) => !/manual not found|^$/.test(line));
    assert.deepEqual(complaints, []);
  });
}

it("the pages refer to each other by name and section", () => {
  for (const page of PAGES) {
    const text = readFileSync(new URL(page, MAN), "utf8");
    for (const [, name, section] of text.matchAll(/^\.Xr (popbsmtp\S*) (\d)/gm)) {
      assert.ok(PAGES.includes(`${name}.${section}`), `${page}: ${name}(${section})`);
    }
  }
});
