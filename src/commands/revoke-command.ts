import type { Command } from "commander";
import { hasTable, type Config } from "../config/config.ts";
import { EX, PopbsmtpError, UsageError } from "../lib/errors.ts";
import type { Revocation } from "../stores/store.ts";
import type { StoreGroup } from "../writers/store-group.ts";
import { printable } from "../lib/terminal.ts";
import { addressArgument, drainSpool, withStore, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

export function revokeCommand(context: Context): Command {
  return new DocumentedCommand("revoke")
    .summary("end the authorizations of an address or a user")
    .description(
      "Ends the authorizations of an address, of a user, or, with both, of this user at this address only. It covers every login made before it, including those that still wait in a spool; a daemon that remembers the address notices within five seconds. The next login authorizes again.",
    )
    .argument("[address]", "an IPv4 or IPv6 address, in any spelling")
    .option("--user <user>", "the user whose authorizations to end")
    .exitStatus(EX.OK, "at least one authorization was ended")
    .exitStatus(EX.NO, "there was none")
    .exitStatus(EX.TEMPFAIL, "not everything could be done: run it again")
    .example("popbsmtp revoke 192.0.2.1", "popbsmtp revoke --user bob@example.org")
    .action(async (text: string | undefined, options: { user?: string }, command: Command) => {
      const which = revocation(text, options.user);
      return withStore(context, command, "purger", async (store, config) => {
        await drainIfPossible(config, context);
        const revoked = await revoke(store, which, context);
        noteHosts(config, context);
        return revoked > 0 ? EX.OK : EX.NO;
      });
    });
}

/**
 * A revocation also covers logins in the spool, but counts only those in the store. A failure to
 * drain must not prevent it.
 */
async function drainIfPossible(config: Config, context: Context): Promise<void> {
  try {
    await drainSpool(config, context);
  } catch (error) {
    if (!(error instanceof PopbsmtpError)) throw error;
    context.terminal.note(
      `popbsmtp: logins in the spool are not included: ${printable(error.message)}`,
    );
  }
}

/** Only popbsmtp's own table passes revocations on to other hosts. */
function noteHosts({ stores }: Pick<Config, "stores">, { terminal }: Context): void {
  for (const store of stores) {
    if (!hasTable(store) || !store.mapped || store.driver === "sqlite") continue;
    terminal.note(
      `popbsmtp: the table ${store.table} has no room for revocations: this revocation covers the logins waiting on this host only. Run it on every host that writes to the table`,
    );
  }
}

function revocation(address: string | undefined, user: string | undefined): Revocation {
  if (address !== undefined) {
    const which = { address: addressArgument(address) };
    return user === undefined ? which : { ...which, user };
  }
  if (user !== undefined) return { user };
  throw new UsageError("revoke: name an address, --user USER, or both");
}

/** Revokes authorizations, prints and returns their number. */
export async function revoke(
  store: Pick<StoreGroup, "revoke">,
  which: Revocation,
  { terminal }: Pick<Context, "terminal">,
): Promise<number> {
  const revoked = await store.revoke(which);
  const whose = [
    "address" in which ? which.address : "",
    which.user === undefined ? "" : `user ${printable(which.user)}`,
  ].filter((part) => part !== "");
  const count = revoked === 1 ? "1 authorization" : `${revoked || "no"} authorizations`;
  terminal.print(`${whose.join(", ")}: ${count} ended`);
  return revoked;
}
