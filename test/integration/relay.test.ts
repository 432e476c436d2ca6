/**
 * `popbsmtp relay` in the place of relay-ctrl-check: who may relay gets RELAYCLIENT, and nothing
 * else is different for anybody.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { account } from "../support/accounts.ts";
import { freePort } from "../support/free-port.ts";
import { DRIVERS, install, type Installation } from "../support/installation.ts";
import { execProbe } from "../support/probe.ts";
import { relayCtrlAllow, relayCtrlCheck } from "../support/relay-ctrl.ts";
import { run, runOk } from "../support/run.ts";
import { askSocket, postLoginRequest, startServe, type Serve } from "../support/serve.ts";
import { startTcpserver } from "../support/tcpserver.ts";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";

const CLIENT = "192.0.2.1";

/**
 * Nothing here is about the deadline but what says so; and on a busy machine Node may take longer
 * than that.
 */
const WAIT = ["--wait", "9000"];

interface Relayed {
  /** The environment of what it became, sorted. */
  readonly env: readonly string[];
  readonly stderr: string;
}

/**
 * Runs `popbsmtp relay` as nobody, with an environment of these variables and no other, and has it
 * become env(1).
 */
async function relay(
  box: Pick<Installation, "program" | "config" | "user">,
  env: Readonly<Record<string, string>>,
  ...options: readonly string[]
): Promise<Relayed> {
  const { uid, gid } = box.user;
  const args = ["--config", box.config, "relay", ...WAIT, ...options, "/usr/bin/env", "-0"];
  const { status, stdout, stderr } = await run(box.program, args, {
    env: { PATH: "/usr/bin:/bin", ...env },
    uid,
    gid,
  });
  assert.equal(status, 0, stderr.toString());
  const variables = stdout.toString("latin1").split("\0").slice(0, -1);
  return {
    env: variables.filter((variable) => !variable.startsWith("PATH=")).toSorted(),
    stderr: stderr.toString(),
  };
}

/** A server on a free port that gives everybody the same answer. */
async function listen(answer: string) {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {}).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    port: address.port,
    connections: () => connections,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

/** The daemon, at a TCP port, too. */
async function serveAt(box: Installation, key: "policy" | "socketmap"): Promise<Serve> {
  const serve = await startServe(box);
  await serve.stop();
  const text = readFileSync(box.config, "utf8");
  const port = await freePort();
  const line = new RegExp(`^${key} = (".*")$`, "m");
  writeFileSync(
    box.config,
    text.replace(line, `${key} = [\n  $1, # Postfix\n  "127.0.0.1:${port}",\n]`),
  );
  await serve.start();
  return serve;
}

for (const driver of [...DRIVERS, "relay-ctrl"] as const) {
  test(`who may relay by ${driver} gets RELAYCLIENT, with and without the daemon`, async () => {
    await using box = await install(driver);
    await box.popbsmtp("allow", CLIENT, "--user", "bob@example.org");
    await box.popbsmtp("allow", "2001:db8::1");
    const who = driver === "relay-ctrl" ? ["DOMAIN=example.org", "USER=bob@example.org"] : [];
    const look = async () => {
      for (const spelling of [CLIENT, `::ffff:${CLIENT}`]) {
        const { env, stderr } = await relay(box, { TCPREMOTEIP: spelling }, "--relayclient", "@x");
        assert.deepEqual(
          [env, stderr],
          [["RELAYCLIENT=@x", `TCPREMOTEIP=${spelling}`, ...who].toSorted(), ""],
        );
      }
      const six = await relay(box, { TCPREMOTEIP: "2001:DB8:0::1" });
      assert.deepEqual(six.env, ["RELAYCLIENT=", "TCPREMOTEIP=2001:DB8:0::1"]);
      for (const other of ["192.0.2.10", "2001:db8::2"]) {
        const { env, stderr } = await relay(box, { TCPREMOTEIP: other, USER: "x" });
        assert.deepEqual([env, stderr], [[`TCPREMOTEIP=${other}`, "USER=x"], ""]);
      }
    };
    await look();
    await using serve = await startServe(box);
    await look();
    assert.match(serve.log(), /ready/);
  });
}

