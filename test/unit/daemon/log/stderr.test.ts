import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { text } from "node:stream/consumers";
import { PLAIN_ENV, run } from "../../../support/run.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const LINE = "x".repeat(899);
const LINES = 1_000;
const sources = new URL("../../../../src/daemon/log/", import.meta.url).href;

/**
 * A process that writes many lines to its stderr at once, and says on stdout how many were lost.
 */
const WRITER = `
import { stderrWriter } from "${sources}stderr.ts";
const write = stderrWriter();
let lost = 0;
for (let i = 0; i < ${LINES}; i++) if (!write("${LINE}\\n")) lost++;
console.log(lost);
`;
const NODE = ["--input-type=module", "-e"];

/**
 * Runs `script` in bash, in a directory of its own; $WRITER is the command that writes. Returns
 * what it printed.
 */
async function bash(script: string, writer = WRITER): Promise<string> {
  await using directory = temporaryDirectory();
  const { status, stdout, stderr } = await run("bash", ["-euc", script], {
    cwd: directory.path,
    env: { ...PLAIN_ENV, NODE: process.execPath, WRITER: writer },
  });
  assert.equal(status, 0, stderr.toString());
  return stdout.toString();
}

const WRITE = `"$NODE" ${NODE.join(" ")} "$WRITER"`;

test("a file gets every line", async () => {
  assert.equal(await bash(`${WRITE} 2>log; grep -cx '${LINE}' log`), `0\n${LINES}\n`);
});

test("a pipe whose reader hangs gets whole lines until it is full, without a wait", async () => {
  const printed = await bash(
    `mkfifo pipe; exec 3<>pipe; ${WRITE} 2>&3; exec 4<pipe 3>&-; grep -cx '${LINE}' <&4`,
  );
  const [lost, written] = printed.split("\n").map(Number);
  assert.ok(lost !== undefined && lost > 0 && written !== undefined && written > 0);
  assert.equal(lost + written, LINES);
});

test("a socket like the journal's whose reader hangs gets whole lines until it is full", async () => {
  const child = spawn(process.execPath, [...NODE, WRITER], { env: PLAIN_ENV });
  const lost = Number(await text(child.stdout));
  const lines = (await text(child.stderr)).split("\n");
  assert.ok(lost > 0);
  assert.equal(lines.pop(), "");
  assert.equal(lines.length, LINES - lost);
  assert.ok(lines.every((line) => line === LINE));
});

// whoever else writes there, such as a warning of Node's own, must not end the process either
const CARELESS = `${WRITER}
process.stderr.write("careless\\n");
setTimeout(() => console.log("alive"), 1);
`;

test("without a reader the lines are lost, but not the process", async () => {
  const printed = await bash(`mkfifo pipe; exec 3<>pipe 4>pipe 3>&-; ${WRITE} 2>&4`, CARELESS);
  assert.equal(printed, `${LINES}\nalive\n`);
});

test("a full disk loses the lines, but not the process", async () => {
  assert.equal(await bash(`${WRITE} 2>/dev/full`, CARELESS), `${LINES}\nalive\n`);
});

test("a log with a pending summary keeps no process alive", async () => {
  const printed = await bash(
    WRITE,
    `import { createLog } from "${sources}log.ts";
const log = createLog({ level: "info", style: (level, text) => level + " " + text, write: (line) => console.log(line) ?? true });
log.error("store-away");
log.error("store-away");
console.log(process.getActiveResourcesInfo().includes("Timeout"));`,
  );
  assert.equal(printed, "error store-away\nfalse\n");
});
