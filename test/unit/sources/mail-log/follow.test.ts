import assert from "node:assert/strict";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { follow } from "../../../../src/sources/mail-log/follow.ts";
import type { LogPosition } from "../../../../src/sources/mail-log/log-file.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitUntil } from "../../../support/wait-until.ts";

interface Log extends AsyncDisposable {
  readonly path: string;
  /** A file beside it. */
  beside(name: string): string;
  write(...lines: readonly string[]): void;
  /** Where the last reading has ended. */
  place: LogPosition | undefined;
  /** Parts that were lost. */
  readonly gaps: LogPosition[];
  /** Reads to the end. */
  read(from?: LogPosition | number): Promise<readonly string[]>;
  /** Follows, until {@link Following.stop}. */
  follow(from?: LogPosition): Following;
}

interface Following extends AsyncDisposable {
  readonly lines: readonly string[];
  /** Waits until so many lines have come. */
  until(lines: number): Promise<readonly string[]>;
}

function openLog(): Log {
  const directory = temporaryDirectory();
  const path = join(directory.path, "mail.log");
  const gaps: LogPosition[] = [];
  const run = (lines: string[], signal: AbortSignal, once: boolean, from?: LogPosition | number) =>
    follow({
      path,
      from,
      once,
      signal,
      take: (found) => {
        lines.push(...found.lines.map(String));
        there.place = found.next;
      },
      onGap: (place) => gaps.push(place),
    });
  const there: Log = {
    path,
    gaps,
    place: undefined,
    beside: (name) => join(directory.path, name),
    write: (...lines) => appendFileSync(path, lines.map((line) => `${line}\n`).join("")),
    read: async (from) => {
      const lines: string[] = [];
      await run(lines, new AbortController().signal, true, from);
      return lines;
    },
    follow: (from) => {
      const lines: string[] = [];
      const leave = new AbortController();
      const ended = run(lines, leave.signal, false, from);
      return {
        lines,
        until: async (count) => {
          await waitUntil(`${count} lines`, () => lines.length >= count);
          return lines;
        },
        [Symbol.asyncDispose]: async () => {
          leave.abort();
          await ended;
        },
      };
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
  return there;
}

/** As logrotate's `create` does. */
function rotate(log: Log): void {
  renameSync(log.path, log.beside("mail.log.1"));
  writeFileSync(log.path, "");
}

/** As logrotate's `copytruncate` does. */
function copyAndTruncate(log: Log): void {
  copyFileSync(log.path, log.beside("mail.log.1"));
  truncateSync(log.path);
}

test("lines arrive as they are written, also in pieces", async () => {
  await using there = openLog();
  there.write("one");
  await using following = there.follow();
  await following.until(1);
  for (const letter of "two\nthree") appendFileSync(there.path, letter);
  await following.until(2);
  appendFileSync(there.path, "\n");
  assert.deepEqual(await following.until(3), ["one", "two", "three"]);
});

test("a missing log is awaited", async () => {
  await using there = openLog();
  await using following = there.follow();
  there.write("one");
  assert.deepEqual(await following.until(1), ["one"]);
});

test("lines of a renamed log precede those of the new one", async () => {
  await using there = openLog();
  there.write("one");
  await using following = there.follow();
  await following.until(1);
  rotate(there);
  appendFileSync(there.beside("mail.log.1"), "two\n");
  await following.until(2);
  appendFileSync(there.beside("mail.log.1"), "three\n");
  there.write("four");
  await following.until(4);
  there.write("five");
  assert.deepEqual(await following.until(5), ["one", "two", "three", "four", "five"]);
});

test("a log may be absent for a while", async () => {
  await using there = openLog();
  there.write("one");
  await using following = there.follow();
  await following.until(1);
  unlinkSync(there.path);
  there.write("two");
  assert.deepEqual(await following.until(2), ["one", "two"]);
});

test("a truncated log begins again, even if it has outgrown its former size", async () => {
  await using there = openLog();
  there.write("one");
  await using following = there.follow();
  await following.until(1);
  writeFileSync(there.path, "another, which is longer\nthree\n");
  assert.deepEqual(await following.until(3), ["one", "another, which is longer", "three"]);
});

test("lines of a truncated log that only the copy has are read there", async () => {
  await using there = openLog();
  there.write("one");
  await there.read();
  there.write("two");
  copyAndTruncate(there);
  there.write("three");
  assert.deepEqual(await there.read(there.place), ["two", "three"]);
});

test("reading resumes in the same file", async () => {
  await using there = openLog();
  there.write("one");
  appendFileSync(there.path, "tw");
  assert.deepEqual(await there.read(), ["one"]);
  appendFileSync(there.path, "o\nthree\n");
  assert.deepEqual(await there.read(there.place), ["two", "three"]);
});

test("reading resumes in the rotated log, and continues through all later files", async () => {
  await using there = openLog();
  there.write("one");
  await there.read();
  there.write("two");
  age(there.path, 300);
  renameSync(there.path, there.beside("mail.log.2"));
  writeFileSync(there.beside("mail.log.1"), "three\n");
  age(there.beside("mail.log.1"), 200);
  writeFileSync(there.beside("mail.log.3"), "long read\n");
  age(there.beside("mail.log.3"), 400);
  there.write("four");
  assert.deepEqual(await there.read(there.place), ["two", "three", "four"]);
});

for (const name of ["mail.log-20260303", "mail-20260303.log", "mail.1.log", "mail.log.old"]) {
  test(`a rotated log may be named ${name}`, async () => {
    await using there = openLog();
    there.write("one");
    await there.read();
    there.write("two");
    renameSync(there.path, there.beside(name));
    there.write("three");
    assert.deepEqual(await there.read(there.place), ["two", "three"]);
  });
}

test("a file of the same inode and another content is another file", async () => {
  await using there = openLog();
  there.write("one");
  await there.read();
  const place = there.place;
  // the file system may well give the number to the next file
  writeFileSync(there.path, "new, with the same inode\n");
  assert.deepEqual(await there.read(place), ["new, with the same inode"]);
  assert.deepEqual(there.gaps, [place]);
});

test("lines that were compressed unread are reported, and the rest is read", async () => {
  await using there = openLog();
  there.write("one");
  await there.read();
  const { place } = there;
  assert.ok(place !== undefined);
  renameSync(there.path, there.beside("mail.log.2.gz"));
  writeFileSync(there.beside("mail.log.2.gz"), "compressed");
  writeFileSync(there.beside("mail.log.1"), "three\n");
  utimesSync(there.beside("mail.log.1"), place.modified / 1000 + 1, place.modified / 1000 + 1);
  there.write("four");
  assert.deepEqual(await there.read(place), ["three", "four"]);
  assert.deepEqual(there.gaps, [place]);
});

test("with a time, rotated logs written to since then are read, too", async () => {
  await using there = openLog();
  for (const [name, seconds] of [
    ["mail.log.3", 300],
    ["mail.log.2", 200],
    ["mail.log.1", 100],
  ] as const) {
    writeFileSync(there.beside(name), `${name}\n`);
    age(there.beside(name), seconds);
  }
  there.write("mail.log");
  const since = Date.now() - 250_000;
  assert.deepEqual(await there.read(since), ["mail.log.2", "mail.log.1", "mail.log"]);
});

/** Last written to so many seconds ago. */
function age(path: string, seconds: number): void {
  const time = Date.now() / 1000 - seconds;
  utimesSync(path, time, time);
}

test("a line that is too long counts as empty, however long it is", async () => {
  await using there = openLog();
  for (const length of [8 * 1024 + 1, 64 * 1024, 200_000]) there.write("x".repeat(length), "next");
  assert.deepEqual(await there.read(), ["", "next", "", "next", "", "next"]);
});

test("an endless line is not passed before it ends", async () => {
  await using there = openLog();
  there.write("one");
  appendFileSync(there.path, "x".repeat(150_000));
  await using following = there.follow();
  await following.until(1);
  const { place } = there;
  assert.equal(place?.offset, 4);
  appendFileSync(there.path, "user=<bob>\ntwo\n");
  assert.deepEqual(await following.until(3), ["one", "", "two"]);
  assert.deepEqual(await there.read(place), ["", "two"]);
});

test("lines that were not passed are returned again", async () => {
  await using there = openLog();
  there.write("one", "two");
  await assert.rejects(
    follow({
      path: there.path,
      signal: new AbortController().signal,
      take: () => {
        throw new Error("full");
      },
    }),
    /full/,
  );
  assert.deepEqual(await there.read(there.place), ["one", "two"]);
});

test("a directory that is created again is noticed", async () => {
  await using there = openLog();
  const path = there.beside("log/mail.log");
  mkdirSync(there.beside("log"));
  writeFileSync(path, "one\n");
  const lines: string[] = [];
  const leave = new AbortController();
  const ended = follow({
    path,
    signal: leave.signal,
    take: (found) => void lines.push(...found.lines.map(String)),
  });
  await waitUntil("the first line", () => lines.length === 1);
  rmSync(there.beside("log"), { recursive: true });
  mkdirSync(there.beside("log"));
  writeFileSync(path, "two\n");
  await waitUntil("the next line", () => lines.length === 2, { timeout: 30_000 });
  leave.abort();
  await ended;
  assert.deepEqual(lines, ["one", "two"]);
});
