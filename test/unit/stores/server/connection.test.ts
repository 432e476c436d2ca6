import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RowRefusedError, StoreAwayError } from "../../../../src/lib/errors.ts";
import { Connection } from "../../../../src/stores/server/connection.ts";
import type { Complaint, Driver } from "../../../../src/stores/server/driver.ts";
import { serverWith } from "../../../support/config.ts";

interface Link {
  readonly host: string;
  readonly lost: () => void;
}

class Trouble extends Error {
  readonly kind: Complaint["kind"];
  constructor(kind: Complaint["kind"]) {
    super(`trouble: ${kind}`);
    this.kind = kind;
  }
}

/**
 * A driver that connects to every host but those in `down`, and remembers what it was asked to do.
 */
function recorder(
  down: Readonly<Record<string, Complaint["kind"]>> = {},
  readOnly: readonly string[] = [],
) {
  const calls: string[] = [];
  const links: Link[] = [];
  const driver: Driver<Link> = {
    connect: async (host, _timeout, lost) => {
      calls.push(`connect ${host}`);
      const kind = down[host];
      if (kind !== undefined) throw new Trouble(kind);
      const link = { host, lost };
      links.push(link);
      return await Promise.resolve(link);
    },
    readOnly: ({ host }) => Promise.resolve(readOnly.includes(host) ? "read only" : undefined),
    identity: ({ host }) => Promise.resolve(host),
    isWorking: () => Promise.resolve(true),
    cancel: ({ host }) => {
      calls.push(`cancel ${host}`);
      return Promise.resolve();
    },
    end: async ({ host }) => {
      calls.push(`end ${host}`);
      await Promise.resolve();
    },
    destroy: ({ host }) => {
      calls.push(`destroy ${host}`);
    },
    explain: (error) => ({
      kind: error instanceof Trouble ? error.kind : "away",
      text: error instanceof Error ? error.message : "",
    }),
  };
  return { calls, links, driver };
}

const ok = () => Promise.resolve("done");

