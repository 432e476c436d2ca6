/** Whether popbsmtp serve could start. Starts nothing, and does not disturb a running daemon. */
import { lstatSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { endpointName, type Config, type Endpoint, type PortEndpoint } from "../config/config.ts";
import { EX, PopbsmtpError, StoreAwayError, UnsupportedError, codeOf } from "../lib/errors.ts";
import {
  accountOf,
  asAccount,
  dropPrivileges,
  isRoot,
  type Account,
} from "../system/privileges.ts";
import { Spool } from "../spool/spool.ts";
import { INSTALL_HINT } from "../stores/store.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { alone } from "../writers/store-spools.ts";
import { named } from "./sockets/missing.ts";
import { cannotListen, listening, OccupiedError } from "./sockets/listening.ts";
import { readProblems } from "./problems.ts";
import { rootsWayTo } from "../system/roots-way.ts";
import { whyNotWritable } from "./spool-problems.ts";
import { pathHolders, portHolders, processesWith, type SocketType } from "./sockets/taken.ts";

/** An endpoint to listen at, and its purpose. */
export interface ListeningEndpoint {
  /** Its key in [serve]. */
  readonly key: string;
  readonly endpoint: Endpoint;
  readonly transports: readonly SocketType[];
}

/** Every endpoint in [serve], except sockets that Dovecot or systemd holds. */
export function placesOf({ serve }: Pick<Config, "serve">): readonly ListeningEndpoint[] {
  const { dict, imap, pop3, policy, socketmap, metrics, drac, relayCtrlUdp } = serve;
  const tcp = { dict, imap, pop3, policy, socketmap, metrics };
  const place = (key: string, endpoint: Endpoint, ...transports: readonly SocketType[]) => ({
    key,
    endpoint,
    transports,
  });
  return [
    ...Object.entries(tcp).flatMap(([key, endpoints]) =>
      [endpoints ?? []].flat().map((endpoint) => place(key, endpoint, "tcp")),
    ),
    ...(drac === undefined ? [] : [place("drac", drac, "udp", "tcp")]),
    ...(relayCtrlUdp === undefined ? [] : [place("relay-ctrl-udp", relayCtrlUdp, "udp")]),
  ];
}

/**
 * The problems that would keep the daemon from working. Afterwards this process runs as the
 * configured user.
 *
 * A socket that the running daemon of this spool uses, or that Dovecot's master or systemd holds
 * for it, is not a problem.
 */
export async function startProblems(
  config: Config,
  openStores: (config: Config) => Promise<StoreGroup>,
): Promise<readonly PopbsmtpError[]> {
  const problems: PopbsmtpError[] = [];
  const attempt = async (work: () => unknown) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof PopbsmtpError)) throw error;
      problems.push(error);
    }
  };
  let account: Account | undefined;
  if (isRoot()) await attempt(() => (account = accountOf(config.user)));
  // as the user, who owns the files
  const { daemon, said } = as(account, () => atWork(config.spool));
  for (const { key, endpoint, transports } of placesOf(config)) {
    await attempt(async () => {
      try {
        if ("path" in endpoint) checkPath(endpoint.path, account, daemon);
        else for (const transport of transports) await checkPort(endpoint, transport, daemon);
      } catch (error) {
        throw named(`serve.${key}`, error);
      }
    });
  }
  if (account === undefined && isRoot()) return problems;
  dropPrivileges(config.user);
  const spool = whyNotWritable(config.spool);
  if (spool !== undefined) problems.push(new PopbsmtpError(spool, EX.CANTCREAT));
  for (const store of config.stores) {
    await attempt(async () => checkStore(await openStores(alone(config, store))));
  }
  const known = new Set(problems.map(({ message }) => message));
  const more = said.filter((text) => !known.has(text));
  return [
    ...problems,
    ...more.map((text) => new PopbsmtpError(`the daemon at work says: ${text}`, EX.CANTCREAT)),
  ];
}

function as<T>(account: Account | undefined, work: () => T): T {
  return account === undefined ? work() : asAccount(account, work);
}

function atWork(spool: string): {
  readonly daemon: number | undefined;
  readonly said: readonly string[];
} {
  const daemon = new Spool(spool).drain.atWork("serve");
  return { daemon, said: daemon === undefined ? [] : readProblems(spool) };
}

async function checkPort(
  endpoint: PortEndpoint,
  transport: SocketType,
  daemon: number | undefined,
): Promise<void> {
  const where = endpointName(endpoint);
  const holders = portHolders(endpoint, transport);
  checkHolders(where, holders, daemon);
  if (holders.length > 0) return;
  // checks whether the address belongs to this host, without taking the port
  const server = createServer();
  await listening(server.listen({ host: endpoint.host, port: 0 }), where);
  server.close();
}

function checkPath(path: string, account: Account | undefined, daemon: number | undefined): void {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isSocket()) {
      throw new OccupiedError(`${path}: exists and is not a socket; move it away`);
    }
    const holders = pathHolders(path);
    checkHolders(path, holders, daemon);
    if (holders.length === 0) checkDirectory(dirname(path), account);
  } catch (error) {
    throw error instanceof PopbsmtpError ? error : cannotListen(path, error);
  }
}

function checkHolders(where: string, inodes: readonly string[], daemon: number | undefined): void {
  for (const inode of inodes) {
    const holders = processesWith(inode);
    if (holders.some((pid) => pid === daemon || isSupervisor(pid))) continue;
    const [holder] = holders;
    if (holder === undefined && !isRoot()) {
      throw new PopbsmtpError(
        `${where}: a process listens there; run this command as root to see which one`,
        EX.NOPERM,
      );
    }
    const who = holder === undefined ? "" : ` (${holder}, ${nameOf(holder)})`;
    throw new OccupiedError(
      `${where}: another process listens there${who}; stop it or name another`,
    );
  }
}

/** Dovecot's master and systemd, which hold sockets for the daemon. */
function isSupervisor(pid: number): boolean {
  return pid === 1 || nameOf(pid) === "dovecot";
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "ended";
  }
}

/** The user, or root, creates the socket and any missing directories. */
function checkDirectory(path: string, account: Account | undefined): void {
  let there = path;
  while (statSync(there, { throwIfNoEntry: false }) === undefined) there = dirname(there);
  try {
    as(account, () => tryFile(join(there, `.popbsmtp-check.${process.pid}`)));
  } catch (error) {
    const isRootsToMake = isRoot() && codeOf(error) === "EACCES" && rootsWayTo(there) !== undefined;
    if (!isRootsToMake) throw error;
  }
}

/** Not access(2), which checks the user that started this process. */
function tryFile(path: string): void {
  writeFileSync(path, "", { flag: "wx", mode: 0o600 });
  rmSync(path);
}

async function checkStore(store: StoreGroup): Promise<void> {
  try {
    if ((await store.schemaVersion()) === 0) {
      throw new StoreAwayError(`store: ${store.name}: the tables are missing; ${INSTALL_HINT}`);
    }
  } catch (error) {
    // this store can only be tested by a login
    if (!(error instanceof UnsupportedError)) throw error;
  } finally {
    await store.close();
  }
}
