import { chmodSync, constants, copyFileSync, mkdirSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { account, type Account } from "../test/support/accounts.ts";
import type { DatabaseServer } from "../test/support/database-server.ts";
import { startMariadb } from "../test/support/mariadb.ts";
import { startPostgres } from "../test/support/postgres.ts";
import { temporaryDirectory } from "../test/support/temporary-directory.ts";
import { compileLoad } from "./load.ts";
import { writeRivals, type Rivals } from "./rivals.ts";
import { Station } from "./station.ts";
import { compileStopwatch } from "./stopwatch.ts";
import { mysqlStore, pgsqlStore, sqliteStore, type BenchStore } from "./stores.ts";

const BUILT = fileURLToPath(new URL("../bin/popbsmtp", import.meta.url));

/** The environment of all tables. */
export interface Site extends AsyncDisposable {
  /**
   * The directory of all files; the databases' directories and the spools are on the same file
   * system.
   */
  readonly path: string;
  /** The user of wrappers and drains: an account without privileges, as under Dovecot 2. */
  readonly owner: Account;
  readonly stopwatch: string;
  readonly load: string;
  readonly rivals: Rivals;
  readonly stores: readonly BenchStore[];
  readonly postgres: DatabaseServer;
  readonly mariadb: DatabaseServer;
  /** popbsmtp on a store; `name` must be unique. */
  station(store: BenchStore, name: string): Promise<Station>;
}

export async function openSite(): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const owner = account(process.getuid?.() === 0 ? "nobody" : userInfo().username);
  const postgres = stack.use(await startPostgres());
  const mariadb = stack.use(await startMariadb());
  const stopwatch = await compileStopwatch(path);
  const load = await compileLoad(path);
  const rivals = await writeRivals(path, { postgres, mariadb });
  const program = installProgram(path);
  const stores = [
    pgsqlStore(postgres),
    mysqlStore(mariadb),
    sqliteStore(join(path, "sqlite", "popbsmtp.db")),
  ];
  const resources = stack.move();
  return {
    path,
    owner,
    stopwatch,
    load,
    rivals,
    stores,
    postgres,
    mariadb,
    station: (store, name) =>
      Station.open(program, store, join(path, `${name}-${store.driver}`), owner),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Copies the executable and its Node, because the owner may not be able to reach the checkout. */
function installProgram(directory: string): string {
  const bin = join(directory, "bin");
  const program = join(bin, "popbsmtp");
  mkdirSync(bin);
  copyFileSync(BUILT, program);
  copyFileSync(process.execPath, join(bin, "node"), constants.COPYFILE_FICLONE);
  for (const file of [program, join(bin, "node")]) chmodSync(file, 0o755);
  return program;
}
