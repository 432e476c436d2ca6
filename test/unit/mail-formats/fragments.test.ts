import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { Formats } from "../../../src/mail-formats/formats.ts";
import { Fragments } from "../../../src/mail-formats/fragments.ts";
import { parseLine } from "../../../src/sources/mail-log/line.ts";
import { linesOf } from "../../../src/sources/mail-log/lines.ts";
import { parsePattern } from "../../../src/mail-formats/pattern.ts";
import { watchLog, watchStream } from "../../../src/sources/mail-log/watch-log.ts";
import { configWith } from "../../support/config.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const DAY = Date.parse("2026-03-03T00:00:00Z");
const NOW = DAY + 10 * 3_600_000;

interface Told {
  readonly from?: Fragments;
  readonly formats?: Formats;
}

/** What a program says, so many seconds after ten o'clock. */
function said(program: string, message: string, second = 0): string {
  const time = new Date(NOW - 600_000 + second * 1000).toISOString();
  return `${time} mail ${program}: ${message}\n`;
}

/** What each of the lines is. */
async function kinds(
  text: string | readonly string[],
  { from = new Fragments(), formats = Formats.named("auto") }: Told = {},
): Promise<readonly string[]> {
  const bytes = Buffer.from(typeof text === "string" ? text : text.join(""), "latin1");
  const found: string[] = [];
  for await (const lines of linesOf(Readable.from([bytes]))) {
    for (const line of lines) {
      found.push(parseLine(line, { formats, fragments: from, now: NOW }).kind);
    }
  }
  return found;
}

const COURIER = "LOGIN, user=bob, ip=[192.0.2.66], port=[1], protocol=IMAP";
const CYRUS = "login: h [192.0.2.66] bob plaintext User logged in";
const UW = "Login user=bob host=h [192.0.2.66]";
const DOVECOT = "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.66, lip=198.51.100.1";
/** As Dovecot writes it with imap_id_log. */
const ID = "imap-login: ID sent: name=";

/** `text` as the first piece, whose length is `length`. */
function piece(text: string, length: number): string {
  return text.padEnd(length, "x");
}

const COURIER_PIECE = piece("LOGIN FAILED, user=", 505);
const DOVECOT_PIECE = piece(ID, 4070);

describe("a piece of a longer message is not a login", () => {
  for (const [program, first, login] of [
    ["imapd", COURIER_PIECE, COURIER],
    ["imapd[9]", COURIER_PIECE, COURIER],
    ["imapd[9]", COURIER_PIECE, CYRUS],
    ["imapd[9]", COURIER_PIECE, UW],
    ["dovecot", DOVECOT_PIECE, DOVECOT],
    ["cyrus/imap[7]", piece("badlogin: h [192.0.2.66] plaintext ", 1000), CYRUS],
  ] as const) {
    const short = login.slice(0, 30);
    it(`${program}: ${short}...`, async () => {
      assert.deepEqual(await kinds(said(program, login)), ["login"]);
      const lines = [said(program, first), said(program, login)];
      assert.deepEqual(await kinds(lines), ["known", "refused"]);
    });

    it(`${program}: ${short}..., however late it comes and whatever comes between`, async () => {
      assert.deepEqual(await kinds([said(program, first), said(program, login, 500)]), [
        "known",
        "refused",
      ]);
      const between = said(program, "Connection, ip=[192.0.2.1]", 1);
      const lines = [said(program, first), between, between, said(program, login, 2)];
      assert.equal((await kinds(lines)).at(-1), "refused");
    });

    it(`${program}: ${short}... counts again half a minute later`, async () => {
      const lines = [said(program, first), said(program, "x", 1), said(program, login, 31)];
      assert.equal((await kinds(lines)).at(-1), "login");
    });
  }

  it("if it is as long as one", async () => {
    const user = "x".repeat(500);
    for (const [program, login] of [
      ["imapd", COURIER.replace("bob", user)],
      ["imapd[9]", CYRUS.replace("bob", user)],
      ["dovecot", `${DOVECOT}, a=<${"x".repeat(4000)}>`],
    ] as const) {
      assert.deepEqual(await kinds(said(program, login)), ["refused"]);
    }
  });

  it("in any configured format", async () => {
    for (const name of ["courier", "cyrus", "uw"]) {
      const login = { courier: COURIER, cyrus: CYRUS, uw: UW }[name] ?? "";
      const formats = Formats.named(name);
      const lines = [said("imapd[9]", COURIER_PIECE), said("imapd[9]", login)];
      assert.deepEqual(await kinds(lines, { formats }), ["known", "refused"]);
    }
  });

  it("with a pattern", async () => {
    const pattern = parsePattern("user=(?<user>.*), ip=.(?<address>[^\\]]*)");
    assert.ok(typeof pattern !== "string");
    const formats = Formats.own(pattern);
    const lines = [said("popd", piece("failed ", 505)), said("popd", COURIER)];
    assert.deepEqual(await kinds(lines, { formats }), ["other", "refused"]);
    assert.deepEqual(
      await kinds([said("other", "x".repeat(505)), said("popd", COURIER)], { formats }),
      ["other", "login"],
    );
  });

  it("after a line that is too long, of any program", async () => {
    const long = said("postfix/smtpd[1]", "x".repeat(8000));
    const login = said("dovecot", DOVECOT, 1);
    assert.deepEqual(await kinds([long, login]), ["unknown", "refused"]);
    const late = [long, said("dovecot", "x", 1), said("dovecot", DOVECOT, 40)];
    assert.equal((await kinds(late)).at(-1), "login");
  });

  it("after a failed Courier login in the journal, which removes the blanks that show the length", async () => {
    const failed = "LOGIN FAILED, user=x, ip=[192.0.2.1], port=[1]";
    const journal = [said("imapd[9]", failed), said("imapd[9]", COURIER, 100)];
    assert.deepEqual(await kinds(journal), ["known", "refused"]);
    const other = [
      said("imapd[9]", failed),
      said("imapd[9]", "Connection"),
      said("imapd[9]", COURIER),
    ];
    assert.equal((await kinds(other)).at(-1), "login");
    const late = [
      said("imapd[9]", COURIER_PIECE),
      said("imapd[9]", failed, 29),
      said("imapd[9]", COURIER, 100),
    ];
    assert.equal((await kinds(late)).at(-1), "refused");
    // nobody takes them off in a file
    assert.equal((await kinds([said("imapd", failed), said("imapd", COURIER)])).at(-1), "login");
  });
});

