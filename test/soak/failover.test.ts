/**
 * Databases fail over while people log in, for longer than in the other tests, and with a table of
 * what was measured.
 */
import { after, test } from "node:test";
import { startGalera } from "../support/galera.ts";
import {
  nodeIsolated,
  nodeKilled,
  nodeStopped,
  purged,
  quorumLost,
  replicaPromoted,
  startGaleraSite,
  threeDaemons,
} from "../support/mysql-trials.ts";
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
import { trialTable, type Outcome } from "../support/trial.ts";

const LONG = { perSecond: 100, logins: 1_000 };

const outcomes: Outcome[] = [];
const notes: string[] = [];
after(() => console.log([trialTable(outcomes), ...notes].join("\n")));

for (const trial of [killed, killedAhead, switchedOver, hangsInCommit]) {
  test(`PostgreSQL: ${trial.name}`, async () => {
    await using site = await startPgsqlSite();
    outcomes.push(await trial(LONG, site));
  });
}

for (const trial of [pooled, proxied]) {
  test(`PostgreSQL: ${trial.name}`, async () => {
    outcomes.push(await trial(LONG));
  });
}

test("PostgreSQL: ten daemons on one server", async () => {
  const scale = { perSecond: 500, logins: 5_000 };
  outcomes.push(await shared(scale, 10, (line) => notes.push(line)));
});

test("MariaDB: a replica is promoted", async () => {
  outcomes.push(await replicaPromoted(LONG));
});

test("Galera", async (t) => {
  await using galera = await startGalera();
  const one = await startGaleraSite(galera);
  for (const trial of [nodeKilled, nodeIsolated, nodeStopped, quorumLost]) {
    await t.test(trial.name, async () => {
      outcomes.push(await trial(LONG, one));
    });
  }
  await t.test("purge", async () => {
    outcomes.push(await purged(LONG, one, 100_000));
  });
  await one[Symbol.asyncDispose]();
  await t.test("three daemons", async () => {
    outcomes.push(await threeDaemons(LONG, galera));
  });
});
