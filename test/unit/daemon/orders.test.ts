import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Orders } from "../../../src/daemon/orders.ts";

/** Longer than a test may take. */
const NEVER_MS = 3_600_000;

/** Waits until a signal sent to this process has arrived. */
async function send(signal: "SIGHUP" | "SIGTERM"): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once(signal, () => resolve());
  process.kill(process.pid, signal);
  await promise;
}

describe("the next order", () => {
  it("is to try again when the time is up", async () => {
    using orders = new Orders();
    assert.equal(await orders.next(1), "retry");
  });

  it("is to reload after SIGHUP, once, also where that came before it was asked for", async () => {
    using orders = new Orders();
    await send("SIGHUP");
    await send("SIGHUP");
    assert.equal(await orders.next(NEVER_MS), "reload");
    assert.equal(await orders.next(1), "retry");
    const waiting = orders.next(NEVER_MS);
    await send("SIGHUP");
    assert.equal(await waiting, "reload");
  });

  it("is to end after SIGTERM, whatever else came", async () => {
    using orders = new Orders();
    await send("SIGHUP");
    await send("SIGTERM");
    assert.equal(await orders.next(NEVER_MS), "end");
    assert.equal(await orders.next(NEVER_MS), "end");
  });

  it("is to end where Dovecot's master had gone before", async () => {
    using orders = new Orders(Promise.resolve());
    await turn();
    assert.equal(await orders.next(NEVER_MS), "end");
  });
});

describe("work at the start", () => {
  it("is waited for", async () => {
    using orders = new Orders();
    assert.equal(await orders.unlessEnded(Promise.resolve("done")), "done");
    await assert.rejects(orders.unlessEnded(Promise.reject(new Error("wrong"))), /wrong/);
  });

  it("that hangs is not waited for once this process is to end", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    using orders = new Orders(promise);
    const working = orders.unlessEnded(new Promise(() => undefined));
    resolve();
    assert.equal(await working, undefined);
    assert.equal(await orders.unlessEnded(new Promise(() => undefined)), undefined);
  });
});
