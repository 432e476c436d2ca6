import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, it, test } from "node:test";
import { UserList } from "../../../../src/guards/user-list.ts";
import { parseNetwork } from "../../../../src/login/address.ts";
import type { Login } from "../../../../src/login/login.ts";
import { Formats } from "../../../../src/mail-formats/formats.ts";
import type { Selection } from "../../../../src/sources/mail-log/selector.ts";
import { watchLog, watchStream } from "../../../../src/sources/mail-log/watch-log.ts";
import { parseEntry, parseEntryName } from "../../../../src/spool/entry.ts";
import { Spool } from "../../../../src/spool/spool.ts";
import { configWith } from "../../../support/config.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const NOW = Date.parse("2026-03-03T10:00:00");
const MINUTE = 60_000;

interface Watched extends AsyncDisposable {
  readonly told: string[];
  write(...lines: readonly string[]): void;
  /** Reads the log to its end. */
  watch(options?: Partial<Selection>): Promise<void>;
  /** The same for a stream. */
  stream(chunks: readonly string[], options?: Partial<Selection>): Promise<void>;
  /** What is in the spool: user and milliseconds before now. */
  spooled(): readonly [string, number][];
}

function watched(): Watched {
  const directory = temporaryDirectory();
  const { path } = directory;
  const log = join(path, "mail.log");
  const told: string[] = [];
  const selection = (options: Partial<Selection>): Selection => ({
    formats: Formats.named("auto"),
    admission: configWith(),
    now: () => NOW,
    lifetime: 30 * MINUTE,
    quietAfter: 60 * MINUTE,
    onQuiet: ({ lines, sample }) => told.push(`quiet ${lines} ${sample}`),
    onRefused: (why) => told.push(`refused ${why}`),
    onLogin: ({ user }, outcome) => told.push(`${outcome} ${user}`),
    ...options,
  });
  return {
    told,
    write: (...lines) => appendFileSync(log, lines.map((each) => `${each}\n`).join("")),
    watch: (options = {}) =>
      watchLog({
        ...selection(options),
        path: log,
        spool: path,
        once: true,
        signal: new AbortController().signal,
        onGap: () => told.push("gap"),
      }),
    stream: (chunks, options = {}) =>
      watchStream(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), {
        ...selection(options),
        spool: new Spool(path),
      }),
    spooled: () =>
      readdirSync(path)
        .map((name) => ({ entry: parseEntryName(name), file: join(path, name) }))
        .flatMap(({ entry, file }) => {
          const login: Login | undefined = entry && parseEntry(entry, readFileSync(file));
          return login === undefined ? [] : [login];
        })
        .toSorted((a, b) => a.time - b.time)
        .map(({ user, time }): [string, number] => [user, Math.round((NOW - time) * 1000) / 1000]),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

/** A line of Dovecot's, so many milliseconds ago. */
function line(user: string, ago: number, address = "192.0.2.1"): string {
  const [, month, day, year, time] = new Date(NOW - ago).toString().split(" ");
  assert.equal(year, "2026");
  return `${month} ${day} ${time} mx dovecot: imap-login: Login: user=<${user}>, method=PLAIN, rip=${address}, lip=198.51.100.1, mpid=1, session=<x>`;
}

test("logins are recorded with the log's time, and expired ones are not", async () => {
  await using there = watched();
  there.write(line("early", 31 * MINUTE), line("bob", 29 * MINUTE), line("eve", 1_000));
  await there.watch();
  assert.deepEqual(
    there.spooled().map(([user]) => user),
    ["bob", "eve"],
  );
  assert.deepEqual(there.told, ["spooled bob", "spooled eve"]);
});

test("two logins in a second stay two, with the same times at every reading", async () => {
  await using there = watched();
  there.write("noise", line("bob", 5_000), line("bob", 5_000));
  await there.watch();
  const times = [
    ["bob", 4_999.999],
    ["bob", 4_999.998],
  ];
  assert.deepEqual(there.spooled(), times);
  await there.watch({ since: NOW - MINUTE });
  assert.deepEqual(there.spooled(), times);
});

test("reading resumes where it stopped", async () => {
  await using there = watched();
  there.write(line("bob", 5_000));
  await there.watch();
  there.write(line("eve", 4_000));
  await there.watch();
  assert.deepEqual(there.told, ["spooled bob", "spooled eve"]);
});

test("with a time, all lines since then are read again, expired or not", async () => {
  await using there = watched();
  there.write(line("old", 600 * MINUTE), line("late", 40 * MINUTE), line("bob", MINUTE));
  await there.watch();
  await there.watch({ since: NOW - 60 * MINUTE });
  assert.deepEqual(there.told, ["spooled bob", "spooled late", "spooled bob"]);
  assert.equal(there.spooled().length, 2);
});

test("logins that are not allowed are reported, and not recorded", async () => {
  await using there = watched();
  there.write(line("bob", 5_000), line("eve", 4_000));
  const users = new UserList(["e*"]);
  const allow = { users, networks: undefined, services: undefined };
  await there.watch({ admission: configWith({ allow }) });
  assert.deepEqual(
    there.spooled().map(([user]) => user),
    ["eve"],
  );
  assert.deepEqual(there.told.toSorted(), ["not-allowed bob", "spooled eve"]);
});

test("excluded addresses are reported, and not recorded", async () => {
  await using there = watched();
  const network = parseNetwork("192.0.2.0/24");
  assert.ok(network !== undefined);
  there.write(line("bob", 5_000), line("eve", 4_000, "2001:db8::1"));
  await there.watch({ admission: configWith({ exclude: [network] }) });
  assert.deepEqual(
    there.spooled().map(([user]) => user),
    ["eve"],
  );
  assert.deepEqual(there.told.toSorted(), ["excluded bob", "spooled eve"]);
});

test("lines are counted by kind", async () => {
  await using there = watched();
  const counts: unknown[] = [];
  const known = line("eve", 5_000).replace("Login:", "Disconnected:");
  there.write(line("bob", 5_000), known, known.replace("dovecot: imap-login", "sshd"), "noise");
  await there.watch({ onLines: (each) => counts.push(each) });
  assert.deepEqual(counts, [{ login: 1, refused: 0, known: 1, other: 1, unknown: 1 }]);
});

test("a long time without a recognised line is reported once, with a sample", async () => {
  await using there = watched();
  let now = NOW;
  const chunks = ["first \u001B[2J\n", "second\n", "third\n", "fourth\n"];
  await there.stream(chunks, { now: () => (now += 20 * MINUTE) });
  assert.deepEqual(there.told, ["quiet 3 first \\u001b[2J"]);
});

test("a mail server's lines count as recognised without logins", async () => {
  await using there = watched();
  let now = NOW;
  const known = `${line("bob", 0).replace("Login:", "Disconnected:")}\n`;
  await there.stream(["first\n", known, "third\n", "fourth\n"], {
    now: () => (now += 20 * MINUTE),
  });
  assert.deepEqual(there.told, []);
});

test("a log without a recognised line is reported at its end", async () => {
  await using there = watched();
  there.write("one", "two");
  await there.watch();
  assert.deepEqual(there.told, ["quiet 2 one"]);
});

test("a stream is read to its end, in any pieces", async () => {
  await using there = watched();
  const first = `${line("first", 3 * MINUTE)}\n${line("bob", 2 * MINUTE)}\n`;
  const text = `${first}${"x".repeat(20_000)}\n${line("next", MINUTE)}\n${line("eve", 4_000)}`;
  await there.stream(text.match(/[^]{1,7}/g) ?? []);
  // what came before the first line is not known, and the one after the long line may be its rest
  assert.equal(there.told.filter((what) => what.startsWith("refused")).length, 2);
  assert.deepEqual(
    there.spooled().map(([user]) => user),
    ["bob", "eve"],
  );
});

test("a login in the future is reported and not recorded", async () => {
  await using there = watched();
  there.write(line("bob", -120 * MINUTE).replace(/^.{16}/, "2026-03-03T12:00:00+00:00 "));
  await there.watch();
  assert.deepEqual(there.spooled(), []);
  assert.match(there.told.join(), /^refused its time is 2h ahead/);
});

/** A line of no interest with another time. */
function noise(time: string): string {
  return `${time} mx postfix/qmgr[1]: 4Xy: removed`;
}

describe("a line without a year, which could be today's, is from an earlier year", () => {
  /** Longer than what is read at once. */
  const year = [
    ...Array<string>(5_000).fill(noise("Jun  3 10:00:00")),
    ...Array<string>(5_000).fill(noise("Jan  3 10:00:00")),
  ];

  it("if lines of other months follow, however many", async () => {
    await using there = watched();
    there.write(line("past", 5_000), ...year, line("bob", 4_000), ...noises(5_000));
    there.write(line("eve", 3_000), line("joe", 2_000), ...noises(1));
    await there.watch();
    assert.deepEqual(there.told, ["spooled bob", "spooled eve", "spooled joe"]);
  });

  it("if lines with a year follow", async () => {
    await using there = watched();
    there.write(line("past", 5_000), noise("2025-03-04T10:00:00Z"), line("bob", 4_000));
    await there.watch();
    assert.deepEqual(there.told, ["spooled bob"]);
  });

  it("and is recorded with that year's time on request", async () => {
    await using there = watched();
    there.write(line("past", 5_000), noise("Jun  3 10:00:00"), line("bob", 4_000));
    await there.watch({ since: NOW - 800 * 1_440 * MINUTE });
    assert.deepEqual(
      there.spooled().map(([user, ago]) => [user, Math.round(ago / MINUTE / 1_440)]),
      [
        ["past", 365],
        ["bob", 0],
      ],
    );
  });

  it("in a pipe, as far as it has been read", async () => {
    await using there = watched();
    const lines = [line("early", 90_000), line("past", 5_000), noise("Jun  3 10:00:00")];
    await there.stream([[...lines, line("bob", 4_000)].join("\n")]);
    assert.deepEqual(there.told.slice(1), ["spooled bob"]);
  });

  it("but not if lines are out of order by less than a day", async () => {
    await using there = watched();
    there.write(line("bob", 5_000), line("eve", 20 * 60 * MINUTE), noise("Mar  3 00:00:00"));
    await there.watch();
    assert.deepEqual(there.told, ["spooled bob"]);
  });
});

function noises(count: number): readonly string[] {
  return Array<string>(count).fill(noise("Mar  3 09:59:56"));
}
