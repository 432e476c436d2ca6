/**
 * PostgreSQL's hosts fail over while people log in through the daemon: nobody is refused, and
 * nothing is lost.
 */
import { test } from "node:test";
import {
  hangsInCommit,
  killed,
  killedAhead,
  pooled,
  proxied,
  shared,
  startPgsqlSite,
  switchedOver,
} from "../support/pgsql-trials.ts";
import { SMALL, trialTable } from "../support/trial.ts";

for (const [name, trial] of [
  ["the primary is killed, the standby promoted, and the old primary comes back", killed],
  ["the primary is killed while the standby is behind", killedAhead],
  ["the primary is switched over, and comes back as a standby", switchedOver],
  ["a synchronous standby hangs, and every commit with it", hangsInCommit],
] as const) {
  test(name, async (t) => {
    await using site = await startPgsqlSite();
    t.diagnostic(trialTable([await trial(SMALL, site)]));
  });
}

test("behind pgbouncer in transaction mode the server is started anew", async (t) => {
  t.diagnostic(trialTable([await pooled(SMALL)]));
});

test("behind HAProxy, which cuts idle connections, the primary is killed", async (t) => {
  t.diagnostic(trialTable([await proxied(SMALL)]));
});

test("three daemons share one server, and know of each other's logins", async (t) => {
  const say = (line: string) => t.diagnostic(line);
  say(trialTable([await shared(SMALL, 3, say)]));
});
