import assert from "node:assert/strict";
import { it } from "node:test";
import { Clocks, StoreClock } from "../../../../src/stores/table/store-clock.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 2, 3, 10);

/**
 * A server whose clock is off by so much, and which takes so long to answer. Counts the questions.
 */
function server(off: number, takes = 0) {
  const asked = { times: 0 };
  let [moment, set] = [0, 0];
  const clock = new StoreClock<string>(
    () => {
      asked.times += 1;
      moment += takes;
      return Promise.resolve(NOW + moment + off);
    },
    { now: () => NOW + moment + set, moment: () => moment },
  );
  const pass = (ms: number) => (moment += ms);
  const setHost = (ms: number) => (set += ms);
  return { clock, asked, pass, setHost };
}

it("times stay as they are where the clocks agree, written and read", () => {
  for (const off of [-2_000, -1, 0, 1_500, 2_000]) {
    assert.equal(new Clocks(NOW, NOW + off).written(NOW - 5), NOW - 5);
    assert.equal(new Clocks(NOW, NOW + off).read(NOW - 5), NOW - 5);
  }
});

it("times go by the store's clock where they do not, and are read by this host's", () => {
  for (const off of [-HOUR, -2_001, 2_001, HOUR]) {
    assert.equal(new Clocks(NOW, NOW + off).written(NOW - 5), NOW + off - 5);
    assert.equal(new Clocks(NOW, NOW + off).read(NOW + off - 5), NOW - 5);
  }
});

it("the future is the store's now", () => {
  assert.equal(new Clocks(NOW, NOW).written(NOW + HOUR), NOW);
});

it("a revocation is compared with the store's clock, less what that may be off by", () => {
  for (const off of [0, 1_500, HOUR]) {
    assert.equal(new Clocks(NOW, NOW + off, 3).earliest(NOW - 5), NOW + off - 8);
  }
});

it("a store says how far its clock is ahead, whether or not that counts", () => {
  for (const off of [-HOUR, -3, 0, 1_500, HOUR]) {
    assert.equal(new Clocks(NOW, NOW + off).ahead, off);
  }
});

it("a server is asked once a minute, however many log in", async () => {
  const { clock, asked, pass } = server(HOUR);
  assert.equal((await clock.compare("a", NOW)).written(NOW - 5), NOW + HOUR - 5);
  pass(59_000);
  assert.equal((await clock.compare("a", NOW + 59_000)).written(NOW), NOW + HOUR);
  assert.equal(asked.times, 1);
  pass(1_000);
  await clock.compare("a", NOW + 60_000);
  assert.equal(asked.times, 2);
});

it("what is read needs no other question than what is written", async () => {
  const { clock, asked, pass } = server(HOUR);
  await clock.compare("a", NOW);
  pass(59_000);
  assert.equal((await clock.compare("a")).read(NOW + HOUR - 5), NOW - 5);
  assert.equal(asked.times, 1);
  pass(1_000);
  assert.equal((await clock.compare("a")).read(NOW + HOUR - 5), NOW - 5);
  assert.equal(asked.times, 2);
});

it("what is read goes by this host's clock as it has been set", async () => {
  const { clock, asked, setHost } = server(0);
  assert.equal((await clock.compare("a")).read(NOW - 5), NOW - 5);
  setHost(-HOUR);
  assert.equal((await clock.compare("a")).read(NOW - 5), NOW - HOUR - 5);
  assert.equal(asked.times, 2);
});

it("another connection's server is asked anew, and so is one after this host's clock was set", async () => {
  const { clock, asked } = server(0);
  await clock.compare("a", NOW);
  await clock.compare("b", NOW);
  assert.equal(asked.times, 2);
  assert.equal((await clock.compare("b", NOW + HOUR)).written(NOW + HOUR - 5), NOW - 5);
  assert.equal(asked.times, 3);
});

it("an answer that was long on its way is no difference between the clocks, and is not built upon", async () => {
  const { clock, asked } = server(0, 4_500);
  const clocks = await clock.compare("a", NOW);
  assert.equal(clocks.written(NOW - 5), NOW - 5);
  assert.equal(clocks.read(NOW - 5), NOW - 5);
  await clock.compare("a", NOW + 4_500);
  assert.equal(asked.times, 2);
});
