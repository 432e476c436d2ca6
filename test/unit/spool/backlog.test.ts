import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Backlog } from "../../../src/spool/backlog.ts";

/** The `number`th name, of one microsecond. */
function name(number: number): string {
  return `${String(1_700_000_000_000_000 + number)}.${String(number % 7)}`;
}

/** All numbers below `count`, in an order that is anything but theirs. */
function shuffled(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => (index * 7_919) % count);
}

describe("the backlog of a spool", () => {
  it("gives the oldest first, however many there are and in whatever order they were found", () => {
    const backlog = new Backlog();
    const count = 10_007;
    for (const number of shuffled(count)) backlog.add(name(number));
    assert.equal(backlog.length, count);
    const taken: string[] = [];
    while (backlog.length > 0) taken.push(...backlog.take(500).map((entry) => entry.name));
    assert.deepEqual(
      taken,
      Array.from({ length: count }, (_, number) => name(number)),
    );
    assert.deepEqual(backlog.take(1), []);
  });

  it("knows the newest, also once it is taken", () => {
    const backlog = new Backlog();
    const newest = () => backlog.newest?.name;
    assert.equal(newest(), undefined);
    for (const number of shuffled(10)) backlog.add(name(number));
    assert.equal(newest(), name(9));
    backlog.take(10);
    assert.equal(newest(), name(9));
  });

  it("takes what is added later in its turn", () => {
    const backlog = new Backlog();
    for (const number of [5, 3]) backlog.add(name(number));
    assert.equal(backlog.take(1)[0]?.name, name(3));
    backlog.add(name(4));
    assert.deepEqual(
      backlog.take(9).map((entry) => entry.name),
      [name(4), name(5)],
    );
  });
});
