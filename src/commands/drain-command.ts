import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import { DEFAULT_CONFIG_PATH, type Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { EX, PopbsmtpError, StoreAwayError, reasonOf } from "../lib/errors.ts";
import type { Spool } from "../spool/spool.ts";
import { configOf, drainSpool, enter, openConfiguredWriters, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

/** How long `popbsmtp drain` waits for another running drain to finish, in milliseconds. */
const PATIENCE_MS = 10_000;

export function drainCommand(context: Context): Command {
  return new DocumentedCommand("drain")
    .summary("write the logins in the spool to the store")
    .description(
      "Writes the logins that wait in the spool to the store, each with the time at which it was made. There is seldom a need to: the daemon drains the spool, a wrapper starts a drain if there is none, and popbsmtp purge drains first. If another drain is at work, this one waits up to 10 seconds for it to finish.",
    )
    .addOption(
      // the launcher uses this option; as its stderr goes nowhere, it reports
      // errors in the spool
      new Option("--linger <spool>").hideHelp(),
    )
    .exitStatus(EX.TEMPFAIL, "the store cannot be reached; the logins stay in the spool")
    .example("popbsmtp drain")
    .action(async (options: { readonly linger?: string }, command: Command) => {
      if (options.linger === undefined) await drain(context, command);
      else await linger(context, command, options.linger);
    });
}

async function drain(context: Context, command: Command): Promise<void> {
  await emptySpool(await enter(command), context);
}

/**
 * Writes the logins in the spool to the stores, or waits until the running drain has done so.
 *
 * @throws StoreAwayError if that fails
 */
export async function emptySpool(
  config: Config,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<void> {
  const { drained, elsewhere } = await drainSpool(config, { terminal, now });
  for (const path of elsewhere) await othersDrain(path);
  if (terminal.interactive && !elsewhere.includes(config.spool)) {
    terminal.print(`${drained} logins drained`);
  }
}

/** Waits until another running drain has emptied the spool. */
async function othersDrain(path: string): Promise<void> {
  const { Spool } = await import("../spool/spool.ts");
  const spool = new Spool(path);
  let waiting = spool.scan().entries.length;
  for (let waited = 0; waiting > 0; waited += 50) {
    if (waited >= PATIENCE_MS) {
      const pid = spool.drain.atWork();
      throw new StoreAwayError(
        `spool: ${waiting} logins wait for the drain at work (process ${pid ?? "unknown"}): ${spool.drain.away() ?? "it is slow"}`,
      );
    }
    await sleep(50);
    waiting = spool.scan().entries.length;
  }
}

async function linger({ now }: Context, command: Command, path: string): Promise<void> {
  const { Spool } = await import("../spool/spool.ts");
  const spool = new Spool(path);
  // wrappers of any user may have to read its files in the spool
  process.umask(0o022);
  const leaving = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.once(signal, () => leaving.abort());
  }
  try {
    let config: Config | undefined = await enter(command);
    while (config !== undefined) {
      config = await lingerWith(config, command, spool, leaving.signal, now);
    }
  } catch (error) {
    spool.drain.setAway(reasonOf(error));
    throw error;
  }
}

/**
 * Drains until no login has arrived for a while, or `leaving`. Returns the changed configuration,
 * if the file has changed meanwhile.
 */
async function lingerWith(
  config: Config,
  command: Command,
  spool: Spool,
  leaving: AbortSignal,
  now: Clock,
): Promise<Config | undefined> {
  const { drainLingering } = await import("../drain/drain.ts");
  const { mainChannel, startOwnDrains } = await import("../drain/drains.ts");
  const changes = await watchConfig(config, command, spool);
  const writers = await openConfiguredWriters(config, { now }, () =>
    configOf(command).catch(() => config),
  );
  // this process's stderr goes nowhere
  const report = () => undefined;
  const own = startOwnDrains(config, writers, { now });
  try {
    const { isNeeded } = own;
    const signal = AbortSignal.any([leaving, changes.signal]);
    const next = () => (leaving.aborted ? undefined : changes.next());
    const isFollowed = () => next() !== undefined;
    const drainOn = () =>
      drainLingering(mainChannel(config, writers, report), signal, {
        linger: config.linger,
        now,
        isNeeded,
        isFollowed,
      });
    // the last batch may leave logins for a store that is away
    while ((await drainOn()) !== undefined && !signal.aborted && (await isNeeded()));
    return next();
  } finally {
    changes.end();
    await own.stop();
    await writers.close();
  }
}

/** The result of {@link watchConfig}. */
interface Changes {
  /** Aborted when the file has changed, and is valid. */
  readonly signal: AbortSignal;
  /** The configuration with which this process can continue. */
  readonly next: () => Config | undefined;
  readonly end: () => void;
}

/** Reads the configuration again when its file changes; if it is invalid, wrappers report that. */
async function watchConfig(config: Config, command: Command, spool: Spool): Promise<Changes> {
  const { onFileChange } = await import("../system/file-changes.ts");
  const changed = new AbortController();
  let next: Config | undefined;
  const adopt = async () => {
    try {
      const read = await configOf(command);
      if (isSameDrain(config, read)) next = read;
      spool.drain.setNotice(undefined);
      changed.abort();
    } catch (error) {
      // only root can read it, and this process is no longer root
      if (error instanceof PopbsmtpError && error.exitStatus === EX.NOPERM) return;
      spool.drain.setNotice(`${reasonOf(error)}; the configuration stays as it was`);
    }
  };
  const forget = onFileChange(config.path ?? DEFAULT_CONFIG_PATH, () => void adopt());
  const end = () => {
    forget();
    // the next drain reads the file itself
    spool.drain.setNotice(undefined);
  };
  return { signal: changed.signal, next: () => next, end };
}

/**
 * Whether the drain of one configuration can continue with another: it can change neither its spool
 * nor its user.
 */
function isSameDrain(one: Config, other: Config): boolean {
  return one.spool === other.spool && one.user === other.user;
}
