/**
 * Reading mail works as ever while something is wrong with popbsmtp itself: its spool, its
 * configuration, its Node.
 */
import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { account } from "../support/accounts.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { survive, type Fault } from "../support/faults.ts";
import { install, type Installation } from "../support/installation.ts";
import { run } from "../support/run.ts";
import { mountTmpfs, type Tmpfs } from "../support/tmpfs.ts";
import { waitUntil } from "../support/wait-until.ts";

// the store plays no part here
let box: Installation;
let dovecot: Dovecot;
let untouched: Dovecot;
before(async () => {
  box = await install("sqlite");
  dovecot = await startDovecot({ config: await box.popbsmtp("print", "dovecot", "2") });
  untouched = await startDovecot();
});
after(async () => {
  await untouched[Symbol.asyncDispose]();
  await dovecot[Symbol.asyncDispose]();
  await box[Symbol.asyncDispose]();
});

test("reading mail works as ever while", async (t) => {
  for (const fault of [...spoolFaults(box), ...configFaults(box), ...nodeFaults(box)]) {
    await t.test(fault.name, () => surviveAndRecover(fault));
  }
});

test("on a file system of its own, reading mail works as ever while", async (t) => {
  await box.killDrains();
  await using stack = new AsyncDisposableStack();
  const fileSystem = stack.use(await mountTmpfs(box.spool, box.user));
  stack.defer(() => box.killDrains());
  for (const fault of fileSystemFaults(box, fileSystem)) {
    await t.test(fault.name, () => surviveAndRecover(fault));
  }
});

test("under Dovecot's default vsz_limit, reading mail works as ever while", async (t) => {
  const printed = await box.popbsmtp("print", "dovecot", "2");
  assert.match(printed, /^  vsz_limit = 1T$/m);
  await using limited = await startDovecot({
    config: printed.replaceAll("  vsz_limit = 1T\n", ""),
  });

  await t.test("nobody drains: then the login waits for popbsmtp drain", () =>
    survive(
      {
        name: "Node cannot start",
        begin: () => box.killDrains(),
        end: () => assert.deepEqual(box.drains(), []),
        says: /waits in .*Node does not start in 256 MiB of memory: .*run popbsmtp serve/,
      },
      { ...box, wrapper: limitedWrapper },
      limited,
      untouched,
    ),
  );

  await t.test(
    "a drain is at work: then the login is in the store before it is answered",
    async () => {
      await box.wrapper({ IP: "192.0.2.3", USER: "who starts the drain" });
      await waitUntil("the drain to be at work", () => existsSync(join(box.spool, ".drain")));
      using imap = await limited.imap();
      await imap.login("limited", limited.password);
      assert.ok((await box.rows()).some(({ user }) => user === "limited"));
    },
  );
});

for (const PATH of [undefined, "/nonexistent"]) {
  test(`with PATH ${PATH === undefined ? "unset" : "of no use"}, a login starts a drain all the same`, async () => {
    await box.killDrains();
    const USER = `PATH ${PATH ?? "unset"}`;
    await opensAgain({ IP: "192.0.2.4", USER, ...(PATH !== undefined && { PATH }) });
  });
}

test("without any Node, a login is recorded and told, and every other command says what is needed", async () => {
  await box.killDrains();
  const node = missing(join(dirname(box.program), "node"));
  node.begin();
  try {
    const login = { PATH: "/nonexistent", IP: "192.0.2.5", USER: "nodeless" };
    const words = `no Node beside ${box.program} and none on PATH`;
    await waitUntil("the start of a drain to be tried", async () => {
      const { status, stdout, stderr } = await box.wrapper(login, ["/usr/bin/printf", "+OK"]);
      assert.deepEqual([status, stdout.toString()], [0, "+OK"]);
      assert.match(stderr.toString(), /^popbsmtp: the login from 192\.0\.2\.5 waits in [^\n]*\n$/);
      return stderr.toString().endsWith(`: ${words}\n`);
    });
    const { status, stderr } = await run(box.program, ["list"], { env: { PATH: "/nonexistent" } });
    assert.equal(status, 78);
    assert.match(stderr.toString(), /^popbsmtp: needs Node 24\.15 or later: none beside [^\n]*\n$/);
  } finally {
    node.end();
  }
  await box.popbsmtp("drain");
  assert.ok((await box.rows()).some(({ user }) => user === "nodeless"));
});

async function surviveAndRecover(fault: Fault): Promise<void> {
  const begin = async () => {
    await box.killDrains();
    await fault.begin();
  };
  await survive({ ...fault, begin }, box, dovecot, untouched);
  await opensAgain({ IP: "192.0.2.2", USER: fault.name });
  assert.deepEqual(box.waiting(), []);
  assert.ok(!existsSync(join(box.spool, "bad")));
}

