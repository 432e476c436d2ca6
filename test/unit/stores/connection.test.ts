import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RowRefusedError, StoreAwayError } from "../../../src/errors.ts";
import type { Complaint } from "../../../src/stores/complaint.ts";
import { Connection, type Driver } from "../../../src/stores/connection.ts";
import { serverConfigWith } from "./server-config.ts";

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

/** A driver that connects to every host but those in `down`, and remembers what it was asked to do. */
function recorder(down: Readonly<Record<string, Complaint["kind"]>> = {}) {
  const calls: string[] = [];
  const links: Link[] = [];
  const driver: Driver<Link> = {
    connect: async (host, lost) => {
      calls.push(`connect ${host}`);
      const kind = down[host];
      if (kind !== undefined) throw new Trouble(kind);
      const link = { host, lost };
      links.push(link);
      return await Promise.resolve(link);
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
    const connection = new Connection(serverConfigWith({ hosts: ["a"] }), driver);
    assert.deepEqual(calls, []);
    await connection.use(ok);
    assert.equal(await connection.use(ok), "done");
    await connection.close();
    assert.deepEqual(calls, ["connect a", "end a", "destroy a"]);
  });

  it("goes to the next host where one is away, and begins with the first again", async () => {
    const { calls, links, driver } = recorder({ a: "away" });
    const connection = new Connection(serverConfigWith({ hosts: ["a", "b"] }), driver);
    await connection.use(ok);
    links[0]?.lost();
    await connection.use(ok);
    assert.deepEqual(calls, ["connect a", "connect b", "connect a", "connect b"]);
  });

  it("stops at a host that will not have us", async () => {
    const { calls, driver } = recorder({ a: "refused" });
    const connection = new Connection(serverConfigWith({ hosts: ["a", "b"] }), driver);
    await assert.rejects(
      connection.use(ok),
      /^StoreAwayError: store: pgsql a:5432\/mail: trouble: refused$/,
    );
    assert.deepEqual(calls, ["connect a"]);
  });

  it("is given up when a verb fails, but not for a refused row", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverConfigWith({ hosts: ["a"] }), driver);
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
    const connection = new Connection(serverConfigWith({ hosts: ["a"] }), driver);
    await assert.rejects(connection.use(() => Promise.reject(new Trouble("away"))));
    await connection.use(ok);
    links[0]?.lost();
    await connection.use(ok);
    assert.deepEqual(calls, ["connect a", "destroy a", "connect a"]);
  });

  it("tries a verb again that met another writer, five times in all", async () => {
    const connection = new Connection(serverConfigWith({}), recorder().driver);
    let tries = 0;
    const meet = (until: number) => () =>
      ++tries < until ? Promise.reject(new Trouble("transient")) : ok();
    assert.equal(await connection.use(meet(5)), "done");
    tries = 0;
    await assert.rejects(connection.use(meet(6)), /trouble: transient/);
    assert.equal(tries, 5);
  });

  it("lets verbs take turns", async () => {
    const connection = new Connection(serverConfigWith({}), recorder().driver);
    const order: string[] = [];
    const verb = (name: string) => async () => {
      order.push(`${name} begins`);
      await Promise.resolve();
      order.push(`${name} ends`);
    };
    await Promise.all([connection.use(verb("first")), connection.use(verb("second"))]);
    assert.deepEqual(order, ["first begins", "first ends", "second begins", "second ends"]);
  });

  it("ends a verb that takes too long, and itself", async () => {
    const { calls, driver } = recorder();
    const connection = new Connection(serverConfigWith({ hosts: ["a"] }), driver);
    await assert.rejects(
      connection.use(() => new Promise(() => {}), 10),
      /no answer within 0.01 s/,
    );
    assert.deepEqual(calls, ["connect a", "destroy a"]);
  });

  it("is called by its hosts, ports and database", () => {
    const hosts = ["db.example.org", "2001:db8::1"];
    const { driver } = recorder();
    const named = (config: Parameters<typeof serverConfigWith>[0]) =>
      new Connection(serverConfigWith(config), driver).name;
    assert.equal(named({ hosts }), "pgsql db.example.org:5432,[2001:db8::1]:5432/mail");
    const socket = ["/run/mysqld/mysqld.sock"];
    assert.equal(named({ driver: "mysql", hosts: socket }), "mysql /run/mysqld/mysqld.sock/mail");
  });
});