describe("the daemon", () => {
  for (const key of ["policy", "socketmap"] as const) {
    it(`is asked without Node where ${key} has a port`, async () => {
      await using box = await install("relay-ctrl");
      await using serve = await serveAt(box, key);
      await box.popbsmtp("allow", CLIENT, "--user", "bob");
      renameSync(join(box.directory, "bin/node"), join(box.directory, "bin/nodenone"));
      const asked = await relay(box, { TCPREMOTEIP: CLIENT });
      assert.deepEqual(asked, {
        env: ["RELAYCLIENT=", `TCPREMOTEIP=${CLIENT}`, "USER=bob"],
        stderr: "",
      });
      const other = await relay(box, { TCPREMOTEIP: "192.0.2.2" });
      assert.deepEqual(other, { env: ["TCPREMOTEIP=192.0.2.2"], stderr: "" });
      assert.match(serve.log(), /ready/);
    });
  }

  it("is not asked at a port that only a comment names", async () => {
    await using box = await install("relay-ctrl");
    await box.popbsmtp("allow", CLIENT);
    await using liar = await listen("5:OK OK,");
    const text = readFileSync(box.config, "utf8");
    const comment = `# was "127.0.0.1:${liar.port}", see '127.0.0.1:${liar.port}'`;
    writeFileSync(
      box.config,
      `${text}[serve]\nsocketmap = "/nonexistent/a#b" ${comment}\npolicy = [ ${comment}\n  '/nonexistent/c' ${comment}\n]\n`,
    );
    assert.deepEqual(await relay(box, { TCPREMOTEIP: "192.0.2.2" }), {
      env: ["TCPREMOTEIP=192.0.2.2"],
      stderr: "",
    });
    assert.equal(liar.connections(), 0);
  });

  it("knows of a login while the store is away", async () => {
    await using box = await install("relay-ctrl");
    await using serve = await serveAt(box, "socketmap");
    await askSocket(serve.imap, postLoginRequest(CLIENT, "bob"));
    renameSync(box.database, `${box.database}-away`);
    const known = await relay(box, { TCPREMOTEIP: CLIENT });
    assert.deepEqual(known, { env: ["RELAYCLIENT=", `TCPREMOTEIP=${CLIENT}`], stderr: "" });
    const unknown = await relay(box, { TCPREMOTEIP: "192.0.2.2" });
    assert.deepEqual(unknown.env, ["TCPREMOTEIP=192.0.2.2"]);
    assert.equal(
      unknown.stderr,
      "popbsmtp: no relay, since nobody can tell whether 192.0.2.2 may: the store is away\n",
    );
  });
});

