import { Option, type Command } from "commander";
import type { Address } from "../login/address.ts";
import type { Config } from "../config/config.ts";
import { formatDuration } from "../lib/duration.ts";
import { EX, PopbsmtpError } from "../lib/errors.ts";
import { USER_BYTES } from "../login/login.ts";
import type { WriterGroup } from "../writers/group.ts";
import { formatTime } from "../lib/terminal.ts";
import {
  addressArgument,
  enter,
  openConfiguredWriters,
  reportTo,
  type Context,
} from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";

export function allowCommand(context: Context): Command {
  return new DocumentedCommand("allow")
    .summary("authorize an address by hand")
    .description(
      "Authorizes an address for one lifetime from now, as if a user had just logged in from it. popbsmtp list shows it with the service allow.",
    )
    .argument("<address>", "an IPv4 or IPv6 address, in any spelling")
    .addOption(new Option("--user <user>", "the user to record").default("", "none"))
    .exitStatus(EX.DATAERR, "not an IP address, or one in a network that exclude lists")
    .exitStatus(EX.TEMPFAIL, "the store cannot be reached")
    .example("popbsmtp allow 192.0.2.1", "popbsmtp allow 192.0.2.1 --user bob@example.org")
    .action(async (text: string, { user }: { user: string }, command: Command) => {
      const address = addressArgument(text);
      const config = await enter(command);
      const writers = await openConfiguredWriters(config, {
        now: context.now,
        isAwaited: false,
        report: reportTo(context.terminal),
      });
      try {
        await allow(writers, config, { address, user }, context);
      } finally {
        await writers.close();
      }
    });
}

/**
 * Records a login now. Throws (65) if the address is excluded, or the user name is too long for a
 * store.
 */
export async function allow(
  writers: Pick<WriterGroup, "authorize">,
  { lifetime, exclude }: Pick<Config, "lifetime" | "exclude">,
  { address, user }: { readonly address: Address; readonly user: string },
  { terminal, now }: Pick<Context, "terminal" | "now">,
): Promise<void> {
  const network = exclude.find(({ contains }) => contains(address));
  if (network !== undefined) {
    throw new PopbsmtpError(
      `${address}: is in exclude (${network.text}), whose logins are not recorded; put the address in Postfix's mynetworks, or change exclude`,
      EX.DATAERR,
    );
  }
  if (Buffer.byteLength(user) > USER_BYTES) {
    throw new PopbsmtpError(`--user: longer than ${USER_BYTES} bytes`, EX.DATAERR);
  }
  const time = now();
  await writers.authorize([{ address, user, service: "allow", time }], time);
  terminal.print(
    `${address} may relay until ${formatTime(new Date(time + lifetime))} (${formatDuration(lifetime)})`,
  );
}