describe("a short line after another", () => {
  it("is a login, and so is one after another program's piece", async () => {
    const lines = [said("imapd", COURIER), said("imapd", COURIER)];
    assert.deepEqual(await kinds(lines), ["login", "login"]);
    assert.deepEqual(await kinds([said("imapd", COURIER_PIECE), said("pop3d", COURIER)]), [
      "known",
      "login",
    ]);
  });

  it("is a login although the clock was set back by days since a piece", async () => {
    const lines = [
      said("imapd", COURIER_PIECE),
      said("imapd", "x"),
      said("imapd", COURIER, -1_000_000),
    ];
    assert.equal((await kinds(lines)).at(-1), "login");
  });
});

it("a program called imapd without a process id is Courier's", async () => {
  for (const login of [CYRUS, UW]) {
    assert.deepEqual(await kinds(said("imapd", login)), ["known"]);
    assert.deepEqual(await kinds(said("imapd[9]", login)), ["login"]);
  }
});

describe("the state of the lines before", () => {
  const options = (path: string) => ({
    path,
    formats: Formats.named("auto"),
    admission: configWith(),
    now: () => NOW,
    lifetime: 1_800_000,
    quietAfter: 0,
    onQuiet: () => undefined,
    onGap: () => undefined,
    signal: new AbortController().signal,
    once: true,
  });

  /** Reads a log to its end, and goes on with it later. */
  function log() {
    const directory = temporaryDirectory();
    const path = join(directory.path, "mail.log");
    return {
      path,
      watch: async () => {
        const told: string[] = [];
        await watchLog({
          ...options(path),
          spool: directory.path,
          onRefused: () => told.push("refused"),
          onLogin: () => told.push("login"),
        });
        return told;
      },
      [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
    };
  }

  it("is passed to the next process", async () => {
    await using there = log();
    writeFileSync(there.path, said("imapd", COURIER_PIECE));
    assert.deepEqual(await there.watch(), []);
    appendFileSync(there.path, said("imapd", COURIER, 500));
    assert.deepEqual(await there.watch(), ["refused"]);
    appendFileSync(there.path, said("imapd", COURIER, 540));
    assert.deepEqual(await there.watch(), ["login"]);
  });

  it("is unknown after a truncation: a program's first line authorizes no address", async () => {
    await using there = log();
    writeFileSync(there.path, said("imapd", "LOGOUT"));
    await there.watch();
    copyFileSync(there.path, `${there.path}.1`);
    truncateSync(there.path);
    appendFileSync(there.path, said("imapd", COURIER) + said("imapd", COURIER, 1));
    assert.deepEqual(await there.watch(), ["refused", "login"]);
  });

  it("is unknown at first if the log had been rotated", async () => {
    await using there = log();
    writeFileSync(there.path, said("imapd", COURIER) + said("imapd", COURIER));
    writeFileSync(`${there.path}.1.gz`, "");
    assert.deepEqual(await there.watch(), ["refused", "login"]);
  });

  it("is unknown at the beginning of a pipe", async () => {
    const told: string[] = [];
    const text = said("imapd", COURIER) + said("imapd", COURIER, 29) + said("imapd", COURIER, 30);
    await watchStream(Readable.from([Buffer.from(text)]), {
      ...options(""),
      spool: { write: () => undefined },
      onRefused: () => told.push("refused"),
      onLogin: () => told.push("login"),
    });
    assert.deepEqual(told, ["refused", "refused", "login"]);
  });
});
