import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { formatDuration, parseDuration, DURATION_SPELLING } from "../lib/duration.ts";
import { EX, UsageError, errorOf } from "../lib/errors.ts";
import type { PurgeOptions } from "../stores/store.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { drainSpool, enter, openConfigured, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

/**
 * The age of the authorizations to delete, in milliseconds since the last login, and whether to
 * return the space.
 */
export type PurgeRun = Required<Pick<PurgeOptions, "olderThan" | "optimize">>;

interface PurgeCommandOptions {
  readonly olderThan?: string;
  readonly optimize?: boolean;
}

export function purgeCommand(context: Context): Command {
  return new DocumentedCommand("purge")
    .summary("delete expired authorizations")
    .description(
      "Drains the spool, then deletes expired authorizations, in batches so that no login has to wait. This is housekeeping only: an expired authorization does not count, purged or not. The daemon purges by itself. Prints nothing unless standard output is a terminal, so that cron sends no mail.",
    )
    .option(
      "--older-than <time>",
      'delete what has not been seen for this time, such as "7d"; not less than the lifetime (default: the lifetime)',
    )
    .option(
      "--optimize",
      "return the freed space to the file system afterwards (VACUUM, OPTIMIZE TABLE); this may lock the table",
    )
    .exitStatus(EX.TEMPFAIL, "the store cannot be reached, or the spool could not be drained")
    .example("popbsmtp purge", "popbsmtp purge --older-than 7d --optimize")
    .action(async (options: PurgeCommandOptions, command: Command) => {
      const config = await enter(command);
      const olderThan = age(options.olderThan, config.lifetime);
      const errors: Error[] = [];
      const keep = (error: unknown) => void errors.push(errorOf(error));
      // an hourly purge also rescues logins that no drain has written
      await drainSpool(config, context).catch(keep);
      // a spool that cannot be drained does not prevent the purge
      const optimize = options.optimize === true;
      await purgeStore(config, { olderThan, optimize }, context).catch(keep);
      if (errors.length > 0) {
        const { together } = await import("../writers/answers.ts");
        throw together(errors);
      }
    });
}

async function purgeStore(config: Config, options: PurgeRun, context: Context): Promise<void> {
  const store = await openConfigured(config, { role: "purger" });
  try {
    await purge(store, options, context);
  } finally {
    await store.close();
  }
}

function age(text: string | undefined, lifetime: number): number {
  if (text === undefined) return lifetime;
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined) {
    throw new UsageError(`--older-than: ${text} is not a time; expected ${DURATION_SPELLING}`);
  }
  if (milliseconds < lifetime) {
    throw new UsageError(
      `--older-than: ${text} is less than the lifetime of ${formatDuration(lifetime)}: that would end live authorizations; popbsmtp revoke does`,
    );
  }
  return milliseconds;
}

/** Deletes expired authorizations, and shows the progress on a terminal. */
export async function purge(
  store: Pick<StoreGroup, "purge">,
  options: PurgeRun,
  { terminal }: Pick<Context, "terminal">,
): Promise<void> {
  const purged = await store
    .purge({
      ...options,
      onProgress: (deleted) =>
        terminal.progress(`expired authorizations purged so far: ${deleted}`),
    })
    .finally(() => terminal.progress(""));
  if (terminal.interactive) terminal.print(`expired authorizations purged: ${purged}`);
}
