/** popbsmtp(8). Commands, options, exit statuses and examples are those of `--help`. */
import type { Argument, Command, Help, Option } from "commander";
import { createProgram, EXIT_STATUSES, WRAPPER_OPTIONS } from "../../src/cli.ts";
import { DocumentedCommand } from "../../src/commands/documented-command.ts";
import { DEFAULT_CONFIG_PATH } from "../../src/config/config.ts";
import { KEYS, storeKeys, type Key } from "./keys.ts";
import { argument, flag, heading, literal, paragraph, paragraphs, tagged } from "./mdoc.ts";

export const ENVIRONMENT: readonly (readonly [name: string, text: string])[] = [
  [
    "IP",
    "The client's address, as Dovecot sets it for the wrapper. An IPv4 address in IPv6 notation, such as ::ffff:192.0.2.1, counts as the IPv4 address.",
  ],
  [
    "TCPREMOTEIP",
    "The client's address, as tcpserver and couriertcpd set it. The wrapper uses it if `IP` is not set, `popbsmtp relay` in any case.",
  ],
  ["USER", "The name of the user who has logged in, for the wrapper."],
  [
    "AUTHENTICATED",
    "The same from Courier, used instead of `USER` if it is set. If it is empty, nobody has logged in yet and the wrapper records nothing. Nor does it if `AUTHUSER` and `AUTHARGV0`, which old versions of Courier set, are there without `AUTHENTICATED`.",
  ],
  [
    "DOMAIN",
    "Without `IP`, the domain of a user name that has none: the wrapper records `USER@DOMAIN`.",
  ],
  [
    "DUMP_CAPABILITY",
    "Set by Dovecot 1 when it asks the mail program for its capabilities: the wrapper records nothing.",
  ],
  [
    "RELAYCLIENT",
    "Set by `popbsmtp relay` if the client may relay. If it is set already, it stays.",
  ],
  ["RELAY_CTRL_RELAYCLIENT", "The value that `popbsmtp relay` gives to `RELAYCLIENT`."],
  [
    "MAIL_CONFIG",
    'The directory of the Postfix configuration whose `mynetworks` is meant by `exclude = "postfix"`.',
  ],
  ["PATH", "Where Node is searched for, unless it is next to the program."],
  ["NO_COLOR", "If set and not empty, the output has no colours."],
  ["POPBSMTP_DEBUG", "If set and not empty, an error is printed with its stack trace."],
];

const SPOOL_FILES: readonly (readonly [name: string, text: string])[] = [
  [
    "TIME.PID",
    "A login that is not in the store yet. Its name begins with its time, in microseconds since 1970.",
  ],
  [
    "bad/",
    "Files that were not a login, or logins that the store rejects, each with a file .why that says what was wrong. Nothing reads them again: look at them, then delete them.",
  ],
  [".away", "Why the store cannot be reached, while that is so."],
  [".pid", "The process id and the start time of the drain or daemon at work."],
  ["stores/", "With several stores, a directory like the spool itself for each."],
];

/** The page. */
export function programPage(): string {
  const program = createProgram({
    terminal: {
      print: () => undefined,
      note: () => undefined,
      progress: () => undefined,
      interactive: false,
      color: false,
    },
    now: () => 0,
  });
  const help = program.createHelp();
  return [
    ...heading("popbsmtp", 8, "POP-before-SMTP for Dovecot, Postfix and other mail servers"),
    ...synopsis(program, help),
    ".Sh DESCRIPTION",
    ...paragraphs(
      "Whoever has just read mail from an address may send mail from it: popbsmtp records the address of each IMAP or POP3 login and tells mail servers which addresses may relay. An authorization ends one lifetime after the last login; the default is 30 minutes.",
      "It is meant for devices that cannot do SMTP AUTH. An address is not a person: everybody who shares it, behind NAT for example, may relay as well, and so may the next user of an address that has just been released. Use SMTP AUTH wherever the client can do it.",
      "A login is first recorded, in memory and in the spool if need be, and then written to the store. A store that is down delays an authorization, but neither loses it nor delays the login for longer than `deadline`. See popbsmtp.toml(5) for this and every other setting.",
    ),
    ...wrapper(),
    ...commands(program, help),
    ".Sh ENVIRONMENT",
    ...tagged(ENVIRONMENT.map(([name, text]) => [`Ev ${name}`, paragraph(text)])),
    ".Sh FILES",
    ...tagged(files()),
    ".Sh EXIT STATUS",
    ...paragraph("As in sysexits.h:"),
    ...tagged(
      Object.entries(EXIT_STATUSES).map(([status, meaning]) => [
        status,
        paragraph(capital(meaning)),
      ]),
    ),
    ".Pp",
    ...paragraph(
      "The exit status of the wrapper is that of PROGRAM, or 126 or 127 if PROGRAM cannot be started.",
    ),
    ".Sh EXAMPLES",
    ...examples(),
    ".Sh DIAGNOSTICS",
    ...paragraphs(
      "Messages begin with the name of the program and go to standard error. The daemon writes one line for each event, `event key=value ...`, at the level given by `log-level`.",
      "`popbsmtp doctor` examines an installation and says what to change.",
    ),
    ".Sh SEE ALSO",
    ...seeAlso("access 5", "popbsmtp.toml 5", "postconf 5", "socketmap_table 5"),
    ".Sh SECURITY CONSIDERATIONS",
    ...paragraphs(
      "Whoever can write to the spool, to a watched log or to a socket on which logins are reported can authorize any address. So can whoever can send from an address in `drac-allow` or `relay-ctrl-allow`, and any host that uses one of these addresses as the source of a UDP packet. The spool belongs to the configured user and has mode 0700.",
      "The daemon, drains and commands that root starts become the configured user as soon as possible. The wrapper stays what it is, since the mail program needs its privileges.",
    ),
    "",
  ].join("\n");
}

