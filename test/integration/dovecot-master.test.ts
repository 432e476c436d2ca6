/** With Dovecot's own master, which starts the service handed-over.ts. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { DovecotMaster } from "../../src/daemon/sockets/dovecot-master.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { PLAIN_ENV, runOk } from "../support/run.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitUntil } from "../support/wait-until.ts";

const SERVICE = fileURLToPath(import.meta.resolve("../unit/daemon/sockets/handed-over.ts"));

async function start({ settings = "user = root", policy = "" } = {}): Promise<Dovecot> {
  const dovecot = await startDovecot({
    config: `
service popbsmtp {
  executable = ${process.execPath} ${SERVICE} ${policy}
  vsz_limit = 1T
  client_limit = 1000
  process_limit = 1
  process_min_avail = 1
  unix_listener popbsmtp-imap {
  }
  unix_listener popbsmtp-pop3 {
  }
  ${settings}
}
`,
  });
  return dovecot;
}

/**
 * Connects, and returns what the service says, which is also the connection's end unless `use`
 * keeps it open.
 */
async function say(
  dovecot: Dovecot,
  socket: string,
  use: () => Promise<void> = () => Promise.resolve(),
): Promise<{ role: string; pid: number }> {
  const path = socket.startsWith("/") ? socket : join(dovecot.directory, "run", socket);
  const client = connect(path).setEncoding("utf8");
  for await (const chunk of client) {
    const [role = "", pid] = String(chunk).trim().split(" ");
    await use();
    return { role, pid: Number(pid) };
  }
  throw new Error(`${path}: closed without a word`);
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

function master(dovecot: Dovecot): number {
  return Number(readFileSync(join(dovecot.directory, "run", "master.pid"), "utf8"));
}

/** What Dovecot's master thinks of the service's process. */
async function status(dovecot: Dovecot): Promise<{ available: number }> {
  const configuration = join(dovecot.directory, "dovecot.conf");
  const options = ["-c", configuration, "-f", "tab", "process", "status", "popbsmtp"];
  const [, line = ""] = (await runOk("doveadm", options)).split("\n");
  const [, , available] = line.split("\t");
  return { available: Number(available) };
}

it("the sockets come by name, other roles' are made, and the variables are used up", async () => {
  await using directory = temporaryDirectory({ mode: 0o755 });
  const policy = join(directory.path, "policy");
  await using dovecot = await start({ policy });
  const roles: string[] = [];
  for (const socket of ["popbsmtp-imap", "popbsmtp-pop3", policy]) {
    roles.push((await say(dovecot, socket)).role);
  }
  assert.deepEqual(roles, ["imap", "pop3", "policy"]);
  const ready = `popbsmtp: Info: ready sockets=popbsmtp-imap,popbsmtp-pop3,${policy} left=""\n`;
  await waitUntil("the service's log", () => dovecot.log().includes(ready));
});

it("Dovecot is told how many connections are open, and never that there may be no more", async () => {
  await using dovecot = await start({ settings: "client_limit = 2" });
  await waitUntil("the first record", async () => (await status(dovecot)).available === 2);
  const available = (count: number) => () =>
    waitUntil(`${count} to be left`, async () => (await status(dovecot)).available === count);
  await say(dovecot, "popbsmtp-imap", available(1));
  await available(2)();
  await say(dovecot, "popbsmtp-imap", async () => {
    await say(dovecot, "popbsmtp-pop3", available(1));
  });
});

it("after a reload another process serves, and the old one ends", async () => {
  await using directory = temporaryDirectory({ mode: 0o755 });
  const policy = join(directory.path, "policy");
  await using dovecot = await start({ policy });
  const old = (await say(dovecot, "popbsmtp-imap")).pid;
  process.kill(master(dovecot), "SIGHUP");
  await waitUntil("the old one to end", () => !isAlive(old));
  // Dovecot takes its sockets away and makes new ones
  await waitUntil("the new one to serve", async () => {
    return (await say(dovecot, "popbsmtp-imap")).pid !== old;
  });
  const { role, pid } = await say(dovecot, "popbsmtp-imap");
  assert.equal(role, "imap");
  await waitUntil("it to have the policy socket", async () => {
    return (await say(dovecot, policy)).pid === pid;
  });
});

it("it ends when the master is killed", async () => {
  await using dovecot = await start();
  const { pid } = await say(dovecot, "popbsmtp-imap");
  process.kill(master(dovecot), "SIGKILL");
  await waitUntil("it to end", () => !isAlive(pid));
});

it("a master that died early is noticed", async () => {
  const module = import.meta.resolve("../../src/daemon/sockets/dovecot-master.ts");
  const program = `
    import { DovecotMaster } from ${JSON.stringify(module)};
    using master = DovecotMaster.from(process.env);
    // as long as reading a configuration may take
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    master.attend();
    await master.ended;
    console.log("ended");
  `;
  // descriptor 6 is the writing end of a pipe without a reader
  const script = `exec 6> >(exec true); wait $!; exec "$0" --input-type=module -e "$1" 5>/dev/null`;
  const env = { ...PLAIN_ENV, DOVECOT_CHILD_PROCESS: "1", GENERATION: "1", SOCKET_COUNT: "0" };
  const said = await runOk("bash", ["-c", script, process.execPath, program], {
    env: { ...env, CLIENT_LIMIT: "1000" },
  });
  assert.equal(said, "ended\n");
});

it("killed, it is started again, and whoever connects meanwhile is served", async () => {
  await using dovecot = await start();
  const old = (await say(dovecot, "popbsmtp-imap")).pid;
  process.kill(old, "SIGKILL");
  const { pid } = await say(dovecot, "popbsmtp-imap");
  assert.notEqual(pid, old);
});

it("who was started by somebody else has no master", () => {
  assert.equal(DovecotMaster.from({ SOCKET_COUNT: "1", SOCKET0_SETTINGS: "imap" }), undefined);
});

it("a client_limit of 1 is refused", () => {
  const env = { DOVECOT_CHILD_PROCESS: "1", CLIENT_LIMIT: "1" };
  assert.throws(() => DovecotMaster.from(env), { exitStatus: 78, message: /client_limit = 1/ });
});
