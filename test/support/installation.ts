import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { account, requireRoot, type Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";
import type { DatabaseServer } from "./database-server.ts";
import { startMariadb } from "./mariadb.ts";
import { startPostgres } from "./postgres.ts";
import { PLAIN_ENV, run, runOk, type RunResult } from "./run.ts";
import { isAlive } from "./server-process.ts";
import { inSoak } from "./soak.ts";
import {
  BUILT,
  createSqliteFile,
  createTables,
  serverRows,
  sqliteRows,
  type Row,
} from "./tables.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { waitUntil } from "./wait-until.ts";

export type Driver = "pgsql" | "mysql" | "sqlite";

/** Those to run a test with; the store contract is tested with each of them. */
export const DRIVERS: readonly Driver[] = ["pgsql", ...inSoak("mysql"), "sqlite"];

/** popbsmtp as an administrator has installed it, for Dovecot and Postfix on this host. */
export interface Installation extends AsyncDisposable {
  /** The directory of all its files: bin/, popbsmtp.toml, spool/. */
  readonly directory: string;
  /** The built program, alone in bin/ except for `node`. */
  readonly program: string;
  readonly config: string;
  readonly spool: string;
  /** The configured user, which post-login services, wrappers and drains run as. */
  readonly user: Account;
  /** The store's server; undefined for sqlite and relay-ctrl. */
  readonly server: DatabaseServer | undefined;
  /** For sqlite, the store's file; for relay-ctrl, its directory. */
  readonly database: string;
  /** Runs SQL without popbsmtp, as the store's superuser. */
  sql(text: string): Promise<void>;
  /** Runs a command as root and returns its output. Throws if it fails. */
  popbsmtp(...args: readonly string[]): Promise<string>;
  /**
   * All rows of the store that it was installed with, expired or not. Tests wait for them, so tables
   * are read without a process for each look.
   */
  rows(): Promise<readonly Row[]>;
  /** The same as popbsmtp lists them: of the configured table, at the host that it uses. */
  list(): Promise<readonly Row[]>;
  /**
   * Runs the wrapper as the configured user, in exactly this environment. Default program:
   * /bin/true.
   */
  wrapper(env: Readonly<Record<string, string>>, program?: readonly string[]): Promise<RunResult>;
  /** The logins that wait in the spool. */
  waiting(): readonly string[];
  /** The live drains that wrappers have started. */
  drains(): readonly number[];
  /** Kills these drains, and waits until they are gone. */
  killDrains(): Promise<void>;
}

/**
 * Installs the built program in an empty directory, with a configuration, an empty spool, and a
 * separate store with its tables. Processes that its wrappers start end with it.
 *
 * @param top lines for the top of the configuration
 * @param shared a server that the caller disposes of. Default: a separate one
 */
export async function install(
  driver: Driver | "relay-ctrl",
  top = "",
  shared?: DatabaseServer,
): Promise<Installation> {
  requireRoot("a program that becomes somebody else");
  const user = account("nobody");
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const [config, spool] = [join(directory, "popbsmtp.toml"), join(directory, "spool")];
  const database = join(directory, "db", driver === "relay-ctrl" ? "allow" : "popbsmtp.db");
  const server =
    driver === "sqlite" || driver === "relay-ctrl"
      ? undefined
      : (shared ?? stack.use(await START[driver]()));
  const program = layOut(directory, user);
  mkdirSync(spool, { mode: 0o700 });
  chownSync(spool, user.uid, user.gid);
  writeFileSync(
    config,
    `spool = "${spool}"\nuser = "${user.name}"\n${top}\n[store]\ndriver = "${driver}"\n` +
      (server === undefined ? `path = "${database}"\n` : serverLines(server)),
    { mode: 0o640 },
  );
  chownSync(config, 0, user.gid);

  const drains = () => processesWith(`--linger\0${spool}\0`);
  // a drain that is starting still has the command line of its wrapper
  const all = () => processesWith(`${directory}/`);
  stack.use(atExit(() => all().forEach(kill9)));
  stack.defer(() => killAll(all));
  const popbsmtp = (...args: readonly string[]) => runOk(program, ["--config", config, ...args]);
  const list = async () => {
    const rows: readonly Row[] = JSON.parse(await popbsmtp("list", "--all", "--json"));
    return rows;
  };
  if (driver === "sqlite") await createSqliteFile(database, user.name);
  else if (driver === "relay-ctrl") await popbsmtp("schema", "install");
  else if (server !== undefined) await createTables(driver, server);
  const resources = stack.move();
  return {
    directory,
    program,
    config,
    spool,
    user,
    server,
    database,
    popbsmtp,
    sql: async (text) => {
      if (server === undefined) sqlite(database, text);
      else await server.query(text);
    },
    rows: async () => {
      if (server !== undefined) return serverRows(server);
      if (driver === "sqlite") return sqliteRows(database);
      return list();
    },
    list,
    wrapper: (env, args = ["/bin/true"]) =>
      run(program, ["--config", config, ...args], { env, uid: user.uid, gid: user.gid }),
    waiting: () => readdirSync(spool).filter((name) => /^\d+\.\d+$/.test(name)),
    drains,
    killDrains: () => killAll(drains),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const START = { pgsql: startPostgres, mysql: startMariadb };

function serverLines({ host, port, database, user, password }: DatabaseServer): string {
  const as = `user = "${user}"\npassword = "${password}"\n`;
  return `host = "${host}"\nport = ${String(port)}\ndatabase = "${database}"\n${as}[store.reader]\n${as}`;
}

/** Copies the program, with a link to the Node that it runs. */
function layOut(directory: string, user: Account): string {
  const bin = join(directory, "bin");
  mkdirSync(bin);
  chmodSync(bin, 0o755);
  const program = join(bin, "popbsmtp");
  copyFileSync(BUILT, program);
  chmodSync(program, 0o755);
  const node = join(bin, "node");
  // other users may not be able to reach a checkout in root's home
  const { uid, gid } = user;
  if (spawnSync("test", ["-x", process.execPath], { uid, gid, env: PLAIN_ENV }).status === 0) {
    symlinkSync(process.execPath, node);
  } else {
    copyFileSync(process.execPath, node);
    chmodSync(node, 0o755);
  }
  return program;
}

function sqlite(path: string, text: string): void {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  try {
    database.exec(text);
  } finally {
    database.close();
  }
}

/** Processes with `text`, which contains a unique path, in their command lines. */
function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/**
 * Waits until they are gone: a process that is exiting has no command line any more, but may still
 * have its files open.
 */
function killAll(pids: () => readonly number[]): Promise<void> {
  const killed = new Set<number>();
  return waitUntil("killed processes to be gone", () => {
    const found = pids();
    for (const pid of found) {
      kill9(pid);
      killed.add(pid);
    }
    return found.length === 0 && ![...killed].some(isAlive);
  });
}

function kill9(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has exited by itself
  }
}
