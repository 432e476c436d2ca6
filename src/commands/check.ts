import { Command } from "commander";
import type { Address } from "../address.ts";
import type { Config } from "../config/config.ts";
import { formatDuration } from "../config/duration.ts";
import { EX } from "../errors.ts";
import type { Authorization, Store } from "../stores/store.ts";
import { formatTime, printable } from "../terminal.ts";
import { addressArgument, examples, withStore, type Context } from "./context.ts";

export function checkCommand(context: Context): Command {
  return new Command("check")
    .summary("say whether an address may relay, and why")
    .description(
      "Says whether an address may relay, until when and by whose login. Exits with 0 if it may, 1 if not, 75 if the store cannot tell.",
    )
    .argument("<address>", "an IPv4 or IPv6 address, in any spelling")
    .addHelpText("after", examples("popbsmtp check 192.0.2.1", "popbsmtp check 2001:db8::1"))
    .action(async (text: string, _options: unknown, command: Command) => {
      const address = addressArgument(text);
      await withStore(context, command, "writer", async (store, config) => {
        context.exitStatus = (await check(store, config, address, context)) ? EX.OK : EX.NO;
      });
    });
}

/** Prints one line about an address, and returns whether it may relay. */
export async function check(
  store: Store,
  { lifetime, exclude }: Pick<Config, "lifetime" | "exclude">,
  address: Address,
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<boolean> {
  const authorization = await store.lookup(address);
  if (authorization !== undefined) {
    // last_seen is by the store's clock, which need not be this host's
    const until = authorization.lastSeen.getTime() + lifetime - (await store.clockOffset());
    const left = Math.max(0, Math.round((until - now()) / 1000) * 1000);
    terminal.print(
      `${address} may relay until ${formatTime(new Date(until))} (${formatDuration(left)} left)${by(authorization)}`,
    );
    return true;
  }
  const network = exclude.find(({ contains }) => contains(address));
  terminal.print(
    network === undefined
      ? `${address} may not relay: no login in the last ${formatDuration(lifetime)}, or it was revoked`
      : `${address} is in exclude (${network.text}): its logins are not recorded, so only Postfix's mynetworks can let it relay`,
  );
  return false;
}

function by({ user, service }: Authorization): string {
  const who = user === undefined || user === "" ? "" : ` of ${printable(user)}`;
  const how = service === undefined || service === "" ? "" : ` (${printable(service)})`;
  return who === "" && how === "" ? "" : `: last login${who}${how}`;
}
