import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { bashCompletion } from "../../../scripts/package/bash-completion.ts";
import { debianChangelog } from "../../../scripts/package/changelog.ts";
import { commandTree, type CompletedCommand } from "../../../scripts/package/command-tree.ts";
import { portable, program } from "../../../scripts/package/contents.ts";
import { makeDeb } from "../../../scripts/package/deb.ts";
import { makeTarball } from "../../../scripts/package/tarball.ts";
import { units } from "../../../scripts/package/units.ts";
import { loadConfig } from "../../../src/config/reading/load.ts";
import { serviceUnit, SOCKETS, socketUnit } from "../../../src/setup/print-systemd.ts";
import { run, runOk } from "../../support/run.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const TIME = Date.parse("2026-03-03T10:00:00Z") / 1000;

/** The bytes of the package and of the tarball, made from nothing. */
async function made(umask: number): Promise<readonly Buffer[]> {
  await using directory = temporaryDirectory();
  const before = process.umask(umask);
  try {
    const files = [
      makeDeb(directory.path, await program("1.2.3", TIME), TIME, "none"),
      makeTarball(directory.path, "popbsmtp-1.2.3", await portable(), TIME),
    ];
    return files.map((file) => readFileSync(join(directory.path, file)));
  } finally {
    process.umask(before);
  }
}

describe("the package", () => {
  it("has the same bytes each time, whatever the umask is", async () => {
    assert.deepEqual(await made(0o077), await made(0o002));
  });

  it("belongs to root, and only popbsmtp may read the configuration", async () => {
    await using directory = temporaryDirectory();
    const file = makeDeb(directory.path, await program("1.2.3", TIME), TIME, "none");
    assert.equal(file, "popbsmtp_1.2.3_all.deb");
    const list = await runOk("dpkg-deb", ["--contents", join(directory.path, file)]);
    const lines = list.trim().split("\n");
    assert.ok(lines.every((line) => /^\S+ root\/root /.test(line)));
    const modes = new Map(lines.map((line) => [line.split(" ").at(-1), line.slice(0, 10)]));
    assert.equal(modes.get("./etc/popbsmtp/popbsmtp.toml"), "-rw-r-----");
    assert.equal(modes.get("./etc/popbsmtp/"), "drwxr-x---");
    assert.equal(modes.get("./usr/lib/popbsmtp/popbsmtp"), "-rwxr-xr-x");
    const odd = [...modes].filter(
      ([path = "", mode]) =>
        !path.startsWith("./etc/popbsmtp/") && !/^(?:drwxr-xr-x|-rw-r--r--|lrwx.*)$/.test(mode),
    );
    assert.deepEqual(
      odd.map(([path]) => path),
      ["./usr/lib/popbsmtp/popbsmtp"],
    );
  });

  it("configures nothing", async () => {
    await using directory = temporaryDirectory();
    const empty = join(directory.path, "empty.toml");
    writeFileSync(empty, "");
    const installed = join(directory.path, "popbsmtp.toml");
    const { entries } = await program("1.2.3", TIME);
    const entry = entries.get("etc/popbsmtp/popbsmtp.toml");
    assert.ok(entry !== undefined && "text" in entry);
    writeFileSync(installed, entry.text);
    assert.deepEqual({ ...(await loadConfig(installed)), path: empty }, await loadConfig(empty));
  });

  it("names each conffile", async () => {
    await using directory = temporaryDirectory();
    const file = makeDeb(directory.path, await program("1.2.3", TIME), TIME, "none");
    const path = join(directory.path, file);
    assert.equal(
      await runOk("dpkg-deb", ["--info", path, "conffiles"]),
      "/etc/logcheck/ignore.d.server/popbsmtp\n/etc/popbsmtp/popbsmtp.toml\n",
    );
    assert.equal(await runOk("dpkg-deb", ["--field", path, "Version"]), "1.2.3\n");
  });
});

