/** Examines the set-up, area by area. */
import { readFileSync, realpathSync } from "node:fs";
import { userInfo } from "node:os";
import { DEFAULT_CONFIG_PATH, type Config, type StoreConfig } from "../config/config.ts";
import { loadConfig } from "../config/reading/load.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, EX, PopbsmtpError } from "../lib/errors.ts";
import { dropPrivileges, findAccount, isRoot, type Account } from "../system/privileges.ts";
import { SCHEMA_VERSION } from "../writers/open-stores.ts";
import { Spool } from "../spool/spool.ts";
import type { OneWaySink, Store } from "../stores/store.ts";
import { becoming, whyNotReadable } from "./findings/becoming.ts";
import { dovecotFindings } from "./dovecot/dovecot-check.ts";
import { daemonFindings } from "./host/daemon-check.ts";
import {
  configurationFile,
  programFile,
  unreadableFindings,
  userFinding,
} from "./findings/file-modes.ts";
import { ok, problem, warning, type Area, type Finding } from "./findings/finding.ts";
import { mailLogFindings } from "./dovecot/mail-log-check.ts";
import { nodeFindings } from "./host/node-check.ts";
import { postfixFindings } from "./postfix/postfix-check.ts";
import { hostsFindings } from "./host/hosts-check.ts";
import { findSecrets, type Secrets } from "./host/secrets.ts";
import { spoolFindings } from "./host/spool-check.ts";
import { storeFindings } from "./host/store-check.ts";
import { unguardedFindings } from "./host/unguarded-check.ts";
import type { Subject } from "./findings/subject.ts";
import { popbsmtp } from "./findings/words.ts";

export interface Scope {
  /** The argument of `--config`. */
  readonly configPath: string | undefined;
  /** The path with which popbsmtp was started. */
  readonly program: string;
  readonly dovecotConfig: string | undefined;
  readonly postfixConfig: string | undefined;
  readonly now: Clock;
  readonly openStore: (
    config: Config,
    store: StoreConfig,
    role: "writer" | "purger",
  ) => Promise<Store | OneWaySink>;
}

/**
 * Yields the findings of each area as soon as they are known.
 *
 * The store comes last: from there on this process runs as the configured user, as a drain does,
 * and can examine nothing that only root can read.
 */
export async function* examine(scope: Scope): AsyncGenerator<Area> {
  const path = scope.configPath ?? DEFAULT_CONFIG_PATH;
  const secrets = findSecrets(textOf(path));
  const loaded = await load(scope.configPath);
  const config = "config" in loaded ? loaded.config : undefined;
  const account = config === undefined ? undefined : accountOf(config.user);
  const program = realpathSync(scope.program);
  const daemon = config === undefined ? undefined : daemonAtWork(config, account);
  yield {
    name: "Configuration",
    findings: [
      ...("problems" in loaded ? loaded.problems : settled(loaded.config)),
      ...modes(path, secrets, account),
      ...(config === undefined ? [] : reloadFindings(config, secrets, account, daemon)),
      programFile(program),
    ],
  };
  if (config === undefined) return;

  const subject: Subject = {
    config,
    program,
    passwordFiles: secrets.files,
    account,
    daemon,
    now: scope.now(),
    dovecotConfig: scope.dovecotConfig,
    postfixConfig: scope.postfixConfig,
  };
  const areas: readonly (readonly [string, () => Promise<readonly Finding[]>])[] = [
    ["Spool", async () => spoolFindings(subject)],
    ["Daemon", async () => daemonFindings(subject)],
    ["Mail log", async () => mailLogFindings(subject)],
    ["Node", () => nodeFindings(subject)],
    ["Dovecot", () => dovecotFindings(subject)],
    ["Postfix", () => postfixFindings(subject)],
    ...config.stores.map((store) => ["Store", () => openAndLook(subject, store, scope)] as const),
  ];
  for (const [name, look] of areas) {
    const findings = await look().catch((error: unknown) => [unexamined(config, error)]);
    if (findings.length > 0) yield { name, findings };
  }
}

