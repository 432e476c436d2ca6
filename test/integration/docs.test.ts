/**
 * The documentation against the program: what it says is there is there, and what is there is in
 * it.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Command } from "commander";
import { createProgram } from "../../src/cli.ts";
import { loadConfig } from "../../src/config/reading/load.ts";
import { createMetrics } from "../../src/daemon/metrics/metrics.ts";
import { ConfigError } from "../../src/lib/errors.ts";
import { DOCS, examples, PAGES, section } from "../support/docs.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { recorder } from "../unit/commands/recorder.ts";

function read(file: string): string {
  return readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
}

/** The program, whose commands do nothing. */
function idleProgram(): Command {
  const program = createProgram({ terminal: recorder(), now: () => 0 });
  for (const command of commandsOf(program)) {
    if (command.commands.length === 0) command.action(() => {});
  }
  return program;
}

function commandsOf(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(commandsOf)];
}

function path(command: Command): string {
  return command.parent === null ? command.name() : `${path(command.parent)} ${command.name()}`;
}

test("every command and every option is in the documentation", () => {
  for (const command of commandsOf(idleProgram())) {
    assert.ok(DOCS.includes(`\`${path(command)}`), path(command));
    for (const { long, hidden } of command.options) {
      if (!hidden) assert.ok(DOCS.includes(long ?? ""), `${path(command)} ${long}`);
    }
  }
  for (const option of ["--wait MS", "--no-wait", "--no-drain", "--service S", "--export NAME"]) {
    assert.ok(DOCS.includes(`\`${option}\``), option);
  }
});

test("every command line in the documentation is one that the program takes", async () => {
  const inFences = examples("sh").join("\n").replaceAll("\\\n", " ").split("\n");
  const inText = Array.from(DOCS.matchAll(/`(popbsmtp [^`\n]+)`/g), ([, line = ""]) => line);
  const lines = [...inFences, ...inText].flatMap((line) =>
    Array.from(
      line.matchAll(/(?:^ *|[(|;] ?|checkpassword +)popbsmtp ((?:[^|>;)'"#\s]+ ?)+)/g),
      ([, words = ""]) => words.trim().split(" "),
    ),
  );
  assert.ok(lines.length > 30);
  const names = new Set(commandsOf(idleProgram()).map((command) => path(command).slice(9)));
  for (const words of lines) {
    // "--config FILE ..." and what the wrapper becomes are not for commander
    if (words.includes("...")) continue;
    // a command's name alone
    if (names.has(words.join(" "))) continue;
    const isCommand = idleProgram().commands.some((command) => command.name() === words[0]);
    if (!isCommand && words.some((word) => word.includes("/"))) assertWrapper(words);
    else await idleProgram().parseAsync(words, { from: "user" }).catch(unlessVersion);
  }
});

function assertWrapper(words: readonly string[]): void {
  const line = words.join(" ");
  assert.match(
    line,
    /^(?:(?:--wait \d+|--no-wait|--no-drain|--service \w+|--export \w+) )*\/[\w./-]+/,
  );
}

function unlessVersion(error: unknown): void {
  if (error instanceof Error && "exitCode" in error && error.exitCode === 0) return;
  throw error;
}

test("every configuration in the documentation loads", async () => {
  await using directory = temporaryDirectory();
  const secret = join(directory.path, "secret");
  const ca = join(directory.path, "ca.pem");
  const allow = join(directory.path, "dracd.allow");
  writeFileSync(allow, "255.255.255.255 192.0.2.25\n");
  writeFileSync(secret, "secret\n");
  writeFileSync(ca, "-----BEGIN CERTIFICATE-----\n");
  const configurations = examples("toml");
  assert.ok(configurations.length >= 6);
  for (const [index, text] of configurations.entries()) {
    const file = join(directory.path, `${index}.toml`);
    writeFileSync(
      file,
      text
        .replaceAll(/"\/etc\/popbsmtp\/\w+\.password"/g, `"${secret}"`)
        .replaceAll("/etc/popbsmtp/ca.pem", ca)
        .replaceAll("/etc/mail/dracd.allow", allow),
    );
    await loadConfig(file);
  }
});

test("the configuration reference has every key, and no other", async () => {
  await using directory = temporaryDirectory();
  const file = join(directory.path, "popbsmtp.toml");
  const server = (driver: string) => `[store]\ndriver = "${driver}"\ndatabase = "mail"\n`;
  const drivers = [
    server("pgsql"),
    server("mysql"),
    ...["sqlite", "relay-ctrl", "drac"].map((driver) => `[store]\ndriver = "${driver}"\n`),
  ];
  const inside = (name: string) => [`${server("pgsql")}[store.${name}]\n`];
  const sections = {
    "At the top of the file": [""],
    "`[store]`": drivers,
    "`[store.purger]` and `[store.reader]`": [...inside("purger"), ...inside("reader")],
    "`[store.ssl]`": inside("ssl"),
    "`[store.columns]`": inside("columns"),
    "`[serve]`": ["[serve]\n"],
    "`[watch]`": ["[watch]\n"],
    "`[allow]`": ["[allow]\n"],
  };
  for (const [title, beginnings] of Object.entries(sections)) {
    const known: string[] = [];
    for (const text of beginnings) known.push(...(await keysKnown(file, text)));
    // a section is a key where it stands
    const keys = new Set(
      title.startsWith("At")
        ? known.filter((key) => !["store", "serve", "watch", "allow"].includes(key))
        : known,
    );
    assert.deepEqual(keysDescribed(title), [...keys].toSorted(), title);
  }
});

/** The keys that the program says it knows where `text` ends. */
async function keysKnown(file: string, text: string): Promise<readonly string[]> {
  writeFileSync(file, `${text}no_such_key_at_all = 1\n`);
  try {
    await loadConfig(file);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    const known = /unknown key; known here: (.*)/.exec(error.message)?.[1];
    assert.ok(known !== undefined, error.message);
    return known.split(", ");
  }
  assert.fail("an unknown key was taken");
}

/** The keys that the list below a heading begins its items with. */
function keysDescribed(title: string): readonly string[] {
  return Array.from(
    section(`### ${title}`).matchAll(/^- `([a-z0-9-]+)`/gm),
    ([, key = ""]) => key,
  ).toSorted();
}

