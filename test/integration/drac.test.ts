/** DRAC with an rpcgen-made client and server, at a real rpcbind, and Postfix behind. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { install, type Installation } from "../support/installation.ts";
import { startPostfix } from "../support/postfix.ts";
import { MACHINE_ADDRESS, startRpcMachine, type RpcMachine } from "../support/rpc-machine.ts";
import { run } from "../support/run.ts";
import { askPolicy, startServe, type Serve } from "../support/serve.ts";
import { waitUntil } from "../support/wait-until.ts";

const own = MACHINE_ADDRESS;
const OUTSIDE = "somebody@example.net";

const stack = new AsyncDisposableStack();
let machine: RpcMachine;
before(async () => {
  machine = stack.use(await startRpcMachine());
});
after(() => stack.disposeAsync());

/** The entries of a daemon that has these ports are the only ones. */
async function portsRegistered(): Promise<{ readonly udp: string; readonly tcp: string }> {
  const entries = await machine.registered();
  const [, udp = ""] = /^1 udp (\d+)$/m.exec(entries.join("\n")) ?? [];
  const [, tcp = ""] = /^1 tcp (\d+)$/m.exec(entries.join("\n")) ?? [];
  assert.deepEqual(
    entries.toSorted(),
    [`1 udp ${udp}`, `1 tcp ${tcp}`, `2 udp ${udp}`, `2 tcp ${tcp}`].toSorted(),
  );
  return { udp, tcp };
}

const unregistered = async () => (await machine.registered()).length === 0;

/** Those that a daemon that was killed has left are there, too. */
async function untilRegistered(serve: Serve): Promise<void> {
  await waitUntil("the daemon to be registered", () => / info registered /.test(serve.log()));
}

