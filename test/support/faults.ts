import assert from "node:assert/strict";
import type { Dovecot } from "./dovecot.ts";
import type { Installation } from "./installation.ts";
import type { Row } from "./tables.ts";
import { readMail } from "./mail-session.ts";
import { waitUntil } from "./wait-until.ts";

/** A fault that begins and ends. */
export interface Fault {
  /** The fault in words: the end of "reading mail works as ever while ...". */
  readonly name: string;
  readonly begin: () => void | Promise<void>;
  readonly end: () => void | Promise<void>;
  /** The wrapper's message about it, in one line; undefined if the wrapper must not notice. */
  readonly says: RegExp | undefined;
  /** Whether logins can be recorded during the fault. Default true. */
  readonly recorded?: boolean;
  /**
   * Whether a waiting drain writes the logins by itself after the fault; otherwise `popbsmtp drain`
   * is run. Default false.
   */
  readonly lingering?: boolean;
}

/**
 * Several times as long as a login may take, and shorter than any timeout: a longer login hangs.
 * Milliseconds.
 */
const HANGS = 1_500;

/** A stand-in for the mail program, and its output. */
const SPEAK = ["/usr/bin/printf", String.raw`* OK \000\303\277\r\n`];
const SPOKEN = Buffer.from("* OK \0\u00ff\r\n");

/**
 * Lets users read mail during a fault, over IMAP and POP3 and without Dovecot; afterwards checks
 * that each recorded login is in the store with its own time.
 *
 * @param untouched a Dovecot without popbsmtp, whose sessions are the reference
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
    // without Dovecot, to see every byte; the message depends on the progress of a drain
    const patience = performance.now() + 30_000;
    for (let said = false, times = 1; !said || times <= 2; times++) {
      const login = { IP: "192.0.2.1", USER: user() };
      const { status, stdout, stderr, ms } = await box.wrapper(login, SPEAK);
      assert.deepEqual([status, stdout], [0, SPOKEN]);
      assert.match(stderr.toString(), /^(?:popbsmtp: [^\n]*\n)?$/);
      assert.ok(ms < HANGS, `${String(ms)} ms`);
      said = fault.says?.test(stderr.toString()) ?? stderr.length === 0;
      // the wrapper reports that no drain starts only once a login has waited for ten seconds
      assert.ok(said || performance.now() < patience, `says: ${stderr.toString()}`);
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
  // a row is in the store a moment before its file is removed
  await waitUntil("the spool to be empty", () => box.waiting().length === 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
