/** The wrapper on its own: how long it waits, what it says, and what it leaves in the spool. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { run, runOk, type RunResult } from "../support/run.ts";
import { createSqliteFile } from "../support/tables.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitUntil } from "../support/wait-until.ts";

const POPBSMTP = join(import.meta.dirname, "../../bin/popbsmtp");

interface Wrapper extends AsyncDisposable {
  readonly spool: string;
  /** Makes a drain that is alive and never drains anything: this process. */
  readonly hang: () => Promise<void>;
  /** Puts a login into the spool that has waited for so many milliseconds. */
  readonly leave: (age: number) => void;
  /** Runs the wrapper around printf(1), which says "mail". */
  readonly login: (
    options?: readonly string[],
    env?: Readonly<Record<string, string>>,
  ) => Promise<RunResult>;
  readonly waiting: () => readonly string[];
}

/** The program, alone in a directory but for `node`, with a spool. */
async function wrapper(
  node: string | undefined = `#!/bin/sh\nexec '${process.execPath}' "$@"\n`,
): Promise<Wrapper> {
  const directory = temporaryDirectory();
  const { path } = directory;
  const spool = join(path, "spool");
  const config = join(path, "popbsmtp.toml");
  const program = join(path, "popbsmtp");
  mkdirSync(spool);
  copyFileSync(POPBSMTP, program);
  if (node !== undefined) writeFileSync(join(path, "node"), node, { mode: 0o755 });
  writeFileSync(
    config,
    `spool = "${spool}"\nuser = "root"\nlinger = "0s"\n[store]\ndriver = "sqlite"\npath = "${path}/db/popbsmtp.db"\n`,
  );
  await createSqliteFile(join(path, "db", "popbsmtp.db"), "root");
  return {
    spool,
    hang: async () => {
      const lock = openSync(join(spool, ".lock"), "w");
      symlinkSync(`/proc/${process.pid}/fd/${lock}`, join(spool, ".drain"));
      mkdirSync(join(spool, ".ack"));
      const fifos = Array.from({ length: 64 }, (_, number) => join(spool, ".ack", String(number)));
      await runOk("mkfifo", fifos);
    },
    leave: (age) => {
      writeFileSync(join(spool, `${(Date.now() - age) * 1000}.1`), "1\x00192.0.2.9\0imap\0eve\0\n");
    },
    login: (options = [], env = {}) =>
      run(program, ["--config", config, ...options, "/usr/bin/printf", "mail"], {
        env: { IP: "192.0.2.1", USER: "bob", PATH: "/nonexistent", ...env },
      }),
    waiting: () => readdirSync(spool).filter((name) => /^\d/.test(name)),
    [Symbol.asyncDispose]: async () => {
      await waitUntil("drains to have ended", async () => {
        const { stdout } = await run("grep", ["-lsF", `${path}/`, ...processes()]);
        return stdout.length === 0;
      });
      await directory[Symbol.asyncDispose]();
    },
  };
}

function processes(): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map((name) => `/proc/${name}/cmdline`);
}

/** It became what it was told to, and said this. */
function assertBecame({ status, stdout, stderr }: RunResult, said: RegExp | ""): void {
  assert.deepEqual([status, stdout.toString()], [0, "mail"], stderr.toString());
  if (said === "") assert.equal(stderr.toString(), "");
  else assert.match(stderr.toString(), said);
}

