import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { Address } from "../login/address.ts";
import type { Config } from "../config/config.ts";
import type { Time } from "../lib/clock.ts";
import { formatDuration } from "../lib/duration.ts";
import { EX, StoreAwayError, UnsupportedError } from "../lib/errors.ts";
import type { Authorization } from "../stores/store.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { formatTime, printable } from "../lib/terminal.ts";
import { addressArgument, withStore, type Context } from "./context.ts";
import type { DaemonAnswer } from "./daemon-answer.ts";
import { DocumentedCommand } from "./documented-command.ts";

/** How long the daemon relies on a "no" of the store, and a little longer. Milliseconds. */
const NO_MS = 1_100;

export function checkCommand(context: Context): Command {
  return new DocumentedCommand("check")
    .summary("say whether an address may relay, and why")
    .description(
      "Says whether an address may relay, until when, and because of whose login. It asks the daemon, at the policy or socketmap socket in the configuration, and so gives the answer that mail servers get; if no daemon answers there, it asks the store.",
    )
    .argument("<address>", "an IPv4 or IPv6 address, in any spelling")
    .exitStatus(EX.OK, "the address may relay")
    .exitStatus(EX.NO, "it may not")
    .exitStatus(EX.DATAERR, "not an IP address")
    .exitStatus(
      EX.TEMPFAIL,
      "the store cannot be reached, and the daemon does not know the address",
    )
    .example("popbsmtp check 192.0.2.1", "popbsmtp check 2001:db8::1")
    .action(async (text: string, _options: unknown, command: Command) => {
      const address = addressArgument(text);
      const { askDaemon } = await import("./daemon-answer.ts");
      return withStore(context, command, "writer", async (store, config) => {
        const daemon = () => askDaemon(config.serve, address);
        const mayRelay = await check({ store, daemon }, config, address, context);
        return mayRelay ? EX.OK : EX.NO;
      });
    });
}

/** The sources of the answer. */
interface Sources {
  readonly store: Pick<StoreGroup, "lookup">;
  /** undefined if the daemon is not running. */
  readonly daemon: () => Promise<DaemonAnswer | undefined>;
}

/** The store's row for an address, or why it is unknown. */
type StoreAnswer = { readonly row: Authorization | undefined } | { readonly error: Error };

/**
 * Prints one line about an address, and returns whether it may relay.
 *
 * @throws StoreAwayError if that is unknown
 */
export async function check(
  { store, daemon }: Sources,
  { lifetime, exclude }: Pick<Config, "lifetime" | "exclude">,
  address: Address,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<boolean> {
  const network = exclude.find(({ contains }) => contains(address));
  if (network !== undefined) {
    terminal.print(
      `${address} is in exclude (${network.text}): its logins do not count, so only Postfix's mynetworks can let it relay`,
    );
    return false;
  }
  const found = await look(store, address);
  const row = "row" in found ? found.row : undefined;
  let said = await daemon();
  if (said?.answer === "unknown" && row !== undefined) {
    // the daemon may have asked the store before this login
    await sleep(NO_MS);
    said = await daemon();
  }
  const { mayRelay, why } = said === undefined ? byStore(found) : byDaemon(said, found);
  const yes = row === undefined ? "" : until(lifetime, row, now());
  const no =
    row === undefined
      ? `: no login in the last ${formatDuration(lifetime)}, or it was revoked`
      : "";
  terminal.print(`${address} ${mayRelay ? `may relay${yes}` : `may not relay${no}`}; ${why}`);
  return mayRelay;
}

async function look(store: Pick<StoreGroup, "lookup">, address: Address): Promise<StoreAnswer> {
  try {
    return { row: await store.lookup(address) };
  } catch (error) {
    if (error instanceof StoreAwayError || error instanceof UnsupportedError) return { error };
    throw error;
  }
}

interface RelayDecision {
  readonly mayRelay: boolean;
  readonly why: string;
}

function byStore(found: StoreAnswer): RelayDecision {
  if ("error" in found) throw found.error;
  return { mayRelay: found.row !== undefined, why: "asked: the store" };
}

function byDaemon(said: DaemonAnswer, found: StoreAnswer): RelayDecision {
  const asked = "asked: popbsmtp serve";
  const isAway = "error" in found && found.error instanceof StoreAwayError;
  switch (said.answer) {
    case "authorized":
      if (isAway) {
        return {
          mayRelay: true,
          why: `${asked}, which remembers a login (${printable(found.error.message)})`,
        };
      }
      if ("row" in found && found.row === undefined) {
        const where =
          "its login is not in the store: it waits in the spool, or was revoked seconds ago";
        return { mayRelay: true, why: `${asked}; ${where}` };
      }
      return { mayRelay: true, why: asked };
    case "unknown":
      if (isAway && !said.isSure) {
        throw new StoreAwayError(`popbsmtp serve knows of no login, and ${found.error.message}`);
      }
      if ("row" in found && found.row !== undefined) {
        const whose = `the store has a login${by(found.row)}`;
        return {
          mayRelay: false,
          why: `${asked}, though ${whose}: does it run with another configuration?`,
        };
      }
      return { mayRelay: false, why: asked };
    case "away":
      throw new StoreAwayError(`popbsmtp serve knows of no login: ${said.why}`);
  }
}

/** The end of an authorization, and the user. */
function until(lifetime: number, row: Authorization, now: Time): string {
  const end = row.lastSeen.getTime() + lifetime;
  const left = Math.max(0, Math.round((end - now) / 1000) * 1000);
  const who = by(row);
  const last = who === "" ? "" : `: last login${who}`;
  return ` until ${formatTime(new Date(end))} (${formatDuration(left)} left)${last}`;
}

function by({ user, service }: Authorization): string {
  const who = user === undefined || user === "" ? "" : ` of ${printable(user)}`;
  const how = service === undefined || service === "" ? "" : ` (${printable(service)})`;
  return who + how;
}
