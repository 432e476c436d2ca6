/** The rules of the package for logcheck(8), with lines in the format of the daemon's log. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { createLog, type Log } from "../../../src/daemon/log/log.ts";
import { run } from "../../support/run.ts";

const RULES = new URL("../../../packaging/popbsmtp/logcheck", import.meta.url).pathname;

/** As rsyslog writes them: from the journal, in either format of the time, and from Dovecot. */
const PREFIXES = [
  "Nov  6 18:52:41 mail popbsmtp[4711]: ",
  "2026-11-06T18:52:41.123456+00:00 mail.example popbsmtp[4711]: ",
  "2026-11-06T18:52:41.123456+00:00 mail dovecot: popbsmtp: ",
  "Nov 16 18:52:41 mail dovecot: popbsmtp(4711): ",
];

/** The lines, with each prefix, that logcheck would report. */
async function reported(tell: (log: Log) => void): Promise<readonly string[]> {
  const texts: string[] = [];
  const log = createLog({
    level: "info",
    style: (_level, text) => text,
    write: (text) => texts.push(text) > 0,
  });
  tell(log);
  log.flush();
  assert.ok(texts.length > 0);
  const lines = PREFIXES.flatMap((prefix) => texts.map((text) => `${prefix}${text}\n`));
  const { stdout } = await run("grep", ["-E", "-v", "-f", RULES], { stdin: lines.join("") });
  return stdout.toString().split("\n").filter(Boolean);
}

it("logcheck reports no line of a daemon at work", async () => {
  const lines = await reported((log) => {
    log.info("ready", {
      version: "1.0.0",
      listens: "dict=/run/popbsmtp/dict policy=127.0.0.1:10040",
    });
    for (const address of ["192.0.2.1", "2001:db8::1"]) {
      for (const outcome of ["committed", "spooled", "excluded", "not-allowed"]) {
        for (const user of ["bob@example.org", "a b", 'x" outcome=lost', "a\nb\\", "é", ""]) {
          log.info("login", { address, user, service: "imap", outcome });
        }
      }
    }
    log.info("login", {
      address: "192.0.2.1",
      user: "x ".repeat(400),
      service: "pop3",
      outcome: "committed",
    });
    log.info("purged", { authorizations: 12 });
    log.info("reloaded");
    log.info("stopping");
    log.info("stopped");
  });
  assert.deepEqual(lines, []);
});

it("logcheck reports lost logins, warnings and errors", async () => {
  const lines = await reported((log) => {
    log.info("login", { address: "192.0.2.1", user: "bob", service: "imap", outcome: "lost" });
    log.info("login", {
      address: "192.0.2.1",
      user: 'x" service=imap outcome=committed',
      service: "imap",
      outcome: "lost",
    });
    log.warning("store-away", { store: "pgsql", reason: "stopped" });
    log.error("login-lost", {
      address: "192.0.2.1",
      user: "bob",
      reason: "purged authorizations=1",
    });
    log.error("problem", { reason: "stopping" });
  });
  assert.equal(lines.length, 5 * PREFIXES.length);
});
