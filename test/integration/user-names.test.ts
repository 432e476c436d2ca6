/**
 * Whatever a user is called: mail is read as ever, the store has the very name, and a list of it
 * does a terminal no harm.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDovecot } from "../support/dovecot.ts";
import { DRIVERS, install, type Installation } from "../support/installation.ts";
import { runOk } from "../support/run.ts";

/** Names that Dovecot lets in where it is told to let everybody in. */
const NAMES = [
  "bob",
  "Bob",
  "bob ",
  " a b ",
  "o'brien\"`",
  "two\nlines\r\n",
  "\n",
  "tab\tand\vall\f",
  "x".repeat(255),
  "\u00e9".repeat(127),
  "\u{1f4ee}\u6f22\u5b57",
  // e with a combining accent: not to be made one with the one above
  "e\u0301",
  "a/../../b",
  "/etc/passwd",
  "\u001b[31mred\u001b]0;title\u0007\u009b2J",
  Array.from({ length: 31 }, (_, index) => String.fromCharCode(index + 1)).join("") + "\u007f",
  "evil\u202egnp.exe\u200b",
  "'; DROP TABLE popbsmtp; --",
  "x', 'y', now()) --",
  "\\'); DELETE FROM popbsmtp; --",
  "%s%n%u$1?:name",
  "$(touch /tmp/x)`id`${HOME}",
  "--help",
  "-",
  "*",
  "a=b;c&d|e",
  "trailing backslash \\",
];

/** A namespace that the user database moves somewhere else, in a field that is no identifier. */
const NAMESPACES = `
namespace inbox {
  inbox = yes
  separator = /
}
namespace extra {
  prefix = Default/
  separator = /
  location = maildir:~/extra
}
`;

for (const driver of DRIVERS) {
  test(`with ${driver}`, async (t) => {
    await using box = await install(driver);
    await using dovecot = await startDovecot({
      userdbFields: ["namespace/extra/prefix=Extra/"],
      config: NAMESPACES + (await box.popbsmtp("print", "dovecot", "2")),
    });

    await t.test("a userdb field whose name has slashes in it survives", async () => {
      using imap = await dovecot.imap();
      await imap.login("bob", dovecot.password);
      const namespaces = await imap.command("NAMESPACE");
      assert.match(namespaces, /"Extra\/"/);
      assert.doesNotMatch(namespaces, /Default/);
    });

    await t.test("every name reads its mail, and is recorded exactly", async () => {
      for (const [index, name] of NAMES.entries()) {
        // an address of its own each, so that it is known which row is whose
        const from = `127.0.1.${String(index + 1)}`;
        using imap = await dovecot.imap({ from });
        await imap.login(name, dovecot.password);
        await imap.logout();
        using pop3 = await dovecot.pop3({ from });
        await pop3.login(name, dovecot.password);
        await pop3.logout();
      }
      await box.popbsmtp("drain");
      assert.deepEqual(box.waiting(), []);
      assert.deepEqual(await users(box, "127.0.1."), NAMES);
    });

    await t.test("names at one address that look alike are not one", async () => {
      const alike = ["bob", "BOB", " bob", "b\u00f6b", "bo\u0308b", "bob\u0001"];
      for (const name of alike) await box.wrapper({ IP: "192.0.2.1", USER: name });
      await box.popbsmtp("drain");
      const found = await users(box, "192.0.2.1");
      assert.deepEqual(found.toSorted(compare), alike.toSorted(compare));
    });

    await t.test("what no name should be is recorded as near as text can be", async () => {
      const cases = [
        // not UTF-8: written down, and cannot be mistaken for another
        { ip: "192.0.2.11", user: String.raw`caf\xe9`, expected: String.raw`caf\xe9` },
        { ip: "192.0.2.12", user: String.raw`\xf0\x9f\x93!`, expected: String.raw`\xf0\x9f\x93!` },
        // longer than any store can index: cut, not in the middle of a character
        { ip: "192.0.2.13", user: "x".repeat(300), expected: "x".repeat(255) },
        { ip: "192.0.2.14", user: "\u00e9".repeat(300), expected: "\u00e9".repeat(127) },
        { ip: "192.0.2.15", user: "", expected: "" },
      ];
      for (const { ip, user, expected } of cases) {
        // Node's environment is UTF-8; printf makes bytes of \x..
        const shell = 'export IP=$1 USER=$(printf %b "$2"); shift 2; exec "$@"';
        const command = [box.program, "--config", box.config, "/bin/true"];
        await runOk("bash", ["-c", shell, "bash", ip, user, ...command], box.user);
        await box.popbsmtp("drain");
        assert.deepEqual(await users(box, ip), [expected]);
      }
    });

    await t.test("a list of them shows no control character, and each in a line", async () => {
      const list = await box.popbsmtp("list");
      assert.equal(list.trimEnd().split("\n").length, 1 + (await box.rows()).length);
      // neither what a terminal obeys, nor what turns text around or hides in it
      assert.doesNotMatch(list, /[^\P{C}\n]|[\u2028\u2029]/u);
      assert.doesNotMatch(await box.popbsmtp("list", "--json"), /[^\P{C}\n]/u);
    });
  });
}

/** The users of the rows whose address begins so, by address. */
async function users(box: Installation, prefix: string): Promise<readonly string[]> {
  const last = (address: string) => Number(address.split(".").at(-1));
  return (await box.rows())
    .filter(({ address }) => address.startsWith(prefix))
    .toSorted((a, b) => last(a.address) - last(b.address))
    .map(({ user }) => user);
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
