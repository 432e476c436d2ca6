import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import type { Config } from "../config/config.ts";
import { StoreAwayError } from "../errors.ts";
import { configOf, drainSpool, enter, examples, openConfigured, type Context } from "./context.ts";

/** How long `popbsmtp drain` waits for another drain that is at work to be done. Milliseconds. */
const PATIENCE_MS = 10_000;

export function drainCommand(context: Context): Command {
  return new Command("drain")
    .summary("write what is in the spool to the store")
    .description(
      "Writes the logins that wait in the spool to the store, each with its own time. Wrappers start a drain themselves, and purge drains, too; this is for doing it now.",
    )
    .addOption(
      // what the bash half starts: the spool is where to leave word, since nobody reads this process' stderr
      new Option("--linger <spool>").hideHelp(),
    )
    .addHelpText("after", examples("popbsmtp drain"))
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
  // wrappers of any user may have to read what it leaves in the spool
  process.umask(0o022);
  const leaving = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.once(signal, () => leaving.abort());
  }
  try {
    let config = await enter(command);
    const { drainLingering } = await import("../spool/drain.ts");
    const { sameLeg } = await import("../spool/legs.ts");
    const { startLegDrains } = await import("../spool/drain-legs.ts");
    const hurry = true;
    // what is wrong may be the configuration, and be mended meanwhile; unless only root may read it
    const reload = async () => (config = await configOf(command).catch(() => config));
    let store = await openConfigured(config, { hurry });
    const reopen = async () => {
      await store.close();
      store = await openConfigured(await reload(), { hurry });
      return store;
    };
    const legs = startLegDrains(
      config,
      (leg) => ({
        open: async () => openConfigured(sameLeg(leg, await reload())),
      }),
      now,
    );
    try {
      const { isNeeded } = legs;
      const drainOn = () =>
        drainLingering(config, store, reopen, leaving.signal, { now, isNeeded });
      // what it writes at the very end may leave something for a store that is away
      while ((await drainOn()) !== undefined && !leaving.signal.aborted && (await isNeeded()));
    } finally {
      await legs.stop();
      await store.close();
    }
  } catch (error) {
    new Spool(path).setAway(error instanceof Error ? error.message : String(error));
    throw error;
  }
}
