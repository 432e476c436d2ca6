/** `popbsmtp doctor` and the several hosts of one database. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { adviceOf, type Report } from "../support/doctor.ts";
import type { Installation } from "../support/installation.ts";
import { startPgsqlSite } from "../support/pgsql-trials.ts";
import { run } from "../support/run.ts";

/** What it says of the store; the rest is about this machine's own servers. */
async function runDoctor(box: Installation): Promise<Report> {
  const { status, stdout } = await run(box.program, ["--config", box.config, "doctor"]);
  const [, text = ""] = stdout.toString().split("\nStore\n");
  return { status, text };
}

test("doctor asks each host, and says what to do where one is not as it should be", async (t) => {
  await using site = await startPgsqlSite();
  const { box, primary, standby } = site;
  const port = String(primary.port);

  await t.test("a primary and its standby", async () => {
    const { text } = await runDoctor(box);
    assert.ok(text.includes(`  ok       127.0.0.1:${port}: takes writes\n`), text);
    assert.ok(text.includes(`  ok       127.0.0.2:${port}: takes no writes (a standby)\n`), text);
    assert.ok(!text.includes("  warning"), text);
  });

  await t.test("a standby that hangs", async () => {
    standby.pause();
    const report = await runDoctor(box);
    standby.resume();
    const [advice] = adviceOf(
      report,
      "warning",
      /^ {2}warning {2}127\.0\.0\.2:\d+: cannot be reached: /,
    );
    assert.match(advice ?? "", /^systemctl restart postgresql/);
  });

  await t.test(
    "no host takes writes while the primary is down; what is advised mends it",
    async () => {
      await primary.stop();
      const report = await runDoctor(box);
      const none = /no host takes writes, though 127\.0\.0\.2:\d+ can be reached/;
      const [advice = ""] = adviceOf(report, "warning", none);
      assert.match(report.text, /problem .*127\.0\.0\.1:\d+\/mail: .*ECONNREFUSED/);
      await standby.query(advice.split(";")[0] ?? "");
      const { text } = await runDoctor(box);
      assert.ok(text.includes(`  ok       127.0.0.2:${port}: takes writes\n`), text);
      assert.match(text, /warning {2}127\.0\.0\.1:\d+: cannot be reached: .*ECONNREFUSED/);
    },
  );

  await t.test("the old primary is back, and takes writes too", async () => {
    await primary.start();
    adviceOf(await runDoctor(box), "warning", /take writes, and are different servers/);
  });
});
