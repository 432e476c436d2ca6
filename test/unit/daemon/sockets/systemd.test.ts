/** With systemd's own tools; only the service manager itself is played: by datagrams.c. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Systemd, systemdSockets } from "../../../../src/daemon/sockets/systemd.ts";
import { PLAIN_ENV, runOk } from "../../../support/run.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const SERVICE = fileURLToPath(import.meta.resolve("./handed-over.ts"));

/** A service manager, and what it was told. */
async function manager() {
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(temporaryDirectory());
  const [program, path] = [join(directory, "datagrams"), join(directory, "notify")];
  await runOk("gcc", ["-Wall", "-o", program, join(import.meta.dirname, "datagrams.c")]);
  const receiver = spawn(program, [path], { stdio: ["ignore", "pipe", "inherit"] });
  stack.defer(() => void receiver.kill());
  let text = "";
  receiver.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await waitUntil("the receiver", () => existsSync(path));
  const resources = stack.move();
  const failures: string[] = [];
  const env: NodeJS.ProcessEnv = { ...PLAIN_ENV, NOTIFY_SOCKET: path };
  return {
    env,
    failures,
    systemd: (changes: Record<string, string> = {}) =>
      Systemd.from(Object.assign(env, changes), (reason) => failures.push(reason)),
    lines: () => text.split("\n").filter((line) => line !== "" && line !== "BARRIER=1"),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

describe("systemd", () => {
  it("is notified when the daemon is ready, reloads, is ready again, and stops, in this order", async () => {
    await using there = await manager();
    const systemd = there.systemd();
    assert.ok(systemd !== undefined);
    const before = process.hrtime.bigint() / 1_000n;
    systemd.ready("3 logins");
    systemd.reloading();
    systemd.ready("reloaded");
    systemd.status("a store that is away");
    await systemd.stopping();
    await waitUntil("the last message", () => there.lines().includes("STOPPING=1"));
    const told = there.lines().join("\n");
    const [, time = ""] = /MONOTONIC_USEC=(\d+)/.exec(told) ?? [];
    assert.ok(BigInt(time) >= before && BigInt(time) <= process.hrtime.bigint() / 1_000n);
    assert.deepEqual(
      there.lines().filter((line) => !line.startsWith("MONOTONIC_USEC=")),
      [
        "READY=1",
        "STATUS=3 logins",
        "RELOADING=1",
        "READY=1",
        "STATUS=reloaded",
        "STATUS=a store that is away",
        "STOPPING=1",
      ],
    );
    assert.deepEqual(there.failures, []);
  });

  it("gets watchdog notifications if it watches this process", async () => {
    await using there = await manager();
    const watched = { WATCHDOG_USEC: "100000", WATCHDOG_PID: String(process.pid) };
    const systemd = there.systemd(watched);
    systemd?.ready("");
    const beats = () => there.lines().filter((line) => line === "WATCHDOG=1").length;
    await waitUntil("three signs of life", () => beats() >= 3);
    await systemd?.stopping();
    const last = beats();
    systemd?.status("the end");
    await waitUntil("the end", () => there.lines().includes("STATUS=the end"));
    assert.equal(beats(), last);
  });

  it("gets no watchdog notifications if it watches another process, or none", async () => {
    await using there = await manager();
    const systemd = there.systemd({ WATCHDOG_USEC: "1000", WATCHDOG_PID: "1" });
    systemd?.ready("");
    for (let message = 0; message < 10; message++) systemd?.status("busy");
    await systemd?.stopping();
    await waitUntil("the last message", () => there.lines().includes("STOPPING=1"));
    assert.ok(!there.lines().includes("WATCHDOG=1"));
  });

  it("may be gone: that is reported, and does no harm", async () => {
    const failures: string[] = [];
    const env = { ...PLAIN_ENV, NOTIFY_SOCKET: "/nonexistent/notify" };
    const systemd = Systemd.from(env, (reason) => failures.push(reason));
    systemd?.ready("");
    await systemd?.stopping();
    assert.equal(failures.length, 2);
    assert.match(failures[0] ?? "", /No such file or directory/);
  });

  it("may have no systemd-notify: that is reported, too", async () => {
    const failures: string[] = [];
    const env = { PATH: "/nonexistent", NOTIFY_SOCKET: "/nonexistent/notify" };
    const systemd = Systemd.from(env, (reason) => failures.push(reason));
    await systemd?.stopping();
    assert.deepEqual(failures, ["systemd-notify is not installed"]);
  });

  it("is absent without a socket in the environment, whose variables are removed", async () => {
    assert.equal(
      Systemd.from({}, () => undefined),
      undefined,
    );
    await using there = await manager();
    there.systemd({ WATCHDOG_USEC: "100000", WATCHDOG_PID: "1" });
    assert.deepEqual(there.env, PLAIN_ENV);
  });
});

describe("sockets from systemd", () => {
  it("have names, and hold connections until the service runs", async () => {
    await using directory = temporaryDirectory();
    const [imap, policy] = [join(directory.path, "a"), join(directory.path, "b")];
    const activate = spawn(
      "systemd-socket-activate",
      ["-l", imap, "-l", policy, "--fdname=popbsmtp-imap.socket:policy", process.execPath, SERVICE],
      { env: { ...PLAIN_ENV }, stdio: ["ignore", "ignore", "pipe"] },
    );
    let said = "";
    activate.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
    try {
      await waitUntil("the sockets", () => existsSync(policy));
      const answers = [imap, policy].map(async (path) => {
        const client = connect(path).setEncoding("utf8");
        const [line] = await once(client, "data");
        client.destroy();
        return String(line);
      });
      assert.deepEqual(await Promise.all(answers), [
        `imap ${activate.pid}\n`,
        `policy ${activate.pid}\n`,
      ]);
      await waitUntil("its log", () =>
        said.includes('sockets=popbsmtp-imap.socket,policy left=""'),
      );
    } finally {
      activate.kill("SIGKILL");
      await once(activate, "close");
    }
  });

  it("are ignored if they are meant for another process", () => {
    const env = { LISTEN_PID: "1", LISTEN_FDS: "2", LISTEN_FDNAMES: "imap:pop3", OTHER: "1" };
    assert.deepEqual(systemdSockets(env), []);
    assert.deepEqual(env, { OTHER: "1" });
  });

  it("do not exist without systemd", () => {
    assert.deepEqual(systemdSockets({}), []);
  });
});
