/**
 * A storm of logins through Dovecot, whose master has to start the daemon again and again.
 * POPBSMTP_STORM in the environment says how many logins: 2,000 take ten seconds.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Spool } from "../../src/spool/spool.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { install } from "../support/installation.ts";
import { configureServe } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const LOGINS = Number(process.env["POPBSMTP_STORM"] ?? 2_000);
const AT_A_TIME = 50;

/** From one kill to the next. Milliseconds. */
const KILL_MS = 1_000;

/**
 * A login that the daemon has in hand when it is killed is refused. At most so many are, each time:
 * of those 50, most are elsewhere.
 */
const IN_HAND = 10;

test(`of ${LOGINS} logins through Dovecot, ${AT_A_TIME} at a time, with the daemon killed every second, each that succeeded is in the store`, async (t) => {
  await using box = await install("pgsql");
  configureServe(box);
  await using dovecot = await startDovecot({
    config: await box.popbsmtp("print", "dovecot", "service"),
  });
  const spool = new Spool(box.spool);
  const atWork = () => spool.drain.atWork("serve");
  await waitUntil("the daemon to be up", () => atWork() !== undefined);

  let kills = 0;
  const killer = setInterval(() => {
    const pid = atWork();
    if (pid !== undefined && process.kill(pid, "SIGKILL")) kills++;
  }, KILL_MS);
  const { succeeded, failed, slowest } = await storm(dovecot).finally(() => clearInterval(killer));

  t.diagnostic(
    `${kills} kills; ${failed.length} logins failed; the slowest took ${Math.round(slowest)} ms`,
  );
  for (const why of failed) t.diagnostic(why);
  assert.ok(kills >= 2, `the daemon was killed ${kills} times only`);
  assert.equal(succeeded.length + failed.length, LOGINS);
  assert.ok(failed.length <= IN_HAND * kills, failed.join("\n"));

  await waitUntil("the spool to be drained", () => box.waiting().length === 0);
  const rows = new Map((await box.rows()).map((row) => [row.user, row]));
  for (const { user, from } of succeeded) assert.equal(rows.get(user)?.address, from, user);
});

interface Storm {
  readonly succeeded: { readonly user: string; readonly from: string }[];
  /** What became of the others. */
  readonly failed: string[];
  /** Milliseconds. */
  slowest: number;
}

/** Each login is another user's. */
async function storm(dovecot: Dovecot): Promise<Storm> {
  const result: Storm = { succeeded: [], failed: [], slowest: 0 };
  let next = 0;
  const clients = Array.from({ length: AT_A_TIME }, async (_, client) => {
    const from = `127.0.1.${client + 1}`;
    while (next < LOGINS) {
      const user = `user${next++}`;
      using connection = await dovecot.imap({ from });
      try {
        const ms = await connection.login(user, dovecot.password);
        result.succeeded.push({ user, from });
        result.slowest = Math.max(result.slowest, ms);
        await connection.logout();
      } catch (error) {
        result.failed.push(`${user}: ${String(error)}`);
      }
    }
  });
  await Promise.all(clients);
  return result;
}