describe("nobody relays, and the server is started all the same,", () => {
  let box: Installation;
  let directory: TemporaryDirectory;
  before(async () => {
    box = await install("relay-ctrl");
    directory = temporaryDirectory({ mode: 0o755 });
    await box.popbsmtp("allow", CLIENT, "--user", "bob");
  });
  after(async () => {
    await directory[Symbol.asyncDispose]();
    await box[Symbol.asyncDispose]();
  });

  const plain = { HOME: "/x", TCPREMOTEIP: CLIENT };
  const unchanged = ["HOME=/x", `TCPREMOTEIP=${CLIENT}`];
  const refused = async (
    there: Parameters<typeof relay>[0],
    why: RegExp,
    {
      env: more = {},
      options = [],
    }: { env?: Record<string, string>; options?: readonly string[] } = {},
  ) => {
    const { env, stderr } = await relay(there, { ...plain, ...more }, ...options);
    assert.deepEqual(env, unchanged);
    assert.match(stderr, /^popbsmtp: [^\n]+\n$/);
    assert.match(stderr, why);
  };

  it("where TCPREMOTEIP is missing or no address", async () => {
    for (const ip of [undefined, "", "x", "192.0.2.1.", "010.0.2.1", "../192.0.2.1"]) {
      const { env, stderr } = await relay(box, ip === undefined ? {} : { TCPREMOTEIP: ip });
      assert.deepEqual(env, ip === undefined ? [] : [`TCPREMOTEIP=${ip}`]);
      assert.equal(stderr, "popbsmtp: no relay, since TCPREMOTEIP holds no IP address\n");
    }
  });

  it("where the store is away", async () => {
    renameSync(box.database, `${box.database}-away`);
    await refused(
      box,
      /whether 192\.0\.2\.1 may: store: relay-ctrl .*the directory does not exist/,
    );
    renameSync(`${box.database}-away`, box.database);
  });

  it("where the configuration is broken, missing, or not to be read", async () => {
    const config = join(directory.path, "popbsmtp.toml");
    await refused({ ...box, config }, /there is no such file/);
    writeFileSync(config, "[store]\ndriver = 'none'\n[[[");
    await refused({ ...box, config }, /popbsmtp\.toml: line 3/);
    chmodSync(config, 0o600);
    await refused({ ...box, config }, /permission denied/);
  });

  it("where there is no Node", async () => {
    const program = join(directory.path, "popbsmtp");
    await runOk("cp", [box.program, program]);
    await refused({ ...box, program }, /no Node beside .*popbsmtp and none on PATH/, {
      env: { PATH: directory.path },
    });
  });

  it("where Node does not start in what memory there is", async () => {
    const limited = join(directory.path, "limited");
    writeFileSync(
      limited,
      `#!/bin/bash -p\nulimit -v 200000\nexec env -u PWD -u SHLVL -u _ '${box.program}' "$@"\n`,
    );
    chmodSync(limited, 0o755);
    await refused({ ...box, program: limited }, /Node does not start in 195 MiB/);
  });

  it("where the daemon hangs, at a port or at a socket", async () => {
    for (const key of ["socketmap", undefined] as const) {
      await using hanging = await install("relay-ctrl");
      await using serve = await (key === undefined ? startServe(hanging) : serveAt(hanging, key));
      await hanging.popbsmtp("allow", CLIENT);
      serve.pause();
      await refused(hanging, /no answer within 300 ms/, { options: ["--wait=300"] });
      serve.resume();
    }
  });

  it("but not for an option that is none, or is wrong", async () => {
    for (const [option, problem] of [
      ["--quick", "--quick: unknown option, ignored; see popbsmtp --help"],
      ["--no-wait", "--wait 0: expected milliseconds, 1 to 9999; waiting 1000"],
      ["--wait=x", "--wait x: expected milliseconds, 1 to 9999; waiting 1000"],
    ] as const) {
      // set already: nobody is asked, and no deadline is kept
      const { env, stderr } = await relay(box, { RELAYCLIENT: "" }, option);
      assert.deepEqual([env, stderr], [["RELAYCLIENT="], `popbsmtp: ${problem}\n`]);
    }
  });

  it("where the last login is too long ago", async () => {
    relayCtrlAllow(box.database, "192.0.2.9", {}, 1_801);
    assert.deepEqual((await relay(box, { TCPREMOTEIP: "192.0.2.9" })).env, [
      "TCPREMOTEIP=192.0.2.9",
    ]);
  });
});

test("what relay-ctrl-allow has written as another user counts, though it is not to be read", async () => {
  await using box = await install("relay-ctrl");
  relayCtrlAllow(box.database, CLIENT, { USER: "bob" });
  const [row] = await box.rows();
  assert.deepEqual([row?.address, row?.user], [CLIENT, ""]);
  assert.deepEqual((await relay(box, { TCPREMOTEIP: CLIENT })).env, [
    "RELAYCLIENT=",
    `TCPREMOTEIP=${CLIENT}`,
  ]);
});

test("relay-ctrl-check may read what is written, as whoever it runs", async () => {
  await using box = await install("relay-ctrl");
  await box.popbsmtp("allow", CLIENT, "--user", "bob");
  const { uid, gid } = account("daemon");
  assert.notEqual(uid, box.user.uid);
  assert.equal(await runOk("cat", [join(box.database, CLIENT)], { uid, gid }), "USER=bob\0");
  const looking = await run("ls", [box.database], { uid, gid });
  assert.notEqual(looking.status, 0);
});

test("where RELAYCLIENT is set already, nobody is asked", async () => {
  await using box = await install("relay-ctrl");
  rmSync(box.database, { recursive: true });
  for (const value of ["", "@fixup"]) {
    const asked = await relay(box, { TCPREMOTEIP: "192.0.2.2", RELAYCLIENT: value });
    assert.deepEqual(asked, {
      env: [`RELAYCLIENT=${value}`, "TCPREMOTEIP=192.0.2.2"],
      stderr: "",
    });
  }
});

test("RELAYCLIENT is what --relayclient says, or else RELAY_CTRL_RELAYCLIENT, as relay-ctrl-check's is", async () => {
  await using box = await install("relay-ctrl");
  await box.popbsmtp("allow", CLIENT);
  const env = { TCPREMOTEIP: CLIENT, RELAY_CTRL_RELAYCLIENT: "@a b$(id)" };
  assert.ok((await relay(box, env)).env.includes("RELAYCLIENT=@a b$(id)"));
  assert.ok((await relay(box, env, "--relayclient=@c")).env.includes("RELAYCLIENT=@c"));
  assert.ok((await relay(box, env, "--relayclient", "")).env.includes("RELAYCLIENT="));
});

