import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as v from "valibot";
import { dracdAllow } from "../../../../src/config/reading/dracd-allow.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** What a file with this text in it allows, or what is wrong with it. */
async function read(text: string): Promise<readonly string[]> {
  await using directory = temporaryDirectory();
  const file = join(directory.path, "dracd.allow");
  writeFileSync(file, text);
  const result = v.safeParse(dracdAllow, file);
  return result.success
    ? result.output.map((network) => network.text)
    : result.issues.map(({ message }) => message.replace(`${file}: `, ""));
}

test("each line is a netmask and an address; comments and blank lines are ignored", async () => {
  const text =
    "# the mail servers\n255.255.255.255 192.0.2.1\n\n255.255.255.0\t198.51.100.0  \r\n0.0.0.0 0.0.0.0\n";
  assert.deepEqual(await read(text), ["192.0.2.1/32", "198.51.100.0/24", "0.0.0.0/0"]);
});

test("the last line may lack a newline", async () => {
  assert.deepEqual(await read("255.0.0.0 10.0.0.0"), ["10.0.0.0/8"]);
});

test("an empty file allows no host", async () => {
  assert.deepEqual(await read(""), []);
});

for (const [line, problem] of [
  ["192.0.2.1", '"192.0.2.1" is no netmask and address; expected "255.255.255.0 192.0.2.0"'],
  ["255.255.255.0 mail", '"255.255.255.0 mail" is no netmask and address; expected'],
  ["255.0.0.0 10.0.0.0 x", '"255.0.0.0 10.0.0.0 x" is no netmask and address; expected'],
  ["255.255.255.0 2001:db8::1", '"255.255.255.0 2001:db8::1" is no netmask and address; expected'],
  ["255.0.0 10.0.0.0", '"255.0.0 10.0.0.0" is no netmask and address; expected'],
  ["192.0.2.0 255.255.255.0", '"192.0.2.0" is no netmask; expected one such as 255.255.255.0'],
  ["255.0.255.0 10.0.0.0", '"255.0.255.0" is no netmask; expected one such as 255.255.255.0'],
  [
    "255.255.255.0 192.0.2.7",
    '192.0.2.7 is longer than its netmask 255.255.255.0, and so nobody\'s; expected "255.255.255.0 192.0.2.0"',
  ],
] as const) {
  test(`the line ${line} is reported`, async () => {
    const [first = "", ...rest] = await read(`255.0.0.0 10.0.0.0\n${line}\n`);
    assert.deepEqual(rest, []);
    assert.ok(first.startsWith(`line 2: ${problem}`), first);
  });
}

test("all invalid lines are reported at once", async () => {
  const found = await read("x\n255.0.0.0 10.0.0.0\ny\n");
  assert.deepEqual(
    found.map((problem) => problem.split(":")[0]),
    ["line 1", "line 3"],
  );
});