describe("the daemon in the place of rpc.dracd", () => {
  it("opens Postfix's relay for whom a client tells it of, over UDP and TCP, IPv4 and IPv6", async () => {
    await using box = await install("sqlite");
    await using serve = await startServe(box, "drac = true", machine.enter);
    await using postfix = await startPostfix({
      mainCf: await box.popbsmtp("print", "postfix", "policy"),
    });
    await untilRegistered(serve);
    for (const [transport, from] of [
      ["udp", "127.0.0.5"],
      ["tcp", "127.0.0.6"],
      ["udp", "::1"],
    ] as const) {
      assert.equal((await postfix.rcpt({ from, to: OUTSIDE })).code, 454);
      assert.deepEqual((await machine.tell(transport, [from])).statuses, ["0"]);
      assert.equal((await postfix.rcpt({ from, to: OUTSIDE })).code, 250);
    }
    assert.equal((await postfix.rcpt({ from: "127.0.0.250", to: OUTSIDE })).code, 454);
    const rows = (await box.rows()).map(({ address, user, service }) => [address, user, service]);
    assert.deepEqual(rows, [
      ["::1", "", "drac"],
      ["127.0.0.6", "", "drac"],
      ["127.0.0.5", "", "drac"],
    ]);
    assert.match(serve.log(), / info login address=127\.0\.0\.5 user="" service=drac /);
  });

  it("takes many calls over one connection", async () => {
    await using box = await install("sqlite");
    await using serve = await startServe(box, "drac = true", machine.enter);
    await untilRegistered(serve);
    for (const transport of ["udp", "tcp"] as const) {
      const addresses = Array.from({ length: 200 }, (_, index) =>
        index % 2 === 0 ? `192.0.2.${index}` : `2001:db8::${index}`,
      );
      const { statuses } = await machine.tell(transport, addresses);
      assert.deepEqual(
        statuses,
        addresses.map(() => "0"),
      );
    }
    assert.equal((await box.rows()).length, 200);
    assert.ok((await box.rows()).every(({ logins }) => logins === 2));
  });

  it("says that it is a system error where a login is lost, and nothing while it is safe in the spool", async () => {
    await using box = await install("sqlite");
    await using serve = await startServe(box, "drac = true", machine.enter);
    await untilRegistered(serve);
    await run("mv", [box.database, `${box.database}.away`]);
    assert.deepEqual((await machine.tell("udp", ["192.0.2.1"])).statuses, ["0"]);
    assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
    await run("mv", [box.spool, `${box.spool}.away`]);
    assert.deepEqual((await machine.tell("udp", ["192.0.2.2"])).statuses, ["2"]);
    assert.match(serve.log(), / error login-lost address=192\.0\.2\.2 /);
    await run("mv", [`${box.spool}.away`, box.spool]);
    await run("mv", [`${box.database}.away`, box.database]);
    await waitUntil("the spool to be drained", () => box.waiting().length === 0);
    assert.deepEqual(
      (await box.rows()).map(({ address }) => address),
      ["192.0.2.1"],
    );
  });

  it("is registered while it is there, after a kill -9 again, and where rpcbind was started again", async () => {
    await using box = await install("sqlite");
    await using serve = await startServe(box, "drac = true", machine.enter);
    await untilRegistered(serve);
    const first = await portsRegistered();
    await serve.kill9();
    await portsRegistered();
    await serve.start();
    await waitUntil("the next one to be registered", async () => {
      return (await portsRegistered()).udp !== first.udp;
    });
    assert.deepEqual((await machine.tell("udp", ["192.0.2.1"])).statuses, ["0"]);
    assert.equal(await serve.stop(), 0);
    assert.deepEqual(await machine.registered(), []);

    await machine.stopRpcbind();
    await serve.start();
    await waitUntil("it to say so", () => serve.log().includes("warning rpcbind-failed reason="));
    assert.equal(await askPolicy(serve.policy, "192.0.2.1"), "OK");
    await machine.startRpcbind();
    await waitUntil("it to be registered", async () => (await machine.registered()).length === 4, {
      timeout: 60_000,
      interval: 500,
    });
  });

  it("leaves the entries alone of one that has taken over", async () => {
    await using old = await install("sqlite");
    await using fresh = await install("sqlite");
    await using oldServe = await startServe(old, "drac = true", machine.enter);
    await untilRegistered(oldServe);
    const { udp } = await portsRegistered();
    await using _ = await startServe(fresh, "drac = true", machine.enter);
    await waitUntil("the second to be registered", async () => {
      return (await portsRegistered()).udp !== udp;
    });
    const taken = await portsRegistered();
    assert.equal(await oldServe.stop(), 0);
    assert.deepEqual(await portsRegistered(), taken);
  });

  describe("takes the word of", () => {
    const callers = { loopback: "127.0.0.1", own };
    const answers = async () => {
      const statuses = [];
      for (const host of Object.values(callers)) {
        for (const transport of ["udp", "tcp"] as const) {
          statuses.push(...(await machine.tell(transport, ["192.0.2.1"], host)).statuses);
        }
      }
      return statuses.join(" ");
    };

    it("this host alone, unless told otherwise", async () => {
      await using box = await install("sqlite");
      await using serve = await startServe(box, "drac = true", machine.enter);
      await untilRegistered(serve);
      assert.equal(await answers(), "0 0 0 0");
    });

    it("whom dracd.allow has, as it is at a reload, and denies others", async () => {
      await using box = await install("sqlite");
      const allow = join(box.directory, "dracd.allow");
      writeFileSync(allow, "# everybody on this host\n255.0.0.0 127.0.0.0\n");
      const lines = `drac = "0.0.0.0:4711"\ndrac-allow = "${allow}"`;
      await using serve = await startServe(box, lines, machine.enter);
      await untilRegistered(serve);
      assert.deepEqual(await portsRegistered(), { udp: "4711", tcp: "4711" });
      assert.equal(await answers(), "0 0 1 1");
      assert.match(serve.log(), new RegExp(` warning denied protocol=drac sender=${own}$`, "m"));

      writeFileSync(allow, `255.255.255.255 ${own}\n`);
      assert.match(await serve.reload(), / info reloaded$/);
      assert.equal(await answers(), "1 1 0 0");
      writeFileSync(allow, "");
      assert.match(await serve.reload(), / info reloaded$/);
      assert.equal(await answers(), "1 1 1 1");
      writeFileSync(allow, "255.0.255.0 127.0.0.0\n");
      assert.match(await serve.reload(), / error reload-refused .*dracd\.allow: line 1: /);
      assert.equal(await answers(), "1 1 1 1");
    });

    it("networks in a list, and moves to another port, or ends, at a reload", async () => {
      await using box = await install("sqlite");
      const lines = `drac = "0.0.0.0:4712"\ndrac-allow = ["198.51.100.0/24"]`;
      await using serve = await startServe(box, lines, machine.enter);
      await untilRegistered(serve);
      assert.equal(await answers(), "1 1 0 0");
      const configuration = readFileSync(box.config, "utf8");
      writeFileSync(box.config, configuration.replace("4712", "4713"));
      assert.match(await serve.reload(), / info reloaded$/);
      await waitUntil("it to be registered anew", async () => {
        return (await portsRegistered()).udp === "4713";
      });
      assert.equal(await answers(), "1 1 0 0");
      writeFileSync(box.config, configuration.replace('"0.0.0.0:4712"', "false"));
      assert.match(await serve.reload(), / info reloaded$/);
      await waitUntil("it to be taken off", unregistered);
    });
  });
});

