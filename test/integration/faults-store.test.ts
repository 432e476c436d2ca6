/**
 * Reading mail works as ever while the store is away, and what was recorded meanwhile is in it
 * afterwards.
 */
import { chmodSync, existsSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import type { DatabaseServer } from "../support/database-server.ts";
import { startDovecot, type Dovecot } from "../support/dovecot.ts";
import { survive, type Fault } from "../support/faults.ts";
import { DRIVERS, install, type Driver, type Installation } from "../support/installation.ts";
import { waitUntil } from "../support/wait-until.ts";

let untouched: Dovecot;
before(async () => {
  untouched = await startDovecot();
});
after(() => untouched[Symbol.asyncDispose]());

for (const driver of DRIVERS) {
  test(`with ${driver}, reading mail works as ever while`, async (t) => {
    await using box = await install(driver);
    await using dovecot = await startDovecot({
      config: await box.popbsmtp("print", "dovecot", "2"),
    });
    await box.wrapper({ IP: "192.0.2.1", USER: "the drain's first" });
    for (const fault of [NONE, ...faults(driver, box)]) {
      await t.test(fault.name, () => survive(fault, box, dovecot, untouched));
    }
  });
}

const NONE: Fault = {
  name: "nothing is wrong",
  begin: () => {},
  end: () => {},
  says: undefined,
  lingering: true,
};

/** What can happen to a store. */
interface StoreFault extends Pick<Fault, "name" | "begin" | "end"> {
  readonly says: RegExp;
  /** Whether a drain that is connected to the store notices. Default true. */
  readonly noticed?: boolean;
}

/** Each for a drain that is connected, and for one that has to connect. */
function faults(driver: Driver, box: Installation): readonly Fault[] {
  return storeFaults(driver, box).flatMap(({ noticed = true, ...fault }) => {
    const toCome = {
      ...fault,
      name: `${fault.name}, with a drain to come`,
      begin: async () => {
        await box.killDrains();
        await fault.begin();
        // one that was starting has connected meanwhile
        await box.killDrains();
      },
      lingering: true,
    };
    const atWork = { ...fault, name: `${fault.name}, with a drain at work`, lingering: true };
    return noticed ? [atWork, toCome] : [toCome];
  });
}

type Store = Pick<Installation, "server" | "database" | "sql" | "killDrains">;

function storeFaults(driver: Driver, store: Store): readonly StoreFault[] {
  const { server, sql } = store;
  const tableMissing = {
    name: "the table is missing",
    begin: () => sql("ALTER TABLE popbsmtp RENAME TO elsewhere"),
    end: () => sql("ALTER TABLE elsewhere RENAME TO popbsmtp"),
    says: /waits in .*(?:not exist|n't exist|no such table).*; run: popbsmtp schema install/,
  };
  return server === undefined
    ? [tableMissing, ...sqliteFaults(store)]
    : [tableMissing, ...serverFaults(driver, server, sql)];
}

function serverFaults(
  driver: Driver,
  server: DatabaseServer,
  sql: Store["sql"],
): readonly StoreFault[] {
  const setPassword = (password: string) =>
    sql(
      driver === "pgsql"
        ? `ALTER ROLE ${server.user} PASSWORD '${password}'`
        : ["%", "localhost"]
            .map((host) => `ALTER USER '${server.user}'@'${host}' IDENTIFIED BY '${password}'`)
            .join(";"),
    );
  return [
    {
      name: "the database is stopped",
      begin: () => server.stop(),
      end: () => server.start(),
      says: /waits in .* ECONNREFUSED/,
    },
    {
      name: "the database is killed",
      begin: () => server.kill9(),
      end: () => server.start(),
      says: /waits in .* ECONNREFUSED/,
    },
    {
      name: "the database hangs",
      begin: () => server.pause(),
      end: () => server.resume(),
      says: /waits in .* is slow to answer/,
    },
    {
      name: "the database refuses the password",
      begin: () => setPassword("another"),
      end: () => setPassword(server.password),
      says: /waits in .* (?:password authentication failed|Access denied)/,
      noticed: false,
    },
  ];
}

function sqliteFaults({ database: path, sql, killDrains }: Store): readonly StoreFault[] {
  const directory = dirname(path);
  let other: DatabaseSync;
  return [
    {
      name: "the file is unreadable",
      begin: () => chmodSync(path, 0),
      end: () => chmodSync(path, 0o640),
      says: /waits in .*check the modes/,
      noticed: false,
    },
    {
      name: "the directory is read-only",
      begin: async () => {
        chmodSync(directory, 0o550);
        // who finds the files beside it can write; the last to close it deletes them
        await waitUntil("no drain to have it open", async () => {
          await killDrains();
          await sql("SELECT count(*) FROM popbsmtp");
          return !existsSync(`${path}-wal`);
        });
      },
      end: () => chmodSync(directory, 0o2750),
      says: /waits in .*(?:check the modes|readonly)/,
      noticed: false,
    },
    {
      name: "another program holds the file locked",
      begin: () => {
        other = new DatabaseSync(path);
        other.exec("BEGIN IMMEDIATE");
      },
      end: () => {
        other.exec("ROLLBACK");
        other.close();
      },
      says: /waits in .*(?:database is locked|is slow to answer)/,
    },
  ];
}
