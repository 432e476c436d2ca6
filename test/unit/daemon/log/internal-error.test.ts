import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "../../../support/run.ts";

/**
 * Runs a program in which `fail` is thrown where nobody catches it, and which says whether it lives
 * on.
 */
async function survive(fail: string) {
  const modules = ["internal-error", "log", "log-line", "stderr"]
    .map(
      (name) =>
        `...await import(${JSON.stringify(import.meta.resolve(`../../../../src/daemon/log/${name}.ts`))})`,
    )
    .join(", ");
  const program = `
    const { survivingErrors, createLog, journalLine, stderrWriter } = { ${modules} };
    const log = createLog({ level: "info", style: journalLine, write: stderrWriter() });
    using surviving = survivingErrors(log);
    function broken() { throw new Error("a bug\\nof ours"); }
    await new Promise((resolve) => { process.once("uncaughtException", resolve); ${fail} });
    await new Promise(setImmediate);
    console.log("alive");`;
  const { status, stdout, stderr } = await run(process.execPath, [
    "--input-type=module",
    "--eval",
    program,
  ]);
  return { status, said: stdout.toString(), log: stderr.toString() };
}

for (const [where, fail] of [
  ["a timer", "setTimeout(broken);"],
  ["an event", 'process.on("x", broken); setImmediate(() => process.emit("x"));'],
  ["a promise that nobody waits for", "void Promise.resolve().then(broken);"],
] as const) {
  test(`an error in ${where} is logged on one line, with its stack, and the process continues`, async () => {
    const { status, said, log } = await survive(fail);
    assert.deepEqual([status, said], [0, "alive\n"], log);
    assert.match(
      log,
      /^<3>internal-error reason="a bug\\nof ours" stack="(?:[\w.]+ )?\[eval1\]:5:\d+[^"\n]*"\n$/,
    );
  });
}

test("an exception need not be an Error", async () => {
  const { said, log } = await survive("setTimeout(() => { throw undefined; });");
  assert.equal(said, "alive\n");
  assert.match(log, /^<3>internal-error reason=undefined\n$/);
});