/**
 * Reports a system call that failed, so that the examination of other areas goes on. Rethrows other
 * errors.
 */
function unexamined(config: Config, error: unknown): Finding {
  if (!(error instanceof Error) || !("syscall" in error)) throw error;
  const text = `not checked any further: ${error.message}`;
  return isRoot() ? problem(text) : warning(text, `sudo ${popbsmtp(config)} doctor`);
}

type Loaded = { readonly config: Config } | { readonly problems: readonly Finding[] };

async function load(configPath: string | undefined): Promise<Loaded> {
  try {
    return { config: await loadConfig(configPath) };
  } catch (error) {
    if (!(error instanceof PopbsmtpError)) throw error;
    const lines = error instanceof ConfigError ? error.problems : [error.message];
    const rest = warning(
      `nothing else can be checked ${error.exitStatus === EX.NOPERM ? "without the configuration" : "until the configuration is right"}`,
    );
    return { problems: [...lines.map((line) => problem(line)), rest] };
  }
}

/** The findings about a configuration without errors. */
function settled(config: Config): readonly Finding[] {
  const { path, user } = config;
  const read =
    path === undefined
      ? ok(`there is no ${DEFAULT_CONFIG_PATH}: every setting has its default`)
      : ok(`${path}: every line is understood`);
  if (isRoot()) return [read, userFinding(user, accountOf(user))];
  const other = `run by ${userInfo().username}: only root can see what ${user}, Dovecot and Postfix may do`;
  return [read, warning(other, `sudo ${popbsmtp(config)} doctor`)];
}

function modes(
  path: string,
  { inline, files }: Secrets,
  account: Account | undefined,
): readonly Finding[] {
  // a missing file has been reported already, if it should exist
  return [{ path, secret: inline }, ...files.map((file) => ({ path: file, secret: true }))]
    .map((file) => configurationFile(file.path, { secret: file.secret, account }))
    .filter((finding) => finding !== undefined);
}

/**
 * Files that the daemon cannot read at a reload, when it is no longer root; and sockets that
 * another user could take over meanwhile.
 */
function reloadFindings(
  config: Config,
  { files }: Secrets,
  account: Account | undefined,
  daemon: number | undefined,
): readonly Finding[] {
  const all = [...(config.path === undefined ? [] : [config.path]), ...files];
  return [
    ...(account === undefined ? [] : unreadableFindings(all, config.user, account, daemon)),
    ...unguardedFindings(config),
  ];
}

async function openAndLook(subject: Subject, store: StoreConfig, scope: Scope) {
  const { config, account } = subject;
  if (isRoot() && account === undefined) {
    return [warning(`not checked: there is no user ${config.user} to do it as`)];
  }
  // SQLite would report that the file does not exist
  if (!isRoot() && "path" in store && whyNotReadable(store.path) === "EACCES") {
    const text = `${store.path}: not checked: ${userInfo().username} cannot read it`;
    return [warning(text, `sudo ${popbsmtp(config)} doctor`)];
  }
  dropPrivileges(config.user);
  const writer = await scope.openStore(config, store, "writer");
  const purger = await scope.openStore(config, store, "purger");
  try {
    const stores = { writer, purger, version: SCHEMA_VERSION };
    return [...(await storeFindings(subject, store, stores)), ...(await hostsFindings(store))];
  } finally {
    await writer.close();
    await purger.close();
  }
}

/** Runs as the user who owns the spool. */
function daemonAtWork({ spool, user }: Config, account: Account | undefined): number | undefined {
  const look = () => new Spool(spool).drain.atWork("serve");
  return account === undefined ? look() : becoming(user, account, look);
}

/** Only root may look up the account of another user. */
function accountOf(user: string): Account | undefined {
  if (isRoot()) return findAccount(user);
  const { username, uid, gid } = userInfo();
  return username === user ? { uid, gid } : undefined;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