describe("a connection", () => {
  it("is made by the first verb, kept for the next, and ended by close", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverWith({ hosts: ["a"] }), driver);
    assert.deepEqual(calls, []);
    await connection.use(ok);
    assert.equal(await connection.use(ok), "done");
    await connection.close();
    assert.deepEqual(calls, ["connect a", "end a", "destroy a"]);
  });

  it("goes to the next host where one is away, and stays with it", async () => {
    const { calls, links, driver } = recorder({ a: "away" });
    const connection = new Connection(serverWith({ hosts: ["a", "b"] }), driver);
    await connection.use(ok);
    links[0]?.lost();
    await connection.use(ok);
    assert.deepEqual(calls, ["connect a", "connect b", "connect b"]);
  });

  it("passes over a host that takes no writes", async () => {
    const { calls, driver } = recorder({}, ["a"]);
    const connection = new Connection(serverWith({ hosts: ["a", "b"] }), driver);
    await connection.use(ok);
    assert.deepEqual(calls, ["connect a", "destroy a", "connect b"]);
  });

  it("says of each host why it could not be used", async () => {
    const { driver } = recorder({ b: "away" }, ["a"]);
    const connection = new Connection(serverWith({ hosts: ["a", "b"] }), driver);
    await assert.rejects(
      connection.use(ok),
      /^StoreAwayError: store: pgsql a:5432\/mail: read only; b:5432\/mail: trouble: away$/,
    );
  });

  it("takes its only host as it is", async () => {
    const { calls, driver } = recorder({}, ["a"]);
    await new Connection(serverWith({ hosts: ["a"] }), driver).use(ok);
    assert.deepEqual(calls, ["connect a"]);
  });

  it("does a verb again on the next host where the one in use turns out to be read-only", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverWith({ hosts: ["a", "b"] }), driver);
    const hosts: string[] = [];
    await connection.use(({ host }) => {
      hosts.push(host);
      return host === "a" ? Promise.reject(new Trouble("read-only")) : ok();
    });
    assert.deepEqual(hosts, ["a", "b"]);
    assert.deepEqual(calls, ["connect a", "destroy a", "connect b"]);
  });

  it("does a verb again, once, on a fresh connection where it was cut", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverWith({ hosts: ["a"] }), driver);
    let tries = 0;
    await connection.use(() => (++tries === 1 ? Promise.reject(new Trouble("lost")) : ok()));
    assert.deepEqual(calls, ["connect a", "destroy a", "connect a"]);
    tries = 0;
    await assert.rejects(
      connection.use(() => {
        tries++;
        return Promise.reject(new Trouble("lost"));
      }),
      StoreAwayError,
    );
    assert.equal(tries, 2);
  });

  it("follows another one of the process to the host that takes writes", async () => {
    const { calls, links, driver } = recorder();
    const config = serverWith({ hosts: ["a", "b"] });
    const [logins, lookups] = [new Connection(config, driver), new Connection(config, driver)];
    await logins.use(ok);
    await lookups.use(ok);
    let isFirst = true;
    await logins.use(() => {
      if (!isFirst) return ok();
      isFirst = false;
      return Promise.reject(new Trouble("read-only"));
    });
    assert.equal(links.at(-1)?.host, "b");
    assert.equal(await lookups.use(({ host }) => Promise.resolve(host)), "b");
    assert.deepEqual(calls.slice(2), ["destroy a", "connect b", "end a", "destroy a", "connect b"]);
  });

  it("stops at a host that will not have us", async () => {
    const { calls, driver } = recorder({ a: "refused" });
    const connection = new Connection(serverWith({ hosts: ["a", "b"] }), driver);
    await assert.rejects(
      connection.use(ok),
      /^StoreAwayError: store: pgsql a:5432\/mail: trouble: refused$/,
    );
    assert.deepEqual(calls, ["connect a"]);
  });

  it("is given up when a verb fails, but not for a refused row", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverWith({ hosts: ["a"] }), driver);
    const fail = (kind: Complaint["kind"]) =>
      connection.use(() => Promise.reject(new Trouble(kind)));
    await assert.rejects(fail("row"), RowRefusedError);
    assert.deepEqual(calls, ["connect a"]);
    await assert.rejects(fail("away"), StoreAwayError);
    await connection.use(ok);
    assert.deepEqual(calls, ["connect a", "destroy a", "connect a"]);
  });

  it("is not given up for what an older one still says", async () => {
    const { calls, links, driver } = recorder();
    const connection = new Connection(serverWith({ hosts: ["a"] }), driver);
    await assert.rejects(connection.use(() => Promise.reject(new Trouble("away"))));
    await connection.use(ok);
    links[0]?.lost();
    await connection.use(ok);
    assert.deepEqual(calls, ["connect a", "destroy a", "connect a"]);
  });

  it("tries a verb again that met another writer, for as long as it may take", async () => {
    const connection = new Connection(serverWith({}), recorder().driver);
    let tries = 0;
    const meet = (until: number) => () =>
      ++tries < until ? Promise.reject(new Trouble("transient")) : ok();
    assert.equal(await connection.use(meet(6)), "done");
    await assert.rejects(connection.use(meet(Infinity), 50), /trouble: transient/);
  });

  it("lets verbs take turns", async () => {
    const connection = new Connection(serverWith({}), recorder().driver);
    const order: string[] = [];
    const verb = (name: string) => async () => {
      order.push(`${name} begins`);
      await Promise.resolve();
      order.push(`${name} ends`);
    };
    await Promise.all([connection.use(verb("first")), connection.use(verb("second"))]);
    assert.deepEqual(order, ["first begins", "first ends", "second begins", "second ends"]);
  });

  it("ends a verb that takes too long, itself, and the statement on the server", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverWith({ hosts: ["a"] }), driver);
    await assert.rejects(
      connection.use(() => new Promise(() => {}), 10),
      /no answer within 0.01 s/,
    );
    assert.deepEqual(calls, ["connect a", "connect a", "cancel a", "destroy a", "destroy a"]);
  });

  it("is called by the host in use once there is one", async () => {
    const { driver } = recorder({ a: "away" });
    const connection = new Connection(serverWith({ hosts: ["a", "b"] }), driver);
    await connection.use(ok);
    assert.equal(connection.name, "pgsql b:5432/mail");
  });

  it("is called by its hosts, ports and database", () => {
    const hosts = ["db.example.org", "2001:db8::1"];
    const { driver } = recorder();
    const named = (config: Parameters<typeof serverWith>[0]) =>
      new Connection(serverWith(config), driver).name;
    assert.equal(named({ hosts }), "pgsql db.example.org:5432,[2001:db8::1]:5432/mail");
    const socket = ["/run/mysqld/mysqld.sock"];
    assert.equal(named({ driver: "mysql", hosts: socket }), "mysql /run/mysqld/mysqld.sock/mail");
  });
});
