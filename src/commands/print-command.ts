import { realpathSync } from "node:fs";
import { Argument, Option, type Command } from "commander";
import { placeOf, DEFAULT_CONFIG_PATH, hasTable, type Config } from "../config/config.ts";
import { DOVECOT_GROUP } from "../daemon/sockets/listeners.ts";
import { installedRelease } from "../dovecot/read-dovecot.ts";
import { DOVECOT_RELEASES, type DovecotRelease } from "../dovecot/release.ts";
import { ConfigError } from "../lib/errors.ts";
import { configOf, type Context } from "./context.ts";
import { DocumentedCommand } from "./documented-command.ts";
import { cronHourlyLines, cronLines } from "../setup/print-cron.ts";
import {
  dovecot1Lines,
  dovecotServiceLines,
  dovecotSocketLines,
  dovecotWrapperLines,
} from "../setup/print-dovecot.ts";
import { dovecotDictLines, dovecotDictSocketLines } from "../setup/print-dovecot-dict.ts";
import { policyLines, socketmapLines } from "../setup/print-postfix-daemon.ts";
import { mainLines, mapLines } from "../setup/print-postfix.ts";
import { serviceUnit, SOCKETS, socketUnit, unitLines } from "../setup/print-systemd.ts";

export function printCommand(context: Context): Command {
  return new DocumentedCommand("print")
    .summary("print configuration for Dovecot, Postfix, systemd or cron")
    .description(
      "Prints configuration for other programs, to paste or to redirect into a file. It is made from popbsmtp.toml: print it again after a change there.",
    )
    .addCommand(dovecotCommand(context))
    .addCommand(postfixCommand(context))
    .addCommand(systemdCommand(context))
    .addCommand(cronCommand(context));
}

/** The last three are the former names of post-login, post-login --systemd and wrapper. */
const DOVECOT_FORMS = ["dict", "post-login", "wrapper", "1", "service", "systemd", "2"] as const;

interface DovecotOptions {
  readonly systemd?: boolean;
  readonly dovecot?: DovecotRelease;
}

function dovecotCommand({ terminal }: Context): Command {
  return new DocumentedCommand("dovecot")
    .description(
      `Prints the configuration that makes Dovecot report each login to popbsmtp.

dict: Dovecot's last_login plugin reports to the daemon. No login waits, and none is refused, whatever happens to the daemon. For Dovecot 2.2.27 and later.
post-login: Dovecot asks the daemon after each login and waits until the login is in the store. For Dovecot 2.
wrapper: Dovecot starts popbsmtp at each login, without a daemon. For Dovecot 2.
1: the same for Dovecot 1.

Dovecot starts the daemon, or, with --systemd, systemd does. The last three forms are former names: service is post-login, systemd is post-login --systemd, and 2 is wrapper.`,
    )
    .addArgument(
      new Argument("[form]", "how Dovecot reports (default: dict)").choices(DOVECOT_FORMS),
    )
    .option("--systemd", "for a daemon that systemd runs; see popbsmtp print systemd")
    .addOption(
      new Option(
        "--dovecot <release>",
        "with dict: the Dovecot release to print for (default: the one installed here, else 2.3)",
      ).choices(DOVECOT_RELEASES),
    )
    .example(
      "popbsmtp print dovecot > /etc/dovecot/conf.d/99-popbsmtp.conf",
      "popbsmtp print dovecot post-login --systemd",
    )
    .action(
      async (
        form: (typeof DOVECOT_FORMS)[number] | undefined,
        options: DovecotOptions,
        command: Command,
      ) => print(terminal, await dovecotLines(await configOf(command), form ?? "dict", options)),
    );
}

async function dovecotLines(
  config: Config,
  form: (typeof DOVECOT_FORMS)[number],
  { systemd = false, dovecot }: DovecotOptions,
): Promise<readonly string[]> {
  const { serve, user } = config;
  const program = commandLine(config);
  switch (form) {
    case "dict": {
      const release = dovecot ?? (await installedRelease());
      const dict = { release, group: serve.dictGroup ?? DOVECOT_GROUP };
      return systemd
        ? dovecotDictSocketLines(serve.dict, dict)
        : dovecotDictLines(program, user, dict);
    }
    case "post-login":
    case "service":
      return systemd ? dovecotSocketLines(serve) : dovecotServiceLines(program, user);
    case "systemd":
      return dovecotSocketLines(serve);
    case "wrapper":
    case "2":
      return dovecotWrapperLines(program, user);
    case "1":
      return dovecot1Lines(program);
  }
}

