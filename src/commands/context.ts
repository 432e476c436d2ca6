import type { Command } from "commander";
import { parseAddress, type Address } from "../login/address.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { EX, PopbsmtpError, UsageError } from "../lib/errors.ts";
import type { AllDrained } from "../drain/drains.ts";
import type { WriterGroup } from "../writers/group.ts";
import type { OpenStoresOptions, OpenWritersOptions } from "../writers/open-stores.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { printable, type Terminal } from "../lib/terminal.ts";

/** The input of a command. */
export interface Context {
  readonly terminal: Terminal;
  readonly now: Clock;
}

/**
 * The configuration that `--config` names, read and checked, with the privileges with which this
 * process was started.
 */
export async function configOf(command: Command): Promise<Config> {
  // imported here, not above: `--help` and usage errors need no TOML parser
  const { loadConfig } = await import("../config/reading/load.ts");
  const { config } = command.optsWithGlobals<{ config?: string }>();
  if (config === "") throw new UsageError("--config: name a file");
  return loadConfig(config);
}

/**
 * The same, then drops root's privileges: from here on, the configured user accesses the spool and
 * the store.
 */
export async function enter(command: Command): Promise<Config> {
  const config = await configOf(command);
  const { dropPrivileges } = await import("../system/privileges.ts");
  dropPrivileges(config.user);
  return config;
}

/**
 * Opens the configured stores for queries and administration, by default with the accounts that
 * write.
 */
export async function openConfigured(
  config: Config,
  options: OpenStoresOptions = {},
): Promise<StoreGroup> {
  const { openStores } = await import("../writers/open-stores.ts");
  return openStores(config, options);
}

/** Opens the configured stores for logins. */
export async function openConfiguredWriters(
  config: Config,
  options: OpenWritersOptions,
  configured?: () => Promise<Config>,
): Promise<WriterGroup> {
  const { openWriters } = await import("../writers/open-stores.ts");
  return openWriters(config, options, configured);
}

/**
 * Calls {@link enter}, opens the stores, uses them, and closes them in any case. Returns the result
 * of `use`.
 */
export async function withStore<Result>(
  { terminal }: Pick<Context, "terminal">,
  command: Command,
  role: "writer" | "purger",
  use: (store: StoreGroup, config: Config) => Promise<Result>,
): Promise<Result> {
  const config = await enter(command);
  const store = await openConfigured(config, { role, report: reportTo(terminal) });
  try {
    return await use(store, config);
  } finally {
    await store.close();
  }
}

/** Reports failures that do not end the command. */
export function reportTo({ note }: Pick<Terminal, "note">): (line: string) => void {
  return (line) => note(`popbsmtp: ${printable(line)}`);
}

/** Writes the logins in the spool to the stores, as `popbsmtp drain` does. */
export async function drainSpool(
  config: Config,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<AllDrained> {
  const { drainAllOnce } = await import("../drain/drains.ts");
  const report = reportTo(terminal);
  const writers = await openConfiguredWriters(config, { now });
  try {
    return await drainAllOnce(config, writers, {
      now,
      report,
      onProgress: ({ drained, waiting }) =>
        terminal.progress(`${drained} logins drained, ${waiting} waiting`),
    });
  } finally {
    terminal.progress("");
    await writers.close();
  }
}

/** The address in an argument, in any spelling. Throws (65) if it is invalid. */
export function addressArgument(text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  throw new PopbsmtpError(
    `${text}: not an IP address; expected one such as 192.0.2.1 or 2001:db8::1`,
    EX.DATAERR,
  );
}