test("every metric is documented, and no other", () => {
  const metrics = createMetrics();
  const text = metrics.render({
    version: "",
    node: "",
    driver: "",
    known: 0,
    spool: { logins: 0, oldestSeconds: 0 },
    stores: [{ store: undefined, isUp: true, spool: undefined }],
    hosts: [{ store: "", host: "", isCurrent: true, isUp: true }],
  });
  const names = Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name = ""]) => name);
  assert.ok(names.length > 10);
  const [list = ""] = section("## Metrics").split("\nAlert on");
  const described = Array.from(
    list.matchAll(/`((?:popbsmtp|process)_\w+)`/g),
    ([, name = ""]) => name,
  );
  assert.deepEqual(described.toSorted(), names.toSorted());
});

test("every event of the daemon's log is documented, at its level", () => {
  const log = section("## The log");
  const levels = new Map(
    Array.from(
      log.matchAll(/^Level (\w+):\n([^]*?)(?=^Level|$(?![^]))/gm),
      ([, name, list = ""]) => [name, list],
    ),
  );
  const events = sources().flatMap((text) =>
    Array.from(
      text.matchAll(/\blog\.(debug|info|warning|error)\(\s*"([a-z-]+)"/g),
      ([, level, event]) => ({ level, event }),
    ),
  );
  assert.ok(events.length > 15);
  for (const { level, event } of events) {
    assert.ok(levels.get(level)?.includes(`\`${event}\``), `${event} at level ${level}`);
  }
});

function launcherText(): string {
  return readdirSync(new URL("../../bin/launcher/", import.meta.url))
    .map((name) => read(`bin/launcher/${name}`))
    .join("\n");
}

function sources(): readonly string[] {
  return readdirSync(new URL("../../src/", import.meta.url), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => read(`src/${file}`));
}

test("the documentation says what to do about everything that the wrapper may say", () => {
  const launcher = launcherText();
  const messages = Array.from(
    launcher.matchAll(
      /p_(?:trouble|complaint)="([^"]+)"|leave_word "([^"]+)"|printf 'popbsmtp: ([^']+)\\n'/g,
    ),
    ([, assigned, left, printed]) => assigned ?? left ?? printed ?? "",
  ).filter((message) => message !== "%s");
  assert.ok(messages.length >= 10);
  for (const message of messages) {
    for (const words of message.split(/\$(?:\w+|\{[^}]*\}|\(\(.*?\)\))|%[sd]/)) {
      assert.ok(DOCS.includes(words.trim()), `${message}: ${words}`);
    }
  }
});

/** Messages of other programs, with the file that has them in it. */
const OF_OTHERS: ReadonlyMap<string, string> = new Map([
  ["last_login_dict: Failed to write value", "/usr/lib/dovecot/modules/lib10_last_login_plugin.so"],
  ["last_login_dict: Write was unconfirmed", "/usr/lib/dovecot/modules/lib10_last_login_plugin.so"],
  ["454 4.7.1 Relay access denied", "/usr/lib/postfix/sbin/smtpd"],
  ["451 4.3.5 Server configuration error", "/usr/lib/postfix/sbin/smtpd"],
  ["ready and waiting", "/usr/sbin/rpcinfo"],
  ["no users kicked", "/usr/bin/doveadm"],
]);

/** Messages that come from the kernel by way of Node or Postfix. */
const OF_SYSTEM: ReadonlySet<string> = new Set([
  "connect ENOENT /run/rpcbind.sock",
  "connect to ... popbsmtp/policy: No such file or directory",
]);