/** Logs in until it is in the store: there is one start of a drain every second or two. */
async function opensAgain(login: Readonly<Record<string, string>>): Promise<void> {
  await waitUntil(`${login["USER"] ?? ""} to be in the store`, async () => {
    const { stdout, stderr } = await box.wrapper(login);
    assert.equal(stdout.toString(), "");
    assert.equal(stderr.toString(), "");
    return (await box.rows()).some(({ user }) => user === login["USER"]);
  });
}

/** The wrapper under the limit of 256 MiB that Dovecot sets by default. */
const limitedWrapper: Installation["wrapper"] = (env, program = ["/bin/true"]) => {
  const command = [box.program, "--config", box.config, ...program];
  return run("bash", ["-c", 'ulimit -v 262144; exec "$@"', "bash", ...command], {
    env: { ...env, PATH: "/usr/bin:/bin" },
    uid: box.user.uid,
    gid: box.user.gid,
  });
};

/** `path` is away under another name meanwhile. */
function missing(path: string): { readonly begin: () => void; readonly end: () => void } {
  return {
    begin: () => renameSync(path, `${path}.away`),
    end: () => renameSync(`${path}.away`, path),
  };
}

function spoolFaults({ spool, user }: Installation): readonly Fault[] {
  const other = account("postfix");
  return [
    {
      name: "the spool is missing",
      ...missing(spool),
      says: /spool: cannot write there: the login from 192\.0\.2\.1 is not recorded/,
      recorded: false,
    },
    {
      name: "the spool is not writable",
      begin: () => chmodSync(spool, 0o500),
      end: () => chmodSync(spool, 0o700),
      says: /spool: cannot write there/,
      recorded: false,
    },
    {
      name: "the spool is owned by another",
      begin: () => chownSync(spool, other.uid, other.gid),
      end: () => chownSync(spool, user.uid, user.gid),
      says: /spool: cannot write there/,
      recorded: false,
    },
    {
      name: "the spool is owned by another, and everybody's to write to",
      begin: () => {
        chownSync(spool, other.uid, other.gid);
        chmodSync(spool, 0o777);
      },
      end: () => {
        chownSync(spool, user.uid, user.gid);
        chmodSync(spool, 0o700);
      },
      says: /nobody drains .*spool, and this user does not own it: run popbsmtp drain as its owner/,
    },
  ];
}

function fileSystemFaults({ spool }: Installation, fileSystem: Tmpfs): readonly Fault[] {
  const filler = join(spool, ".filler");
  return [
    {
      name: "the spool is full",
      begin: () => {
        assert.throws(() => writeFileSync(filler, Buffer.alloc(1 << 20)), /ENOSPC/);
      },
      end: () => rmSync(filler),
      says: /spool: cannot write there/,
      recorded: false,
    },
    {
      name: "the spool is mounted read-only",
      begin: () => fileSystem.remount("ro"),
      end: () => fileSystem.remount("rw"),
      says: /spool: cannot write there/,
      recorded: false,
    },
  ];
}

function configFaults({ config, spool }: Installation): readonly Fault[] {
  const good = readFileSync(config);
  const broken = (text: string) => ({
    begin: () => appendFileSync(config, text),
    end: () => writeFileSync(config, good),
  });
  // then the wrapper takes the default for the spool, which is not there either
  const unread = /popbsmtp\.toml: cannot be read .* \/var\/spool\/popbsmtp/;
  return [
    { name: "the configuration is missing", ...missing(config), says: unread, recorded: false },
    {
      name: "the configuration cannot be read",
      begin: () => chmodSync(config, 0o600),
      end: () => chmodSync(config, 0o640),
      says: unread,
      recorded: false,
    },
    {
      name: "the configuration is no TOML",
      ...broken('path = "a" "b"\n'),
      says: /waits in .*popbsmtp\.toml: line \d+, column \d+: /,
    },
    {
      name: "the configuration has a wrong value",
      ...broken('port = "soon"\n'),
      says: /waits in .*popbsmtp\.toml: store\.port: /,
    },
    {
      name: "the configuration names a user who is not there",
      begin: () => {
        writeFileSync(config, `spool = "${spool}"\nuser = "no-such-user"\n`);
      },
      end: () => writeFileSync(config, good),
      says: /waits in /,
    },
  ];
}

function nodeFaults({ program }: Installation): readonly Fault[] {
  const node = join(dirname(program), "node");
  const { begin: remove, end: restore } = missing(node);
  const replaced = (text: string) => ({
    begin: () => {
      remove();
      writeFileSync(node, text, { mode: 0o755 });
    },
    end: restore,
  });
  return [
    {
      name: "there is no Node",
      begin: remove,
      end: restore,
      says: /no Node .*waits in|waits in .*/,
    },
    {
      name: "Node ends at once",
      ...replaced("#!/bin/sh\nexit 1\n"),
      says: /waits in /,
    },
    {
      name: "Node is no program",
      ...replaced("\0"),
      says: /waits in /,
    },
  ];
}
