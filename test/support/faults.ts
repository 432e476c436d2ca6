import assert from "node:assert/strict";
import type { Dovecot } from "./dovecot.ts";
import type { Installation, Row } from "./installation.ts";
import { readMail } from "./mail-session.ts";
import { waitUntil } from "./wait-until.ts";

/** Something that goes wrong, and is put right again. */
export interface Fault {
  /** What goes wrong: the end of "reading mail works as ever while ...". */
  readonly name: string;
  readonly begin: () => void | Promise<void>;
  readonly end: () => void | Promise<void>;
  /** What the wrapper has to say about it, in one line; undefined where it is not to notice. */
  readonly says: RegExp | undefined;
  /** Whether logins can be recorded meanwhile. Default true. */
  readonly recorded?: boolean;
  /** Whether the drain that waits for the end writes them by itself; otherwise `popbsmtp drain` is run. Default false. */
  readonly lingering?: boolean;
}

/** More than a login may take by a multiple, and less than any timeout: what takes longer hangs. Milliseconds. */
const HANGS = 1_500;

/** A mail program's stand-in, and what it says. */
const SPEAK = ["/usr/bin/printf", String.raw`* OK \000\303\277\r\n`];
const SPOKEN = Buffer.from("* OK \0\u00ff\r\n");

/**
 * Lets users read mail while the fault is there, over IMAP and POP3 and past Dovecot, and once it is over looks whether each login
 * that was recorded is in the store with its own time.
 *
 * @param untouched a Dovecot without popbsmtp, which says what users are to see
 */
export async function survive(
  fault: Fault,
  box: Installation,
  dovecot: Dovecot,
  untouched: Dovecot,
): Promise<void> {
  const start = Date.now();
  const prefix = `${String(start)}.`;
  const users: string[] = [];
  const user = () => {
    const next = `${prefix}${String(users.length + 1)}`;
    users.push(next);
    return next;
  };
  const logged = dovecot.log().length;
  await fault.begin();
  try {
    for (const protocol of ["imap", "pop3", "imap", "pop3"] as const) {
      const name = user();
      const { transcript, ms } = await readMail(dovecot, protocol, name);
      assert.equal(transcript, (await readMail(untouched, protocol, name)).transcript);
      assert.ok(ms < HANGS, `${protocol}: ${String(ms)} ms`);
    }
    const words = dovecot
      .log()
      .slice(logged)
      .split("\n")
      .filter((line) => /popbsmtp/.test(line));
    assert.ok(words.length <= users.length, words.join("\n"));
    // past Dovecot, to see every byte; what is said depends on how far a drain has come
    for (let said = false, times = 1; !said || times <= 2; times++) {
      const login = { IP: "192.0.2.1", USER: user() };
      const { status, stdout, stderr, ms } = await box.wrapper(login, SPEAK);
      assert.deepEqual([status, stdout], [0, SPOKEN]);
      assert.match(stderr.toString(), /^(?:popbsmtp: [^\n]*\n)?$/);
      assert.ok(ms < HANGS, `${String(ms)} ms`);
      said = fault.says?.test(stderr.toString()) ?? stderr.length === 0;
      // that drains do not come up is only said once a login has waited for ten seconds
      assert.ok(said || times < 100, stderr.toString());
    }
  } finally {
    await fault.end();
  }
  const end = Date.now();
  if (fault.recorded === false) users.length = 0;
  if (fault.lingering !== true) await box.popbsmtp("drain");
  let rows: readonly Row[] = [];
  await waitUntil("the recorded logins to be in the store", async () => {
    rows = (await box.rows()).filter((row) => row.user.startsWith(prefix));
    return rows.length >= users.length;
  });
  assert.deepEqual(rows.map((row) => row.user).toSorted(compare), users.toSorted(compare));
  for (const { user: whose, lastSeen, firstSeen, logins } of rows) {
    const time = Date.parse(lastSeen);
    assert.ok(start <= time && time <= end, `${whose}: ${lastSeen}`);
    assert.deepEqual([firstSeen, logins], [lastSeen, 1]);
  }
  // a row is there a moment before its file is gone
  await waitUntil("the spool to be empty", () => box.waiting().length === 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