test("every message that the documentation quotes is one that a program prints", () => {
  const programs = [...sources(), read("scripts/build.ts")];
  const literals = [...programs.flatMap(stringsOf), ...bashStrings(launcherText())];
  const quoted = new Set(spans().filter(isMessage));
  assert.ok(quoted.size > 25);
  const unknown = [...quoted].filter((message) => {
    const file = OF_OTHERS.get(message);
    // the code in front is not a part of the format
    if (file !== undefined) return !readFileSync(file).includes(message.replace(/^[\d. ]+/, ""));
    return !OF_SYSTEM.has(message) && !isPrinted(message, literals);
  });
  assert.deepEqual(unknown, []);
});

/** What stands between backquotes, with the line breaks that do not count. */
function spans(): readonly string[] {
  const text = DOCS.replaceAll(/^ *```[^]*?^ *```$/gm, "");
  return Array.from(text.matchAll(/`([^`]+)`/g), ([, span = ""]) => span.replaceAll(/\s+/g, " "));
}

/** Three words or more that are neither a command line nor a setting. */
function isMessage(span: string): boolean {
  if (span.split(" ").length < 3 || /\d:\d\d:/.test(span)) return false;
  return (
    !/^(?:popbsmtp|man|postconf|systemctl|chgrp|npm|kill|bash|ALTER|grep|psql|echo|create|check_|event key)/.test(
      span.replace(/^popbsmtp: /, ""),
    ) && !/ = |^\[|^service popbsmtp$|=\S+ .*=/.test(span.replace("client_limit = 1", ""))
  );
}

/**
 * Each part of a message, between its colons, is in one string of the program; what varies is in
 * capitals.
 */
function isPrinted(message: string, literals: readonly string[]): boolean {
  const parts = message.split(/: |:$/).filter((part) => /[a-z]{2}/.test(part));
  return parts.every((part) => {
    const pieces = part
      .split(/\b(?:[A-Z]{2,}|[AN])\b/)
      .map((piece) => piece.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&"));
    const pattern = new RegExp(pieces.join(".+?"));
    return literals.some((literal) => pattern.test(literal));
  });
}

/** The strings of TypeScript, without comments; what is put together with + is one string. */
function stringsOf(text: string): readonly string[] {
  let code = text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
  // from the inside out: there are templates in templates
  const varying = /\$\{[^{}]*\}/g;
  while (varying.test(code)) code = code.replaceAll(varying, "VARIES");
  code = code.replaceAll(/["`] \+\s+["`]/g, "");
  return Array.from(code.matchAll(/"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g), ([string]) => string);
}

function bashStrings(text: string): readonly string[] {
  const code = text.replaceAll(/^\s*#.*$/gm, "");
  return Array.from(code.matchAll(/"[^"\n]*"|'[^'\n]*'/g), ([string]) => string);
}

test("every link leads to a page and a heading, and every page can be reached from the README", () => {
  const anchors = new Map(PAGES.map(({ name, text }) => [name, headings(text).map(anchor)]));
  const reached = new Set(["README.md"]);
  for (const { name, text } of PAGES) {
    const own = anchors.get(name) ?? [];
    assert.equal(new Set(own).size, own.length, `${name}: a heading occurs twice`);
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (target.startsWith("https://")) continue;
      const [file = "", heading] = target.split("#");
      const page = file === "" ? name : join(dirname(name), file);
      assert.ok(existsSync(new URL(`../../${page}`, import.meta.url)), `${name}: ${target}`);
      reached.add(page);
      if (heading !== undefined)
        assert.ok(anchors.get(page)?.includes(heading), `${name}: ${target}`);
    }
  }
  const [{ text: readme } = { text: "" }] = PAGES;
  const [, map = ""] = readme.split("\n## Documentation\n");
  for (const { name } of PAGES.slice(1)) {
    assert.ok(readme.includes(`](${name})`), `${name} is not in the README`);
    assert.ok(/from-/.test(name) || map.includes(`](${name})`), `${name} is not in the map`);
  }
});

function headings(text: string): readonly string[] {
  const prose = text.replaceAll(/^ *```[^]*?^ *```$/gm, "");
  return Array.from(prose.matchAll(/^#+ (.*)$/gm), ([, heading = ""]) => heading);
}

/** As GitHub makes it of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

test("every file of the project that the documentation names is there", () => {
  const named = Array.from(
    DOCS.matchAll(/(?<![\w/.-])(?:bin|src|sql|test|scripts|bench|docs)\/[\w./-]*/g),
    ([file]) => file.replace(/\.$/, ""),
  );
  assert.ok(named.length > 5);
  const missing = named.filter((file) => !existsSync(new URL(`../../${file}`, import.meta.url)));
  assert.deepEqual(missing, []);
});

test("every npm script that the documentation names is in package.json", () => {
  const { scripts }: { scripts: Readonly<Record<string, string>> } = JSON.parse(
    read("package.json"),
  );
  const named = Array.from(DOCS.matchAll(/\bnpm (?:run ([\w:]+)|test\b)/g), ([, name]) => name);
  assert.ok(named.length >= 4);
  const missing = named.filter((name = "test") => !(name in scripts));
  assert.deepEqual(missing, []);
});
