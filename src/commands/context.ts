import type { Command } from "commander";
import { parseAddress, type Address } from "../address.ts";
import type { Config } from "../config/config.ts";
import { ConfigError, EX, PopbsmtpError } from "../errors.ts";
import type { OpenOptions } from "../stores/open.ts";
import type { Store } from "../stores/store.ts";
import type { Terminal } from "../terminal.ts";

/** What every command is given, and leaves its answer in. */
export interface Context {
  readonly terminal: Terminal;
  /** This host's clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** The exit status, unless something is thrown. 0 at first; a command answers "no" with EX.NO. */
  exitStatus: number;
}

/** The configuration `--config` names, read and checked, with the privileges this process was started with. */
export async function configOf(command: Command): Promise<Config> {
  // loaded here, not above: `--help` and usage errors need no TOML
  const { loadConfig } = await import("../config/load.ts");
  return loadConfig(command.optsWithGlobals<{ config?: string }>().config);
}

/** The same, and then no longer root: from here on the spool and the store are worked on as the configured user. */
export async function enter(command: Command): Promise<Config> {
  const config = await configOf(command);
  const { dropPrivileges } = await import("../privileges.ts");
  dropPrivileges(config.user);
  return config;
}

/** Opens the configured store, by default with the account for writing. */
export async function openConfigured(
  config: Config,
  options: Omit<OpenOptions, "lifetime"> = {},
): Promise<Store> {
  const { openStore } = await import("../stores/open.ts");
  const [store] = config.stores;
  if (store === undefined || config.stores.length > 1) {
    throw new ConfigError(["store: several are not there yet"]);
  }
  return openStore(store, { ...options, lifetime: config.lifetime });
}

/** {@link enter}, open the store, use it, and close it whatever happens. */
export async function withStore(
  command: Command,
  role: "writer" | "purger",
  use: (store: Store, config: Config) => Promise<void>,
): Promise<void> {
  const config = await enter(command);
  const store = await openConfigured(config, { role });
  try {
    await use(store, config);
  } finally {
    await store.close();
  }
}

/** Writes what is in the spool to the store, as `popbsmtp drain` does once. */
export async function drainSpool(
  config: Config,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<void> {
  const { drainOnce } = await import("../spool/drain.ts");
  const store = await openConfigured(config);
  try {
    await drainOnce(config, store, {
      now,
      report: (line) => terminal.note(`popbsmtp: ${line}`),
      onProgress: ({ drained, waiting }) =>
        terminal.progress(`${drained} logins drained, ${waiting} waiting`),
    });
  } finally {
    terminal.progress("");
    await store.close();
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

/** `examples` as the end of a command's help. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