test("of a file's strings only USER and DOMAIN are exported, whoever has written it", async () => {
  await using box = await install("relay-ctrl");
  relayCtrlAllow(box.database, CLIENT, {
    LD_PRELOAD: "/tmp/x.so",
    USER: "bob\n$(id)\u00ff",
    PATH: "/tmp",
    DOMAIN: "",
    "BASH_FUNC_env%%": "() { id; }",
  });
  writeFileSync(join(box.database, CLIENT), "RELAYCLIENT=@evil\0USER=not complete", { flag: "a" });
  const env = { TCPREMOTEIP: CLIENT, DOMAIN: "old" };
  // its owner only, as relay-ctrl-allow leaves it: nobody may look into it
  const { uid, gid } = box.user;
  await runOk("chown", [`${uid}:${gid}`, join(box.database, CLIENT)]);
  assert.deepEqual((await relay(box, env)).env, [
    "DOMAIN=",
    "RELAYCLIENT=",
    `TCPREMOTEIP=${CLIENT}`,
    "USER=bob\n$(id)\u00c3\u00bf",
  ]);
});

test("everything else is handed on as a bare exec does", async () => {
  await using box = await install("relay-ctrl");
  await using probe = await execProbe();
  await box.popbsmtp("allow", CLIENT);
  const base = [
    "UID=7",
    "RANDOM=1",
    "IFS=x",
    "SHLVL=3",
    "A/B=c",
    "BASH_ENV=/etc/passwd",
    "POSIXLY_CORRECT=1",
  ];
  const report = async (env: readonly string[], ...command: readonly string[]) => {
    const args = [
      "-i",
      "--",
      ...env,
      probe.path,
      "strange",
      ...command,
      probe.path,
      "report",
      "",
      "-x",
    ];
    const said = await runOk("/usr/bin/env", args);
    return said.replace(/^pid \d+/m, "pid").replaceAll(/^(fd [012] .*) inode \d+/gm, "$1");
  };
  for (const env of [base, ["LANG=C"]]) {
    for (const [ip, variables] of [
      [CLIENT, ["RELAYCLIENT="]],
      ["192.0.2.2", []],
    ] as const) {
      const client = [...env, `TCPREMOTEIP=${ip}`];
      const bare = await report([...client, ...variables]);
      const relayed = await report(client, box.program, "--config", box.config, "relay", ...WAIT);
      assert.equal(relayed, bare);
    }
  }
});

test("under tcpserver: a POP3 login opens the relay, for relay-ctrl-check too", async () => {
  await using box = await install("relay-ctrl");
  const chain = `${box.program} --config ${box.config}`;
  const login = `env USER=bob DOMAIN=example.org ${chain} --service pop3 /bin/echo +OK`;
  const smtp = `${chain} relay --wait 9000 --relayclient @fixup /bin/sh -c 'echo "220 \${RELAYCLIENT-none} $USER"'`;
  await using smtpd = await startTcpserver(box, smtp);
  assert.equal(await smtpd.connect(), "220 none \n");
  await using pop3d = await startTcpserver(box, login);
  assert.equal(await pop3d.connect(), "+OK\n");
  await box.popbsmtp("drain");
  assert.equal(await smtpd.connect(), "220 @fixup bob@example.org\n");
  assert.deepEqual(relayCtrlCheck(box.database, "127.0.0.1").exported, [
    "USER=bob@example.org",
    "DOMAIN=example.org",
  ]);
});

test("--export TCPREMOTEIP tells relay-ctrl-allow Dovecot's address", async () => {
  await using box = await install("sqlite");
  const allow = join(box.directory, "relay-ctrl-allow");
  const directory = join(box.directory, "allow");
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  writeFileSync(
    allow,
    `#!/bin/sh\nprintf 'USER=%s\\0' "$USER" >"$RELAY_CTRL_DIR/$TCPREMOTEIP" && exec "$@"\n`,
  );
  chmodSync(allow, 0o755);
  const env = { IP: "::ffff:192.0.2.1", USER: "bob", RELAY_CTRL_DIR: directory };
  const chain = ["--no-wait", "--export", "TCPREMOTEIP", allow, "/bin/echo", "mail"];
  const { stdout } = await box.wrapper(env, chain);
  assert.equal(stdout.toString(), "mail\n");
  assert.deepEqual(relayCtrlCheck(directory, CLIENT), { relays: true, exported: ["USER=bob"] });
});
