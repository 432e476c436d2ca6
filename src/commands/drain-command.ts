import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import { DEFAULT_CONFIG_PATH, type Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { EX, PopbsmtpError, StoreAwayError, reasonOf } from "../lib/errors.ts";
import type { Spool } from "../spool/spool.ts";
import { configOf, drainSpool, enter, openConfigured, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

/** How long `popbsmtp drain` waits for another drain that is at work to be done. Milliseconds. */
const PATIENCE_MS = 10_000;

export function drainCommand(context: Context): Command {
  return new DocumentedCommand("drain")
    .summary("write the logins in the spool to the store")
    .description(
      "Writes the logins that wait in the spool to the store, each with the time at which it was made. There is seldom a need to: the daemon drains the spool, a wrapper starts a drain if there is none, and popbsmtp purge drains first. If another drain is at work, this one waits up to 10 seconds for it to finish.",
    )
    .addOption(
      // what the bash half starts: the spool is where to leave word, since nobody reads this process' stderr
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
 * Writes what is in the spool to the stores, or waits until the drain at work has done so.
 *
 * @throws StoreAwayError where that cannot be done
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

/** Another drain is at work: waits until it has emptied the spool. */
async function othersDrain(path: string): Promise<void> {
  const { Spool } = await import("../spool/spool.ts");
  const spool = new Spool(path);
  let waiting = spool.scan().entries.length;
  for (let waited = 0; waiting > 0; waited += 50) {
    if (waited >= PATIENCE_MS) {
      const pid = spool.drainAtWork();
      throw new StoreAwayError(
        `spool: ${waiting} logins wait for the drain at work (process ${pid ?? "unknown"}): ${spool.away() ?? "it is slow"}`,
      );
    }
    await sleep(50);
    waiting = spool.scan().entries.length;
  }
}

async function linger({ now }: Context, command: Command, path: string): Promise<void> {
  const { Spool } = await import("../spool/spool.ts");
  const spool = new Spool(path);
  // wrappers of any user may have to read what it leaves in the spool
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
    spool.setAway(reasonOf(error));
    throw error;
  }
}

/**
 * Drains until nothing has come for a while, or `leaving`. Returns the configuration to go on with where its file has been changed
 * meanwhile.
 */
async function lingerWith(
  config: Config,
  command: Command,
  spool: Spool,
  leaving: AbortSignal,
  now: Clock,
): Promise<Config | undefined> {
  const { drainLingering } = await import("../drain/drain.ts");
  const { sameLeg } = await import("../writers/legs.ts");
  const { startLegDrains } = await import("../drain/drain-legs.ts");
  const changes = await watchConfig(config, command, spool);
  const hurry = true;
  // what is wrong may be a password, and be corrected meanwhile
  const reload = () => configOf(command).catch(() => config);
  let store = await openConfigured(config, { hurry });
  const reopen = async () => {
    await store.close();
    store = await openConfigured(await reload(), { hurry });
    return store;
  };
  const open = async (leg: Config) => openConfigured(sameLeg(leg, await reload()));
  const legs = startLegDrains(config, (leg) => ({ open: () => open(leg) }), now);
  try {
    const { isNeeded } = legs;
    const signal = AbortSignal.any([leaving, changes.signal]);
    const next = () => (leaving.aborted ? undefined : changes.next());
    const isFollowed = () => next() !== undefined;
    const drainOn = () =>
      drainLingering(config, store, reopen, signal, { now, isNeeded, isFollowed });
    // what it writes at the very end may leave something for a store that is away
    while ((await drainOn()) !== undefined && !signal.aborted && (await isNeeded()));
    return next();
  } finally {
    changes.end();
    await legs.stop();
    await store.close();
  }
}

/** What {@link watchConfig} has found. */
interface Changes {
  /** Aborted when the file has been changed, and is in order. */
  readonly signal: AbortSignal;
  /** The configuration that this process can go on with. */
  readonly next: () => Config | undefined;
  readonly end: () => void;
}

/** Reads the configuration again when its file changes; where it is wrong, has wrappers report that. */
async function watchConfig(config: Config, command: Command, spool: Spool): Promise<Changes> {
  const { onFileChange } = await import("../system/file-changes.ts");
  const changed = new AbortController();
  let next: Config | undefined;
  const adopt = async () => {
    try {
      const read = await configOf(command);
      if (isSameDrain(config, read)) next = read;
      spool.setNotice(undefined);
      changed.abort();
    } catch (error) {
      // only root may read it, and this is root no more
      if (error instanceof PopbsmtpError && error.exitStatus === EX.NOPERM) return;
      spool.setNotice(`${reasonOf(error)}; the configuration stays as it was`);
    }
  };
  const forget = onFileChange(config.path ?? DEFAULT_CONFIG_PATH, () => void adopt());
  const end = () => {
    forget();
    // whoever drains next reads the file itself
    spool.setNotice(undefined);
  };
  return { signal: changed.signal, next: () => next, end };
}

/** Whether the drain of one configuration can go on as that of another: it can change neither its spool nor its user. */
function isSameDrain(one: Config, other: Config): boolean {
  return one.spool === other.spool && one.user === other.user;
}
