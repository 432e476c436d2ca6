import assert from "node:assert/strict";
import { it } from "node:test";
import { spelling, StoreClock } from "../../../../src/stores/table/store-clock.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 2, 3, 10);

/** A server whose clock is off by so much, and which takes so long to answer. Counts the questions. */
function server(off: number, takes = 0) {
  const asked = { times: 0 };
  let moment = 0;
  const clock = new StoreClock<string>(
    () => {
      asked.times += 1;
      moment += takes;
      return Promise.resolve(NOW + moment + off);
    },
    () => moment,
  );
  const pass = (ms: number) => (moment += ms);
  return { clock, asked, pass };
}

it("times stay as they are where the clocks agree", () => {
  for (const off of [-2_000, -1, 0, 1_500, 2_000]) {
    assert.equal(spelling(NOW, NOW + off).written(NOW - 5), NOW - 5);
  }
});

it("times go by the store's clock where they do not", () => {
  for (const off of [-HOUR, -2_001, 2_001, HOUR]) {
    assert.equal(spelling(NOW, NOW + off).written(NOW - 5), NOW + off - 5);
  }
});

it("the future is the store's now", () => {
  assert.equal(spelling(NOW, NOW).written(NOW + HOUR), NOW);
});

it("a revocation is compared with the store's clock, less what that may be off by", () => {
  for (const off of [0, 1_500, HOUR]) {
    assert.equal(spelling(NOW, NOW + off, 3).earliest(NOW - 5), NOW + off - 8);
  }
});

it("a server is asked once a minute, however many log in", async () => {
  const { clock, asked, pass } = server(HOUR);
  assert.equal((await clock.spelling("a", NOW)).written(NOW - 5), NOW + HOUR - 5);
  pass(59_000);
  assert.equal((await clock.spelling("a", NOW + 59_000)).written(NOW), NOW + HOUR);
  assert.equal(asked.times, 1);
  pass(1_000);
  await clock.spelling("a", NOW + 60_000);
  assert.equal(asked.times, 2);
});

it("another connection's server is asked anew, and so is one after this host's clock was set", async () => {
  const { clock, asked } = server(0);
  await clock.spelling("a", NOW);
  await clock.spelling("b", NOW);
  assert.equal(asked.times, 2);
  assert.equal((await clock.spelling("b", NOW + HOUR)).written(NOW + HOUR - 5), NOW - 5);
  assert.equal(asked.times, 3);
});

it("an answer that was long on its way is no difference between the clocks, and is not built upon", async () => {
  const { clock, asked } = server(0, 4_500);
  assert.equal((await clock.spelling("a", NOW)).written(NOW - 5), NOW - 5);
  await clock.spelling("a", NOW + 4_500);
  assert.equal(asked.times, 2);
});
