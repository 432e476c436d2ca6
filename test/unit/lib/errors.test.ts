import { reasonOf } from "../../../src/lib/errors.ts";
import assert from "node:assert/strict";
import { describe, it } from "node:test";

describe("reasonOf", () => {
  it("is the error's message", () => {
    assert.equal(reasonOf(new Error("out of order")), "out of order");
  });

  it("lists the errors in an AggregateError without a message", () => {
    const error = new AggregateError([
      new Error("refused on ::1"),
      new Error("refused on 127.0.0.1"),
    ]);
    assert.equal(reasonOf(error), "refused on ::1, refused on 127.0.0.1");
  });

  it("is never empty", () => {
    assert.equal(reasonOf(new TypeError("")), "TypeError");
    assert.equal(reasonOf("a string"), "a string");
  });

  it("is one printable line", () => {
    assert.equal(
      reasonOf(new Error("value \u001b[2J\nfor column\u0000")),
      "value  [2J for column ",
    );
  });
});
