import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress } from "../../../src/login/address.ts";
import { Reports, type Source } from "../../../src/daemon/reports.ts";
import type { Login, Outcome } from "../../../src/login/login.ts";

const NOW = 1_772_000_000_000;

function login(seconds: number, user = "bob", service = "imap"): Login {
  const address = parseAddress("192.0.2.1");
  assert.ok(address !== undefined);
  return { address, user, service, time: NOW + seconds * 1000 };
}

function reports(...outcomes: readonly Outcome[]) {
  const made = new Reports();
  const recorded: number[] = [];
  const next = outcomes.values();
  return {
    made,
    recorded,
    /** Seconds after NOW. */
    tell: (source: Source, seconds: number, user?: string, service?: string) =>
      made.once(source, login(seconds, user, service), ({ time }) => {
        recorded.push((time - NOW) / 1000);
        return Promise.resolve(next.next().value ?? "spooled");
      }),
  };
}

describe("a login that two sources tell of", () => {
  it("counts once, whichever is first, though their times differ", async () => {
    const there = reports();
    there.made.note("log", login(0), Promise.resolve("spooled"));
    assert.equal(await there.tell("dict", 1.25), "spooled");
    assert.equal(await there.tell("dict", 20), "spooled");
    assert.equal(there.made.isKnown("log", login(19)), true);
    assert.deepEqual(there.recorded, [20]);
  });

  it("is one login of each: what comes more often is another one", async () => {
    const there = reports();
    for (const seconds of [0, 1, 2]) await there.tell("dict", seconds);
    const known = [0, 1, 2, 2].map((seconds) => there.made.isKnown("log", login(seconds)));
    assert.deepEqual(known, [true, true, true, false]);
    there.made.note("log", login(2), Promise.resolve("spooled"));
    await there.tell("dict", 2.5);
    await there.tell("dict", 2.6);
    assert.deepEqual(there.recorded, [0, 1, 2, 2.6]);
  });

  it("is another one seconds later, of another user, or of another service", async () => {
    const there = reports();
    there.made.note("post-login", login(0), Promise.resolve("committed"));
    await there.tell("dict", 6);
    await there.tell("dict", 0, "eve");
    await there.tell("dict", 0, "bob", "pop3");
    assert.deepEqual(there.recorded, [6, 0, 0]);
    assert.equal(await there.tell("dict", 0), "committed");
    assert.equal(there.recorded.length, 3);
  });

  it("is recorded all the same where the first one was lost", async () => {
    const there = reports();
    there.made.note("post-login", login(0), Promise.resolve("lost"));
    assert.equal(await there.tell("dict", 0.1), "spooled");
    assert.deepEqual(there.recorded, [0.1]);
  });
});

describe("a login that one source tells of twice", () => {
  it("counts once where it is the very same", async () => {
    const there = reports("committed");
    assert.equal(await there.tell("dict", 0.000_5), "committed");
    assert.equal(await there.tell("dict", 0.000_5), "committed");
    assert.deepEqual(there.recorded, [0.000_5]);
  });

  it("is recorded again where that failed", async () => {
    const there = reports("lost", "spooled");
    assert.equal(await there.tell("dict", 1), "lost");
    assert.equal(await there.tell("dict", 1), "spooled");
    assert.equal(await there.tell("dict", 1), "spooled");
    assert.deepEqual(there.recorded, [1, 1]);
  });

  it("in a log is read again, since it may not have been recorded", () => {
    const there = reports();
    there.made.note("log", login(0), Promise.resolve("spooled"));
    assert.equal(there.made.isKnown("log", login(0)), false);
  });
});
