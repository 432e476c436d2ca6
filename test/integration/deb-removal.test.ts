/** Whether the package may be removed, according to the configuration of the mail servers. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../src/config/reading/load.ts";
import { dovecotServiceLines } from "../../src/setup/print-dovecot.ts";
import { dovecotDictLines, dovecotDictSocketLines } from "../../src/setup/print-dovecot-dict.ts";
import { policyLines, socketmapLines } from "../../src/setup/print-postfix-daemon.ts";
import { run, type RunResult } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PRERM = join(import.meta.dirname, "../../packaging/popbsmtp/prerm");
const PROGRAM = ["/usr/lib/popbsmtp/popbsmtp"];
const DICT = { release: "2.3", group: "dovecot" } as const;

interface MailServer {
  /** Dovecot's conf.d/99-popbsmtp.conf, and another file there. */
  readonly dovecot?: readonly string[];
  readonly other?: readonly string[];
  readonly postfix?: readonly string[];
  readonly master?: readonly string[];
}

/** Runs prerm on a host with this configuration of the mail servers. */
async function prerm(action: string, server: MailServer): Promise<RunResult> {
  await using directory = temporaryDirectory();
  const { path } = directory;
  const write = (file: string, lines: readonly string[] | undefined) => {
    if (lines !== undefined) writeFileSync(join(path, file), [...lines, ""].join("\n"));
  };
  mkdirSync(join(path, "dovecot/conf.d"), { recursive: true });
  mkdirSync(join(path, "postfix"));
  write("dovecot/dovecot.conf", ["protocols = imap", "ssl = no", "!include conf.d/*.conf"]);
  write("dovecot/conf.d/10-mail.conf", ["mail_location = maildir:~/Maildir"]);
  write("dovecot/conf.d/99-popbsmtp.conf", server.dovecot);
  write("dovecot/conf.d/10-other.conf", server.other);
  write("postfix/main.cf", ["compatibility_level = 3.6", ...(server.postfix ?? [])]);
  write("postfix/master.cf", ["smtp inet n - y - - smtpd", ...(server.master ?? [])]);
  const bind = 'for each in dovecot postfix; do mount --bind "$0/$each" "/etc/$each"; done';
  const script = `${bind} && exec sh "${PRERM}" "$1"`;
  return await run("unshare", ["--mount", "sh", "-e", "-c", script, path, action]);
}

async function defaults() {
  return (await loadConfig(undefined)).serve;
}

test("a host without popbsmtp in its mail servers lets it go", async () => {
  const { status, stderr } = await prerm("remove", {
    postfix: ["myhostname = popbsmtp.example.org", "mydestination = $myhostname, popbsmtp"],
  });
  assert.deepEqual([status, stderr.toString()], [0, ""]);
});

test("Dovecot that reports logins keeps it, however it does, and the message says how to go on", async () => {
  const serve = await defaults();
  const forms = [
    dovecotDictLines(PROGRAM, "popbsmtp", DICT),
    dovecotDictSocketLines(serve.dict, DICT),
    dovecotServiceLines(PROGRAM, "popbsmtp"),
  ].map((dovecot) => prerm("remove", { dovecot }));
  for (const { status, stderr } of await Promise.all(forms)) {
    assert.equal(status, 1);
    assert.match(stderr.toString(), /^popbsmtp is not removed.*\n {2}Dovecot: .*popbsmtp/);
    assert.match(
      stderr.toString(),
      /^ {2}rm \/etc\/dovecot\/conf\.d\/99-popbsmtp\.conf && doveadm reload$/m,
    );
    assert.doesNotMatch(stderr.toString(), /[Pp]ostfix/);
  }
});

test("a file with other settings of Dovecot is to be edited, not deleted", async () => {
  const other = dovecotDictLines(PROGRAM, "popbsmtp", DICT);
  const { status, stderr } = await prerm("remove", { other });
  assert.equal(status, 1);
  assert.match(
    stderr.toString(),
    /^ {2}edit \/etc\/dovecot\/conf\.d\/10-other\.conf, then: doveadm reload$/m,
  );
});

test("Postfix that asks it keeps it, in main.cf and in master.cf", async () => {
  const serve = await defaults();
  const forms = [
    { postfix: policyLines(serve) },
    { postfix: socketmapLines(serve) },
    {
      postfix: [
        "smtpd_relay_restrictions =",
        "  check_client_access proxy:pgsql:/etc/postfix/popbsmtp.cf, reject",
      ],
    },
    { master: ["  -o smtpd_relay_restrictions=check_policy_service,unix:popbsmtp/policy,reject"] },
  ].map((server) => prerm("remove", server));
  for (const { status, stderr } of await Promise.all(forms)) {
    assert.equal(status, 1, stderr.toString());
    assert.match(stderr.toString(), /^ {2}Postfix: .*popbsmtp/m);
    assert.match(stderr.toString(), /postfix reload$/m);
    assert.doesNotMatch(stderr.toString(), /doveadm/);
  }
});

test("an upgrade asks nothing", async () => {
  const { status, stderr } = await prerm("upgrade", { postfix: policyLines(await defaults()) });
  assert.deepEqual([status, stderr.toString()], [0, ""]);
});