describe("how long the wrapper waits", () => {
  it("does not depend on the wall clock", async () => {
    await using there = await wrapper();
    await there.hang();
    const library = join(dirname(there.spool), "clock-set-back.so");
    const source = join(import.meta.dirname, "../support/clock-set-back.c");
    await runOk("gcc", ["-Wall", "-shared", "-fPIC", "-o", library, source]);
    assertBecame(await there.login(["--wait", "100"], { LD_PRELOAD: library }), "");
    assert.equal(there.waiting().length, 1);
  });

  it("does not depend on what others write into its FIFO", async () => {
    await using there = await wrapper();
    await there.hang();
    const fifos = readdirSync(join(there.spool, ".ack")).map((name) =>
      join(there.spool, ".ack", name),
    );
    const flood = spawn(
      "bash",
      [
        "-c",
        `for fifo; do while printf '\\n%.0s' {1..1000}; do :; done 1<>"$fifo" & done; wait`,
        "flood",
        ...fifos,
      ],
      { detached: true },
    );
    const ended = new Promise((resolve) => flood.once("close", resolve));
    try {
      assertBecame(await there.login(), "");
    } finally {
      if (flood.pid !== undefined) process.kill(-flood.pid, "SIGKILL");
      await ended;
    }
  });

  it("is not at all where starting drains has not helped, and says what to do", async () => {
    await using there = await wrapper("#!/bin/sh\nexit 1\n");
    assertBecame(await there.login(), "");
    there.leave(20_000);
    assertBecame(
      await there.login(["--wait", "9000"]),
      /^popbsmtp: the login from 192\.0\.2\.1 waits in \S+, where the oldest has waited for 2\d s: run popbsmtp drain as root to see why\n$/,
    );
  });

  it("is the time it was told, though the drain at work hangs, which is said once it matters", async () => {
    await using there = await wrapper();
    await there.hang();
    assertBecame(await there.login(), "");
    there.leave(20_000);
    assertBecame(
      await there.login(),
      /, where the oldest has waited for 2\d s: run popbsmtp drain as root/,
    );
  });
});

describe("where Node", () => {
  for (const [what, node, said] of [
    ["is missing", undefined, /no Node beside \S+ and none on PATH\n$/],
    [
      "is too old",
      `#!/bin/sh\nexec '${process.execPath}' -r "\${0%/*}/old.cjs" "$@"\n`,
      /needs Node 24\.15 or later: \S+ is 20\.19\.0\n$/,
    ],
  ] as const) {
    it(`${what}, each login says so, and the next does not wait`, async () => {
      await using there = await wrapper(node);
      writeFileSync(
        join(dirname(there.spool), "old.cjs"),
        'Object.defineProperty(process.versions, "node", { value: "20.19.0" });',
      );
      if (node === undefined) rmSync(join(dirname(there.spool), "node"), { force: true });
      await there.login(["--wait", "9000"]);
      assertBecame(await there.login(["--wait", "9000"]), said);
      assert.equal(there.waiting().length, 2);
      // mended, the next login's drain takes all three
      writeFileSync(
        join(dirname(there.spool), "node"),
        `#!/bin/sh\nexec '${process.execPath}' "$@"\n`,
        {
          mode: 0o755,
        },
      );
      await waitUntil("the spool to be empty", async () => {
        await there.login();
        return there.waiting().length === 0;
      });
    });
  }
});

describe("--no-drain", () => {
  it("starts none, does not wait for one, and says nothing while others drain now and then", async () => {
    await using there = await wrapper();
    there.leave(60_000);
    assertBecame(await there.login(["--no-drain", "--wait", "9000"]), "");
    assert.equal(there.waiting().length, 2);
    assert.ok(!readdirSync(there.spool).some((name) => name.startsWith(".start-")));
    there.leave(300_000);
    assertBecame(
      await there.login(["--no-drain"]),
      /the oldest has waited for 30\d s: run popbsmtp drain/,
    );
  });
});