const POSTFIX_PARTS = ["policy", "socketmap", "map", "main"] as const;

function postfixCommand({ terminal }: Context): Command {
  return new DocumentedCommand("postfix")
    .description(
      `Prints the configuration that makes Postfix ask popbsmtp whether a client may relay.

policy: the lines of main.cf that ask the daemon's policy service. Recommended.
socketmap: the lines of main.cf that ask the daemon's socketmap.
map: without a daemon, the map file for the database. It may contain a password.
main: the lines of main.cf that name this map.`,
    )
    .addArgument(
      new Argument("[part]", "what to print (default: map and main)").choices(POSTFIX_PARTS),
    )
    .example(
      "popbsmtp print postfix policy",
      "(umask 077; popbsmtp print postfix map > /etc/postfix/popbsmtp.cf)",
      "chgrp postfix /etc/postfix/popbsmtp.cf; chmod 640 /etc/postfix/popbsmtp.cf",
    )
    .action(
      async (
        part: (typeof POSTFIX_PARTS)[number] | undefined,
        _options: unknown,
        command: Command,
      ) => {
        const { stores, lifetime, serve } = await configOf(command);
        if (part === "policy") return print(terminal, policyLines(serve));
        if (part === "socketmap") return print(terminal, socketmapLines(serve));
        const store = stores.find(hasTable);
        if (store === undefined) throw noTable();
        const { postfixQuery } = await import("../writers/open-stores.ts");
        const others =
          stores.length > 1 ? [`# Of several stores, this asks ${placeOf(store)}.`] : [];
        if (part !== "main") {
          print(terminal, [...others, ...mapLines(store, postfixQuery(store, lifetime))]);
        }
        if (part === undefined) print(terminal, [""]);
        if (part !== "map") print(terminal, mainLines(store.driver));
      },
    );
}

function systemdCommand({ terminal }: Context): Command {
  const parts = ["service", ...SOCKETS] as const;
  return new DocumentedCommand("systemd")
    .description(
      "Prints the units with which systemd runs the daemon and opens its sockets. They are not needed if Dovecot runs the daemon.",
    )
    .addArgument(
      new Argument(
        "[unit]",
        "the unit to print (default: all that the configuration calls for)",
      ).choices(parts),
    )
    .example(
      "popbsmtp print systemd",
      "popbsmtp print systemd service > /etc/systemd/system/popbsmtp.service",
      "popbsmtp print systemd dict > /etc/systemd/system/popbsmtp-dict.socket",
    )
    .action(
      async (unit: (typeof parts)[number] | undefined, _options: unknown, command: Command) => {
        const config = await configOf(command);
        const program = commandLine(config);
        if (unit === undefined) print(terminal, unitLines(config, program));
        else if (unit === "service") print(terminal, serviceUnit(config, program));
        else print(terminal, socketUnit(config.serve, unit));
      },
    );
}

function cronCommand({ terminal }: Context): Command {
  return new DocumentedCommand("cron")
    .description(
      "Prints a file for /etc/cron.d that runs popbsmtp purge every hour. It is not needed if the daemon runs.",
    )
    .option(
      "--hourly",
      "print instead a script for /etc/cron.hourly, where its name must not contain a dot",
    )
    .example(
      "popbsmtp print cron > /etc/cron.d/popbsmtp",
      "popbsmtp print cron --hourly > /etc/cron.hourly/popbsmtp; chmod 755 /etc/cron.hourly/popbsmtp",
    )
    .action(async ({ hourly = false }: { readonly hourly?: boolean }, command: Command) => {
      const program = commandLine(await configOf(command));
      print(terminal, hourly ? cronHourlyLines(program) : cronLines(program));
    });
}

function noTable(): ConfigError {
  return new ConfigError([
    "store: none has a table that Postfix could ask: let it ask the daemon, popbsmtp print postfix policy",
  ]);
}

function print(terminal: Context["terminal"], lines: readonly string[]): void {
  for (const line of lines) terminal.print(line);
}

/** The words that start this program with this configuration. */
function commandLine({ path }: Config): readonly string[] {
  const program = realpathSync(process.argv[1] ?? "");
  return path === undefined || path === DEFAULT_CONFIG_PATH
    ? [program]
    : [program, "--config", path];
}
