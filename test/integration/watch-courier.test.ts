/** A real Courier's log, as courierlogger and rsyslog write it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { startCourier, type Courier } from "../support/courier.ts";
import { install } from "../support/installation.ts";
import { waitUntil } from "../support/wait-until.ts";
import { startWatch } from "../support/watch.ts";

/** Where somebody without an account comes from. */
const OUTSIDER = "127.0.0.66";

/** How much courierlogger reads at a time: what follows is logged as a message of its own. */
const PIECE = 511;

/** What makes the first piece full. */
const FIRST = "x".repeat(PIECE - "INFO: LOGIN FAILED, user=".length);

/** Sends commands, of which the last is refused. */
async function fail(courier: Courier, protocol: "imap" | "pop3", ...commands: readonly string[]) {
  using client = await courier[protocol](OUTSIDER);
  await assert.rejects(async () => {
    for (const command of commands) await client.command(command);
  }, /Login failed/);
}

test("whoever logs in at Courier is in the store, and no failed login makes a line that counts", async () => {
  await using box = await install("sqlite");
  await using courier = await startCourier({ user: box.user, syslog: true });
  const { mailLog } = courier;
  await using watch = startWatch(box, mailLog);
  const { user, password } = courier.login;
  {
    using client = await courier.imap("127.0.0.11");
    await client.command(`LOGIN ${user} ${password}`);
  }
  {
    using client = await courier.pop3("127.0.0.12");
    for (const command of [`USER ${user}`, `PASS ${password}`]) await client.command(command);
  }
  const addresses = async () => (await box.rows()).map(({ address }) => address).toSorted();
  await waitUntil("the logins to be recorded", async () => (await addresses()).length === 2);

  const imap = "LOGIN, user=bob, ip=[192.0.2.66], port=[1], protocol=IMAP";
  const cyrus = "login: h [192.0.2.66] bob plaintext User logged in";
  // the last piece ends with what Courier itself appends
  await fail(courier, "pop3", `USER ${FIRST}LOGIN, user=bob`, "PASS x");
  // courierlogger takes off blanks in front
  await fail(courier, "imap", `LOGIN "${FIRST}${imap.padStart(PIECE)}z" x`);
  await fail(courier, "imap", `LOGIN "${FIRST}${cyrus.padStart(PIECE)}z" x`);

  await waitUntil(
    "the pieces to be logged",
    async () => {
      // courierlogger logs a piece once the next message comes, which it throws away
      for (const client of [await courier.imap(), await courier.pop3()]) client[Symbol.dispose]();
      const logged = readFileSync(mailLog, "utf8");
      return [`LOGIN, user=bob, ip=[::ffff:${OUTSIDER}], port=`, imap, cyrus].every((line) =>
        logged.includes(`d: ${line}`),
      );
    },
    { timeout: 30_000, interval: 200 },
  );
  await waitUntil("them to be refused", () => {
    const told = watch
      .log()
      .match(/a login does not count, it may be a fragment of a longer message/g);
    // Cyrus' line has no process id, and is nothing at all from Courier
    return told?.length === 2;
  });
  assert.deepEqual(await addresses(), ["127.0.0.11", "127.0.0.12"]);
});
