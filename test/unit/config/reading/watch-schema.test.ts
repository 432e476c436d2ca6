import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { WatchConfig } from "../../../../src/config/config.ts";
import { loadConfig } from "../../../../src/config/reading/load.ts";
import { ConfigError } from "../../../../src/lib/errors.ts";
import { Fragments } from "../../../../src/mail-formats/fragments.ts";
import { parseLine } from "../../../../src/sources/mail-log/line.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

async function load(text: string): Promise<WatchConfig> {
  await using directory = temporaryDirectory();
  const path = join(directory.path, "popbsmtp.toml");
  writeFileSync(path, text);
  try {
    return (await loadConfig(path)).watch;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.problems.map((problem) => problem.replace(`${path}: `, "")));
  }
}

test("the section enables watching in the daemon, even if it is empty", async () => {
  const { inDaemon, ...defaults } = await load("");
  assert.equal(inDaemon, false);
  assert.deepEqual(await load("[watch]\n"), { ...defaults, inDaemon: true });
});

test("one log or several can be watched", async () => {
  assert.deepEqual((await load('[watch]\nfile = "/var/log/maillog"\n')).files, [
    "/var/log/maillog",
  ]);
  assert.deepEqual((await load('[watch]\nfile = ["/a", "/b"]\nquiet-after = "1d"\n')).files, [
    "/a",
    "/b",
  ]);
});

const NOW = Date.parse("2026-03-03T10:00:00Z");

/** What a line is in the configured formats. */
function kind({ formats }: WatchConfig, line: string): string {
  return parseLine(Buffer.from(line), { formats, fragments: new Fragments(), now: NOW }).kind;
}

test("the format is a built-in one, or a pattern", async () => {
  const dovecot =
    "2026-03-03T09:59:00Z mx dovecot: imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, mpid=1, session=<x>";
  const own = "2026-03-03T09:59:00Z mx frob[1]: bob came from 192.0.2.1";
  const named = await load('[watch]\nformat = "courier"\n');
  assert.deepEqual([kind(named, dovecot), kind(named, own)], ["other", "other"]);
  const pattern = await load(
    "[watch]\npattern = 'frob\\[\\d+\\]: (?<user>\\w+) came from (?<address>\\S+)$'\n",
  );
  assert.deepEqual([kind(pattern, dovecot), kind(pattern, own)], ["other", "login"]);
});

/** What is in the section, and the problem. */
const wrong: Readonly<Record<string, string>> = {
  'file = "mail.log"': "watch.file: expected a path from the root",
  "file = []": "watch.file: expected a path or a list of paths",
  'file = ["/a", "/a"]': "watch.file: the same file twice",
  'format = "exim"': "watch.format: expected auto, dovecot, courier, cyrus, uw, qpopper",
  'pattern = "("': "watch.pattern: is not a regular expression: Unterminated group",
  'pattern = "x"': "watch.pattern: has no group (?<address>...)",
  "format = \"uw\"\npattern = '(?<address>x)'":
    "watch.pattern: there is also format; keep one of them",
  'quiet-after = "1s"':
    'watch.quiet-after: "1s" is out of bounds; expected 1m to 30d, or "0s" for never',
  'files = ["/a"]': "watch.files: unknown key; did you mean file?",
  'deadline = "1s"': "watch.deadline: belongs in the section [serve]",
  'driver = "pgsql"': "watch.driver: belongs in the section [store]",
};

for (const [lines, problem] of Object.entries(wrong)) {
  test(`${JSON.stringify(lines)}: ${problem}`, async () => {
    await assert.rejects(load(`[watch]\n${lines}\n`), { problems: [problem] });
  });
}

test("a misplaced key of the section is reported with the right section", async () => {
  await assert.rejects(load('format = "auto"\n[serve]\nfile = "/a"\n'), {
    problems: [
      "serve.file: belongs in the section [watch]",
      "format: belongs in the section [watch]",
    ],
  });
});
