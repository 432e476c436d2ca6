import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetwork } from "../../../src/login/address.ts";
import { check } from "../../../src/commands/check-command.ts";
import type { DaemonAnswer } from "../../../src/commands/daemon-answer.ts";
import { StoreAwayError, UnsupportedError } from "../../../src/lib/errors.ts";
import type { Authorization } from "../../../src/stores/store.ts";
import { address, authorization, MINUTE, NOW } from "./authorization.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

const network = parseNetwork("192.168.0.0/16");
assert.ok(network !== undefined);
const config = { lifetime: 30 * MINUTE, exclude: [network] };

interface Scene {
  readonly rows?: readonly Authorization[];
  readonly problem?: Error;
  /** What the daemon answers, one after the other; undefined: there is none. */
  readonly said?: readonly (DaemonAnswer | undefined)[];
}

async function checked(text: string, { rows = [authorization()], problem, said = [] }: Scene = {}) {
  const terminal = recorder();
  const store = memoryStore(rows);
  const lookup = () =>
    problem === undefined ? store.lookup(address(text)) : Promise.reject(problem);
  const answers = said.values();
  const daemon = () => Promise.resolve(answers.next().value);
  const context = { terminal, now: () => NOW };
  const answer = await check(
    { store: { ...store, lookup }, daemon },
    config,
    address(text),
    context,
  );
  return [answer, ...terminal.printed];
}

const UNTIL = "until 2026-03-03 10:20:00 (20m left): last login of bob@example.org (imap)";
const AUTHORIZED: DaemonAnswer = { answer: "authorized" };
const unknown = (isSure: boolean): DaemonAnswer => ({ answer: "unknown", isSure });
const away = new StoreAwayError("store: pgsql: down");

test("an authorized address is shown with its end and its user", async () => {
  assert.deepEqual(await checked("192.0.2.1"), [
    true,
    `192.0.2.1 may relay ${UNTIL}; asked: the store`,
  ]);
});

test("without a user, the service is shown", async () => {
  assert.deepEqual(await checked("192.0.2.1", { rows: [authorization({ user: "" })] }), [
    true,
    "192.0.2.1 may relay until 2026-03-03 10:20:00 (20m left): last login (imap); asked: the store",
  ]);
});

test("values that a mapped table lacks are left out", async () => {
  const row = authorization({ user: undefined, service: undefined });
  assert.deepEqual(await checked("192.0.2.1", { rows: [row] }), [
    true,
    "192.0.2.1 may relay until 2026-03-03 10:20:00 (20m left); asked: the store",
  ]);
});

test("an address without a login, or with a revoked one, may not relay", async () => {
  assert.deepEqual(await checked("192.0.2.10"), [
    false,
    "192.0.2.10 may not relay: no login in the last 30m, or it was revoked; asked: the store",
  ]);
});

test("an excluded address does not relay, whatever is in the store", async () => {
  const rows = [authorization({ address: address("192.168.7.7") })];
  for (const scene of [{}, { rows }, { problem: away }]) {
    assert.deepEqual(await checked("192.168.7.7", scene), [
      false,
      "192.168.7.7 is in exclude (192.168.0.0/16): its logins do not count, so only Postfix's mynetworks can let it relay",
    ]);
  }
});

test("the daemon's answer decides, and the store adds the details", async () => {
  assert.deepEqual(await checked("192.0.2.1", { said: [AUTHORIZED] }), [
    true,
    `192.0.2.1 may relay ${UNTIL}; asked: popbsmtp serve`,
  ]);
  assert.deepEqual(await checked("192.0.2.10", { said: [unknown(false)] }), [
    false,
    "192.0.2.10 may not relay: no login in the last 30m, or it was revoked; asked: popbsmtp serve",
  ]);
});

test("the daemon's answer counts also if the store is away or lacks the login", async () => {
  assert.deepEqual(await checked("192.0.2.1", { said: [AUTHORIZED], problem: away }), [
    true,
    "192.0.2.1 may relay; asked: popbsmtp serve, which remembers a login (store: pgsql: down)",
  ]);
  assert.deepEqual(await checked("192.0.2.1", { said: [AUTHORIZED], rows: [] }), [
    true,
    "192.0.2.1 may relay; asked: popbsmtp serve; its login is not in the store: it waits in the spool, or was revoked seconds ago",
  ]);
  const problem = new UnsupportedError("DRAC tells nothing");
  assert.deepEqual(await checked("192.0.2.1", { said: [AUTHORIZED], problem }), [
    true,
    "192.0.2.1 may relay; asked: popbsmtp serve",
  ]);
  assert.equal((await checked("192.0.2.1", { said: [unknown(false)], problem }))[0], false);
});

test("the daemon is asked again if it may have asked the store before the login", async () => {
  assert.deepEqual(await checked("192.0.2.1", { said: [unknown(true), AUTHORIZED] }), [
    true,
    `192.0.2.1 may relay ${UNTIL}; asked: popbsmtp serve`,
  ]);
  assert.deepEqual(await checked("192.0.2.1", { said: [unknown(true), unknown(true)] }), [
    false,
    "192.0.2.1 may not relay; asked: popbsmtp serve, though the store has a login of bob@example.org (imap): does it run with another configuration?",
  ]);
});

test("the answer is unknown if the store is away and the daemon knows no login", async () => {
  for (const said of [
    [undefined],
    [unknown(false)],
    [{ answer: "away", why: "the store is away" } as const],
  ]) {
    await assert.rejects(checked("192.0.2.1", { said, problem: away }), StoreAwayError);
  }
  // what the socketmap says, the store has said within the last second
  assert.equal((await checked("192.0.2.1", { said: [unknown(true)], problem: away }))[0], false);
});