describe("an address in whatever spelling", () => {
  it("is in the store in its canonical one, and is excluded, looked up and revoked by that", async () => {
    await using there = await wrapper();
    const config = join(dirname(there.spool), "popbsmtp.toml");
    writeFileSync(config, `exclude = ["2001:db8:1::/48"]\n${readFileSync(config, "utf8")}`);
    const popbsmtp = (...args: readonly string[]) => run(POPBSMTP, ["--config", config, ...args]);
    const spellings = ["2001:DB8:0::1", "2001:0db8::0:1", "::FFFF:192.0.2.7", "2001:DB8:1::9"];
    for (const IP of spellings) assertBecame(await there.login(["--no-drain"], { IP }), "");
    await popbsmtp("drain");
    const list = async () => {
      const rows: readonly { address: string }[] = JSON.parse(
        await runOk(POPBSMTP, ["--config", config, "list", "--json"]),
      );
      return rows.map(({ address }) => address).toSorted();
    };
    assert.deepEqual(await list(), ["192.0.2.7", "2001:db8::1"]);
    assert.equal((await popbsmtp("check", "2001:DB8::1")).status, 0);

    // what waits in the spool in another spelling is revoked with the rest
    assertBecame(await there.login(["--no-drain"], { IP: "2001:DB8:0:0::1" }), "");
    assert.equal((await popbsmtp("revoke", "2001:db8::1")).status, 0);
    await popbsmtp("drain");
    assert.deepEqual(await list(), ["192.0.2.7"]);
    assert.deepEqual(there.waiting(), []);
    assert.ok(!existsSync(join(there.spool, "bad")));
  });
});

describe("what the wrapper says", () => {
  it("is of a sane length, and printable, whatever somebody has put in the drain's place", async () => {
    await using there = await wrapper();
    await there.hang();
    for (const name of [".notice", ".away"]) {
      writeFileSync(join(there.spool, name), `\u001b[2J${"x".repeat(1_000_000)}`);
      const said = await there.login();
      assertBecame(said, /^popbsmtp: [^\n]*\?\[2Jx+\n$/);
      assert.ok(said.stderr.length < 1_000);
    }
  });

  it("is that the configuration cannot be read, also where the default spool serves", async () => {
    await using there = await wrapper();
    assertBecame(
      await there.login(["--config", there.spool, "--no-drain"]),
      /^popbsmtp: \S+spool: cannot be read by this user; taking \/var\/spool\/popbsmtp for the spool/,
    );
  });
});

describe("what the wrapper leaves in the spool", () => {
  it("is a whole login or nothing, where a limit on files' sizes is in the way", async () => {
    await using there = await wrapper();
    await there.hang();
    const program = join(dirname(there.spool), "popbsmtp");
    const config = join(dirname(there.spool), "popbsmtp.toml");
    const { status, stdout, stderr } = await run(
      "prlimit",
      ["--fsize=20", program, "--config", config, "/usr/bin/printf", "mail"],
      { env: { PATH: "/usr/bin:/bin", IP: "192.0.2.1", USER: "bob" } },
    );
    assert.deepEqual([status, stdout.toString()], [0, "mail"]);
    assert.match(
      stderr.toString(),
      /spool: cannot write there: the login from 192\.0\.2\.1 is not recorded\n$/,
    );
    assert.deepEqual(there.waiting(), []);
  });

  it("has the address as it came, in every spelling that the drain understands", async () => {
    await using there = await wrapper();
    await there.hang();
    for (const [given, recorded] of [
      ["192.0.2.1", "192.0.2.1"],
      ["::ffff:192.0.2.1", "192.0.2.1"],
      ["::FFFF:192.0.2.1", "::FFFF:192.0.2.1"],
      ["2001:DB8:0::1", "2001:DB8:0::1"],
      ["fe80::1%eth0", "fe80::1"],
    ] as const) {
      assertBecame(await there.login(["--no-wait"], { IP: given }), "");
      const [name] = there.waiting();
      const file = join(there.spool, String(name));
      assert.equal(readFileSync(file, "latin1"), `1\x00${recorded}\0printf\0bob\0\n`);
      rmSync(file);
    }
    for (const IP of ["host", "1.2.3.4 ", "../1.2.3.4", "$(id).", "1.2.3.4\n", ":".repeat(46)]) {
      assertBecame(await there.login([], { IP }), /holds an IP address: no login is recorded\n$/);
    }
    assert.ok(!existsSync(join(there.spool, "bad")));
    assert.deepEqual(there.waiting(), []);
  });
});
