import type { Command } from "commander";
import { parseAddress, type Address } from "../login/address.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../lib/clock.ts";
import { EX, PopbsmtpError, UsageError } from "../lib/errors.ts";
import type { OpenStoresOptions } from "../writers/open-stores.ts";
import type { Store } from "../stores/store.ts";
import type { AllDrained } from "../drain/drain-legs.ts";
import { printable, type Terminal } from "../lib/terminal.ts";

/** What every command is given, and leaves its answer in. */
export interface Context {
  readonly terminal: Terminal;
  readonly now: Clock;
  /** The exit status, unless something is thrown. 0 at first; a command answers "no" with EX.NO. */
  exitStatus: number;
}

/** The configuration `--config` names, read and checked, with the privileges this process was started with. */
export async function configOf(command: Command): Promise<Config> {
  // loaded here, not above: `--help` and usage errors need no TOML
  const { loadConfig } = await import("../config/reading/load.ts");
  const { config } = command.optsWithGlobals<{ config?: string }>();
  if (config === "") throw new UsageError("--config: name a file");
  return loadConfig(config);
}

/** The same, and then no longer root: from here on the spool and the store are worked on as the configured user. */
export async function enter(command: Command): Promise<Config> {
  const config = await configOf(command);
  const { dropPrivileges } = await import("../system/privileges.ts");
  dropPrivileges(config.user);
  return config;
}

/** Opens the configured stores, by default with the accounts for writing. */
export async function openConfigured(
  config: Config,
  options: OpenStoresOptions = {},
): Promise<Store> {
  const { openStores } = await import("../writers/open-stores.ts");
  return openStores(config, options);
}

/** {@link enter}, open the stores, use them, and close them whatever happens. */
export async function withStore(
  { terminal }: Pick<Context, "terminal">,
  command: Command,
  role: "writer" | "purger",
  use: (store: Store, config: Config) => Promise<void>,
): Promise<void> {
  const config = await enter(command);
  const store = await openConfigured(config, { role, report: reportTo(terminal) });
  try {
    await use(store, config);
  } finally {
    await store.close();
  }
}

/** Notes lines about what did not go as it should, though the command goes on. */
export function reportTo({ note }: Pick<Terminal, "note">): (line: string) => void {
  return (line) => note(`popbsmtp: ${printable(line)}`);
}

/** Writes what is in the spool to the stores, as `popbsmtp drain` does. */
export async function drainSpool(
  config: Config,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<AllDrained> {
  const { drainAllOnce } = await import("../drain/drain-legs.ts");
  try {
    return await drainAllOnce(config, (part) => openConfigured(part, { hurry: true }), {
      now,
      report: reportTo(terminal),
      onProgress: ({ drained, waiting }) =>
        terminal.progress(`${drained} logins drained, ${waiting} waiting`),
    });
  } finally {
    terminal.progress("");
  }
}

/** The address an administrator typed, in any spelling of it. Throws (65) where it is none. */
export function addressArgument(text: string): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  throw new PopbsmtpError(
    `${text}: no IP address; expected one such as 192.0.2.1 or 2001:db8::1`,
    EX.DATAERR,
  );
}