describe("a dracd as the store", () => {
  let box: Installation;
  before(async () => {
    box = stack.use(await install("sqlite"));
    const [top = ""] = readFileSync(box.config, "utf8").split("[store]");
    writeFileSync(box.config, `${top}[store]\ndriver = "drac"\nhosts = ["localhost"]\n`);
  });

  const popbsmtp = async (...args: readonly string[]) => {
    const [nsenter = "", ...words] = machine.enter;
    const all = [...words, box.program, "--config", box.config, ...args];
    const { status, stderr } = await run(nsenter, all);
    return { status, stderr: stderr.toString() };
  };
  const said = (problem: string) => `popbsmtp: store: drac localhost: ${problem}\n`;

  it("is told of IPv4 addresses in version 1 and of IPv6 addresses in version 2", async () => {
    await using dracd = await machine.startDracd({ versions: 2, status: 0 });
    for (const address of ["192.0.2.1", "255.0.128.1", "2001:db8::b8ff", "fe80::8000:1"]) {
      assert.deepEqual(await popbsmtp("allow", address), { status: 0, stderr: "" });
      assert.equal(dracd.told().at(-1), address);
    }
    assert.equal(dracd.told().length, 4);
  });

  it("is not told of IPv6 addresses where it has no version 2", async () => {
    await using dracd = await machine.startDracd({ versions: 1, status: 0 });
    assert.deepEqual(await popbsmtp("allow", "2001:db8::1"), { status: 0, stderr: "" });
    assert.deepEqual(await popbsmtp("allow", "192.0.2.1"), { status: 0, stderr: "" });
    assert.deepEqual(dracd.told(), ["192.0.2.1"]);
  });

  for (const [status, problem] of [
    [1, "permission denied: its dracd.allow has to list this host"],
    [2, "dracd reports a system error: its own log says which"],
    [3, "dracd reports an unknown error: its own log may say which"],
  ] as const) {
    it(`says what status ${status} means, and a login waits in the spool`, async () => {
      await using _ = await machine.startDracd({ versions: 2, status });
      for (const address of ["192.0.2.1", "2001:db8::1"]) {
        const stderr = said(problem);
        assert.deepEqual(await popbsmtp("allow", address), { status: 75, stderr });
      }
    });
  }

  it("that is away is an outage: never started, ended without a word, hanging, or without rpcbind", async () => {
    const allow = () => popbsmtp("allow", "192.0.2.1");
    const away = (problem: string) => ({ status: 75, stderr: said(problem) });
    const dracd = await machine.startDracd({ versions: 2, status: 0 });
    dracd.signal("SIGSTOP");
    assert.deepEqual(await allow(), away("no answer within 3 s"));
    await dracd.kill();
    assert.deepEqual(await allow(), away("nothing listens there"));
    await machine.stopRpcbind();
    assert.deepEqual(await allow(), away("rpcbind: nothing listens there"));
    await machine.startRpcbind();
    assert.deepEqual(await allow(), away("rpcbind lists no dracd there; is it running?"));
  });

  it("has nothing to list, look up, revoke or purge", async () => {
    for (const [args, what] of [
      [["list"], "list authorizations"],
      [["check", "192.0.2.1"], "look up an address"],
      [["revoke", "192.0.2.1"], "revoke an authorization; it expires by itself"],
      [["purge"], "purge; the daemon there does that by itself"],
    ] as const) {
      const stderr = said(`cannot ${what}`);
      assert.deepEqual(await popbsmtp(...args), { status: 78, stderr });
    }
  });

  it("is looked at by doctor, which tells it of nothing", async () => {
    await using dracd = await machine.startDracd({ versions: 2, status: 0 });
    const [nsenter = "", ...words] = machine.enter;
    const all = [...words, box.program, "--config", box.config, "doctor"];
    const { stdout } = await run(nsenter, all);
    assert.match(stdout.toString(), /^ +ok +drac localhost: reached; only a login shows whether/m);
    assert.deepEqual(dracd.told(), []);
  });

  it("gets what waits in the spool once it is there, but for what is too old by then", async () => {
    const [nsenter = "", ...words] = machine.enter;
    const wrapper = (address: string) =>
      run(nsenter, [...words, box.program, "--config", box.config, "--no-wait", "/bin/true"], {
        env: { IP: address, USER: "bob" },
      });
    const old = `${(Date.now() - 31 * 60_000) * 1_000}.1`;
    await wrapper("192.0.2.3");
    const [name = ""] = box.waiting();
    await run("mv", [join(box.spool, name), join(box.spool, old)]);
    for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.1"]) await wrapper(address);
    await using dracd = await machine.startDracd({ versions: 2, status: 0 });
    await popbsmtp("drain");
    await waitUntil("the spool to be empty", () => box.waiting().length === 0);
    assert.deepEqual([...new Set(dracd.told())].toSorted(), ["192.0.2.1", "192.0.2.2"]);
  });

  it("that is popbsmtp's own daemon gets them as from any other client", async () => {
    await using far = await install("sqlite");
    await using serve = await startServe(far, "drac = true", machine.enter);
    await untilRegistered(serve);
    for (const address of ["192.0.2.1", "2001:db8::b8ff"]) {
      assert.deepEqual(await popbsmtp("allow", address), { status: 0, stderr: "" });
      assert.equal(await askPolicy(serve.policy, address), "OK");
    }
  });
});