function synopsis(program: Command, help: Help): readonly string[] {
  return [
    ".Sh SYNOPSIS",
    ".Nm",
    ...WRAPPER_OPTIONS.map(([flags]) => `.Op ${wrapperOption(flags)}`),
    ".Ar program",
    ".Op Ar argument ...",
    ...leaves(program).flatMap((command) => [
      ".Nm",
      `.Op ${flag("--config", "file")}`,
      `.Cm ${words(command)}`,
      ...help
        .visibleOptions(command)
        .filter(isOwn)
        .map((option) => `.Op ${optionTerm(option)}`),
      ...command.registeredArguments.map(
        (each) => `.${argumentTerm(each).replace(/^Oo (.*) Oc$/, "Op $1")}`,
      ),
    ]),
    ".Nm",
    `.${flag("--help")} | ${flag("--version")}`,
  ];
}

function wrapper(): readonly string[] {
  return [
    ".Sh WRAPPER",
    ...paragraphs(
      "With a program, popbsmtp is a wrapper, which stands between a mail server and its mail program. It records the login that its environment describes, waits until the login is in the store, and replaces itself with the program. The program is the first argument that contains a slash, or what follows `--`. Whatever goes wrong with the login, the program runs, and standard error says what it was.",
      "If nothing drains the spool, the wrapper starts a drain in the background. That needs Node and, under a mail server that limits memory, the right to raise the limit; otherwise, the daemon or cron(8) has to drain.",
    ),
    ...tagged(
      WRAPPER_OPTIONS.map(([flags, text]) => [wrapperOption(flags), paragraph(capital(text))]),
    ),
  ];
}

/** "--wait MS" as arguments of .Op or .It. */
function wrapperOption(flags: string): string {
  const [name = "", value] = flags.split(" ");
  return flag(name, value?.toLowerCase());
}

function commands(program: Command, help: Help): readonly string[] {
  const groups = Map.groupBy(program.commands, (command) => command.helpGroup());
  return [
    ".Sh COMMANDS",
    ...paragraph(
      `The option --config FILE, before or after the name of the command, names the configuration; the default is ${DEFAULT_CONFIG_PATH}. --help shows a command's help.`,
    ),
    ...[...groups].flatMap(([title, members]) => [
      `.Ss ${title.replace(/:$/, "")}`,
      ...tagged(
        members.flatMap(leavesBelow).map((command) => [term(command, help), body(command, help)]),
      ),
    ]),
  ];
}

function leaves(program: Command): readonly Command[] {
  return program.commands.flatMap(leavesBelow);
}

function leavesBelow(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesBelow);
}

