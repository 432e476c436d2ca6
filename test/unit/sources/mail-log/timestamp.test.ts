import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { parseTimestamp, timestampEnd } from "../../../../src/sources/mail-log/timestamp.ts";

/**
 * The time in a line at a given time, both as RFC 3339 has them in UTC; undefined where there is
 * none.
 */
function time(text: string, latest: string, zone = "UTC"): string | undefined {
  process.env["TZ"] = zone;
  const parsed = parseTimestamp(text, Date.parse(latest));
  return parsed === undefined ? undefined : new Date(parsed).toISOString();
}

const NOW = "2026-03-03T12:00:00Z";

afterEach(() => delete process.env["TZ"]);

describe("a time", () => {
  for (const text of [
    "Mar  3 10:00:01",
    "Mar 03 10:00:01",
    "Mar  3 10:00:01.000000",
    "Tue Mar  3 10:00:01 2026",
    "2026-03-03 10:00:01",
    "2026-03-03 10:00:01,000",
    "2026-03-03T10:00:01",
    "2026-03-03T10:00:01Z",
    "2026-03-03T10:00:01.000000Z",
    "2026-03-03T10:00:01+00:00",
    "2026-03-03T11:00:01+0100",
    "2026-03-03T15:30:01.000+05:30",
    "2026-03-02T23:00:01-11:00",
  ]) {
    it(`is found before a message: ${text}`, () => {
      const line = `${text} mail dovecot: x`;
      assert.equal(timestampEnd(line), text.length);
      assert.equal(timestampEnd(`dovecot: ${line}`, 9), 9 + text.length);
      assert.equal(time(text, NOW), "2026-03-03T10:00:01.000Z");
    });
  }

  it("is exact to a microsecond", () => {
    const at = (text: string) => parseTimestamp(text, 0);
    const second = Date.parse("2026-03-03T10:00:01Z");
    assert.equal(at("2026-03-03T10:00:01.123456Z"), second + 123.456);
    assert.equal(at("2026-03-03T10:00:01.123456789Z"), second + 123.456);
    assert.equal(at("2026-03-03T10:00:01.5Z"), second + 500);
    assert.equal(at("2026-03-03T10:00:01,007Z"), second + 7);
  });

  for (const text of [
    "",
    "Mar 33 10:00:01",
    "Feb 30 10:00:01",
    "Mai  3 10:00:01",
    "Mar  3 24:00:01",
    "Mar  3 10:60:01",
    "Mar  3 10:00:61",
    "Mar  3 10:00",
    "2026-13-03T10:00:01Z",
    "2026-00-03T10:00:01Z",
    "2026-03-00T10:00:01Z",
    "2026-03-03T10:00:01 CET",
    "2026-03-03T10:00:01+1",
    "٢٠٢٦-03-03T10:00:01Z",
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => assert.equal(time(text, NOW), undefined));
  }
});

describe("a time without a year", () => {
  it("is of this year", () => {
    assert.equal(time("Jan  1 00:00:00", NOW), "2026-01-01T00:00:00.000Z");
  });

  it("in December is of last year in January", () => {
    assert.equal(time("Dec 31 23:59:59", "2027-01-01T00:00:00Z"), "2026-12-31T23:59:59.000Z");
  });

  it("of the next year's first second is not an old one", () => {
    assert.equal(time("Jan  1 00:00:00", "2026-12-31T23:59:59.9Z"), "2027-01-01T00:00:00.000Z");
  });

  it("that is hours ahead is in the future, not of last year", () => {
    assert.equal(time("Mar  3 15:00:00", NOW), "2026-03-03T15:00:00.000Z");
  });

  it("that is days ahead is of last year", () => {
    assert.equal(time("Mar  5 12:00:00", NOW), "2025-03-05T12:00:00.000Z");
  });

  it("on 29 February is of the last leap year", () => {
    assert.equal(time("Feb 29 10:00:01", NOW), "2024-02-29T10:00:01.000Z");
    assert.equal(time("Feb 29 10:00:01", "2103-06-01T00:00:00Z"), "2096-02-29T10:00:01.000Z");
  });

  it("is local time across New Year, too", () => {
    const line = (latest: string, zone: string) => time("Jan  1 00:30:00", latest, zone);
    assert.equal(line("2026-12-31T23:31:00Z", "Europe/Berlin"), "2026-12-31T23:30:00.000Z");
    assert.equal(line("2027-01-01T05:31:00Z", "America/New_York"), "2027-01-01T05:30:00.000Z");
  });
});

describe("a time without a zone", () => {
  it("is summer time in summer", () => {
    assert.equal(
      time("Jul  3 10:00:01", "2026-07-03T09:00:00Z", "Europe/Berlin"),
      "2026-07-03T08:00:01.000Z",
    );
    assert.equal(
      time("2026-07-03 10:00:01", "2026-07-03T09:00:00Z", "Europe/Berlin"),
      "2026-07-03T08:00:01.000Z",
    );
  });

  it("that occurs twice in autumn is the first of the two", () => {
    for (const text of ["Oct 25 02:30:00", "2026-10-25 02:30:00"]) {
      assert.equal(time(text, "2026-10-25T02:00:00Z", "Europe/Berlin"), "2026-10-25T00:30:00.000Z");
    }
    assert.equal(
      time("Nov  1 01:30:00", "2026-11-01T08:00:00Z", "America/New_York"),
      "2026-11-01T05:30:00.000Z",
    );
  });

  it("before and after the hour that occurs twice is unambiguous", () => {
    const at = (text: string) => time(text, "2026-10-25T06:00:00Z", "Europe/Berlin");
    assert.equal(at("Oct 25 01:59:59"), "2026-10-24T23:59:59.000Z");
    assert.equal(at("Oct 25 03:00:00"), "2026-10-25T02:00:00.000Z");
  });

  it("that spring skips is invalid", () => {
    const at = (text: string) => time(text, "2026-03-29T06:00:00Z", "Europe/Berlin");
    assert.equal(at("Mar 29 01:59:59"), "2026-03-29T00:59:59.000Z");
    assert.equal(at("2026-03-29 02:30:00"), undefined);
    assert.equal(at("Mar 29 03:00:00"), "2026-03-29T01:00:00.000Z");
  });

  it("with a zone does not depend on this host's zone", () => {
    for (const zone of ["Europe/Berlin", "Asia/Kolkata", "America/New_York"]) {
      assert.equal(time("2026-10-25T02:30:00+01:00", NOW, zone), "2026-10-25T01:30:00.000Z");
    }
  });
});
