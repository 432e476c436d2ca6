/**
 * MariaDB's primary hands over to its replica while people log in through the daemon: nothing is
 * refused, or lost.
 */
import { test } from "node:test";
import { replicaPromoted } from "../support/mysql-trials.ts";
import { SMALL, trialTable } from "../support/trial.ts";

test("the primary is made read-only and the replica promoted", async (t) => {
  t.diagnostic(trialTable([await replicaPromoted(SMALL)]));
});