/** The words that a user types for a command. */
function words(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${words(parent)} ${command.name()}` : command.name();
}

function term(command: Command, help: Help): string {
  const options = help.visibleOptions(command).filter(isOwn);
  return [
    `Cm ${words(command)}`,
    ...options.map((option) => `Oo ${optionTerm(option)} Oc`),
    ...command.registeredArguments.map(argumentTerm),
  ].join(" ");
}

function body(command: Command, help: Help): readonly string[] {
  const documented = command instanceof DocumentedCommand ? command : undefined;
  const statuses = documented?.exitStatuses ?? [];
  const lines = documented?.examples ?? [];
  const items = [
    ...command.registeredArguments
      .filter(({ description }) => description !== "")
      .map(
        (each) =>
          [`Ar ${each.name()}`, paragraph(capital(help.argumentDescription(each)))] as const,
      ),
    ...help
      .visibleOptions(command)
      .filter(isOwn)
      .map((each) => [optionTerm(each), paragraph(capital(help.optionDescription(each)))] as const),
  ];
  return [
    ...about(command),
    ...(items.length === 0 ? [] : [".Pp", ...tagged(items)]),
    ...(statuses.length === 0
      ? []
      : [
          ".Pp",
          "Exit status:",
          ...tagged(
            statuses.map(([status, meaning]) => [String(status), paragraph(capital(meaning))]),
          ),
        ]),
    ...(lines.length === 0 ? [] : [".Pp", "For example:", ...literal(lines)]),
  ].filter(isNeeded);
}

/** Whether a .Pp is needed: mandoc(1) rejects one before a list, which is set apart already. */
function isNeeded(line: string, at: number, lines: readonly string[]): boolean {
  return line !== ".Pp" || lines[at + 1]?.startsWith(".Bl") !== true;
}

/** The description: paragraphs, one of which may be a list, with lines that read "term: text". */
function about(command: Command): readonly string[] {
  return command
    .description()
    .split("\n\n")
    .flatMap((text, at) => {
      const items = text.split("\n").map((line) => /^([\w-]+): (.*)$/.exec(line));
      const lines = items.every((item) => item !== null)
        ? tagged(
            items.map(([, name = "", meaning = ""]) => [`Cm ${name}`, paragraph(capital(meaning))]),
          )
        : paragraph(text);
      return at === 0 ? lines : [".Pp", ...lines];
    });
}

function isOwn(option: Option): boolean {
  return option.long !== "--help";
}

/** "--user <user>" as arguments of .Op or .It. */
function optionTerm(option: Option): string {
  const [, value] = /<(.*)>/.exec(option.flags) ?? [];
  return flag(option.long ?? "", value);
}

function argumentTerm(each: Argument): string {
  const name = `Ar ${each.name()}${each.variadic ? " ..." : ""}`;
  return each.required ? name : `Oo ${name} Oc`;
}

function capital(text: string): string {
  const sentence = /[.!?]$/.test(text) ? text : `${text}.`;
  return /^[a-z]+\b/.test(sentence)
    ? sentence.charAt(0).toUpperCase() + sentence.slice(1)
    : sentence;
}

function files(): readonly (readonly [string, readonly string[]])[] {
  const spool = fallback(KEYS.top, "spool");
  return [
    [`Pa ${DEFAULT_CONFIG_PATH}`, paragraph("The configuration: see popbsmtp.toml(5).")],
    [
      `Pa ${spool}`,
      [
        ...paragraph("The spool, with logins that are not in the store yet. In it are:"),
        ...tagged(SPOOL_FILES.map(([name, text]) => [`Pa ${argument(name)}`, paragraph(text)])),
      ],
    ],
    [
      `Pa ${fallback(storeKeys("sqlite"), "path")}`,
      paragraph("The store, unless another is configured."),
    ],
    ["Pa /run/popbsmtp", paragraph("The daemon's sockets, unless configured otherwise.")],
  ];
}

function fallback(keys: readonly Key[], name: string): string {
  return keys.find((key) => key.name === name)?.fallback?.replaceAll('"', "") ?? "";
}

function examples(): readonly string[] {
  return [
    ...paragraph(
      "Store logins in SQLite, let Dovecot run the daemon and report to it, and check the result:",
    ),
    ...literal([
      "# popbsmtp schema install",
      "# popbsmtp print dovecot > /etc/dovecot/conf.d/99-popbsmtp.conf",
      "# doveadm reload",
      "# popbsmtp print postfix policy",
      "# popbsmtp doctor",
    ]),
    ".Pp",
    ...paragraph("Wrap a POP3 server under tcpserver, without a daemon:"),
    ...literal([
      "tcpserver 0 110 qmail-popup mail.example.org checkpassword \\",
      "  popbsmtp --service pop3 /var/qmail/bin/qmail-pop3d Maildir",
    ]),
  ];
}

function seeAlso(...pages: readonly string[]): readonly string[] {
  return pages.map((page, at) => `.Xr ${page}${at < pages.length - 1 ? " ," : ""}`);
}