describe("its units", () => {
  it("are those of print systemd for the defaults", async () => {
    await using directory = temporaryDirectory();
    const file = join(directory.path, "popbsmtp.toml");
    writeFileSync(file, "");
    const config = { ...(await loadConfig(file)), path: undefined };
    const packed = await units();
    const settings = (text: string) =>
      text.split("\n").filter((line) => line !== "" && !/^#|^Documentation=/.test(line));
    const printed = serviceUnit(config, ["/usr/lib/popbsmtp/popbsmtp"]).join("\n");
    assert.deepEqual(settings(packed.get("popbsmtp.service") ?? ""), settings(printed));
    for (const name of SOCKETS.filter((each) => each !== "metrics" && each !== "relay-ctrl")) {
      const own = settings(packed.get(`popbsmtp-${name}.socket`) ?? "").filter(
        (line) => line !== "ListenStream=/var/spool/postfix/popbsmtp/policy",
      );
      assert.deepEqual(own, settings(socketUnit(config.serve, name).join("\n")), name);
    }
  });

  it("are accepted by systemd without a warning", async () => {
    await using directory = temporaryDirectory();
    const files = [...(await units())].map(([name, text]) => {
      const file = join(directory.path, name);
      // the program has to be there, and its manual page
      const found = text.replace("/usr/lib/popbsmtp/popbsmtp", "/bin/true");
      writeFileSync(file, found.replace(/^Documentation=.*\n/m, ""));
      return file;
    });
    assert.equal(await runOk("systemd-analyze", ["verify", ...files]), "");
  });
});

describe("its changelog", () => {
  const markdown = `# Changelog

## [Unreleased]

### Added

- One thing, which takes two lines in Markdown, and other two, which a Debian changelog
  allows.

## [1.0.0] - 2026-11-24

- The first.
`;

  it("gives the unreleased changes to the next version", () => {
    assert.equal(
      debianChangelog(markdown, "1.1.0", TIME),
      `popbsmtp (1.1.0) unstable; urgency=medium

  * One thing, which takes two lines in Markdown, and other two, which a Debian
    changelog allows.

 -- the popbsmtp authors <popbsmtp@example.org>  Tue, 03 Mar 2026 10:00:00 +0000

popbsmtp (1.0.0) unstable; urgency=medium

  * The first.

 -- the popbsmtp authors <popbsmtp@example.org>  Tue, 24 Nov 2026 00:00:00 +0000
`,
    );
  });

  it("adds them to a version that is there already", () => {
    const text = debianChangelog(markdown, "1.0.0", TIME);
    assert.equal(text.match(/^popbsmtp \(/gm)?.length, 1);
    assert.match(text, /One thing[^]*The first/);
  });
});

describe("bash completes", () => {
  const tree = commandTree();

  const SCRIPT = `${bashCompletion(tree)}
    set -u
    while mapfile -d '' -t -n 1 count && ((\${#count[@]})); do
      mapfile -d '' -t -n "\${count[0]}" words
      COMP_WORDS=(popbsmtp "\${words[@]}") COMP_CWORD=\${#words[@]} COMPREPLY=()
      _popbsmtp
      printf '%s\\t' "\${COMPREPLY[@]}"
      echo
    done`;

  /** What bash offers for the last word of each command line. */
  async function offers(
    lines: readonly (readonly string[])[],
  ): Promise<readonly (readonly string[])[]> {
    // with a socket as its input, bash would read ~/.bashrc
    const { stdout } = await run("bash", ["--norc", "-c", SCRIPT], {
      cwd: "/etc",
      stdin: lines
        .map((words) => [words.length, ...words].map((word) => `${word}\0`).join(""))
        .join(""),
    });
    return stdout
      .toString()
      .split("\n")
      .slice(0, lines.length)
      .map((line) => line.split("\t").filter(Boolean));
  }

  async function offered(...words: readonly string[]): Promise<readonly string[]> {
    const [found = []] = await offers([words]);
    return found;
  }

  function everyCommand(
    command: CompletedCommand,
    before: readonly string[] = [],
  ): readonly (readonly [before: readonly string[], command: CompletedCommand])[] {
    return [
      [before, command],
      ...command.commands.flatMap((each) => everyCommand(each, [...before, each.name])),
    ];
  }

  it("the commands, values and options of each command", async () => {
    const all = everyCommand(tree);
    assert.ok(all.length > 20);
    const words = await offers(all.map(([before]) => [...before, ""]));
    const flags = await offers(all.map(([before]) => [...before, "--"]));
    for (const [index, [before, { commands, values, options, takesFile }]] of all.entries()) {
      const names = [...commands.map(({ name }) => name), ...values];
      const shown = words[index] ?? [];
      const expected = takesFile ? shown.filter((word) => names.includes(word)) : shown;
      assert.deepEqual(expected, names, before.join(" "));
      const long = options
        .flatMap((option) => option.names)
        .filter((name) => name.startsWith("--"));
      assert.deepEqual(flags[index], long, before.join(" "));
    }
  });

  it("a command after options and their values", async () => {
    assert.deepEqual(await offered("--config", "x.toml", "sch"), ["schema"]);
    assert.deepEqual(await offered("--config", "=", "x.toml", "sch"), ["schema"]);
    assert.deepEqual(await offered("print", "--help", "dov"), ["dovecot"]);
  });

  it("the value of an option", async () => {
    assert.deepEqual(await offered("print", "dovecot", "--dovecot", "2.4"), ["2.4"]);
    assert.deepEqual(await offered("print", "dovecot", "--dovecot", "=", "2.3"), ["2.3"]);
    assert.deepEqual(await offered("allow", "--user", ""), []);
  });

  it("files for --config, for a log and for a program", async () => {
    assert.deepEqual(await offered("--config", "hostn"), ["hostname"]);
    assert.deepEqual(await offered("--config", "=", "hostn"), ["hostname"]);
    assert.deepEqual(await offered("watch", "hostn"), ["hostname"]);
    assert.deepEqual(await offered("/etc/hostn"), ["/etc/hostname"]);
  });

  it("nothing after a program", async () => {
    assert.deepEqual(await offered("/usr/lib/dovecot/imap", ""), []);
  });
});
