import { endpointName, type ServeConfig } from "../config/config.ts";
import { plainWords } from "./plain-words.ts";
import { CRON_PATH } from "./print-cron.ts";

/** The names of Dovecot's services, and of popbsmtp's. */
type MailProtocol = "imap" | "pop3";

export const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3"];

/**
 * For a program in Node. "0" and "unlimited" both mean no limit, but Dovecot 2.4 rejects the one,
 * and 2.3 the other.
 */
const NO_LIMIT = "vsz_limit = 1T";

/**
 * The daemon as a service of Dovecot's master.
 *
 * @param program the words that start popbsmtp
 * @param user the user that the daemon changes to
 * @param listeners its sockets
 */
export function masterServiceLines(
  program: readonly string[],
  user: string,
  listeners: readonly string[],
): readonly string[] {
  return [
    "service popbsmtp {",
    `  executable = ${plainWords([...program, "serve"])}`,
    `  # to open its own sockets and read its passwords; then it becomes ${user}`,
    "  user = root",
    "  # Node needs more than the default to start",
    `  ${NO_LIMIT}`,
    "  # one process, always there, serves all",
    "  client_limit = 1000",
    "  process_limit = 1",
    "  process_min_avail = 1",
    "  # The daemon makes its other sockets itself: Dovecot would not start at all where it could not listen.",
    ...listeners.map((line) => `  ${line}`),
    "}",
  ];
}

/**
 * For Dovecot 2: its master starts the daemon, and its imap and pop3 processes report each login.
 *
 * @param program the words that start popbsmtp
 * @param user the user that the daemon changes to
 */
export function dovecotServiceLines(program: readonly string[], user: string): readonly string[] {
  return [
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2: imap and pop3 ask the daemon, popbsmtp serve, after each login, and",
    "# let the user in when it has answered: the login is then in the store. Dovecot's master listens at the sockets, starts the",
    "# daemon, and starts it again if it dies; logins wait meanwhile.",
    "#",
    "# Other forms: popbsmtp print dovecot --help",
    ...masterServiceLines(
      program,
      user,
      PROTOCOLS.flatMap((name) => [`unix_listener popbsmtp-${name} {`, "}"]),
    ),
    ...PROTOCOLS.flatMap((name) => mailService(name, `popbsmtp-${name}`)),
  ];
}

/** For Dovecot 2, if another program starts the daemon, which has its own sockets. */
export function dovecotSocketLines(serve: Pick<ServeConfig, "imap" | "pop3">): readonly string[] {
  return [
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2, where systemd runs the daemon: popbsmtp print systemd. Set that up",
    "# first: while nobody listens at the socket, nobody can log in.",
    ...PROTOCOLS.flatMap((name) => {
      const socket = serve[name];
      return socket === undefined ? [] : mailService(name, plainWords([endpointName(socket)]));
    }),
  ];
}

function mailService(name: MailProtocol, socket: string): readonly string[] {
  return [`service ${name} {`, `  executable = ${name} ${socket}`, "}"];
}

/**
 * For Dovecot 2 without a daemon: script-login runs the wrapper after each login
 * (https://doc.dovecot.org/admin_manual/post_login_scripting/).
 *
 * @param program the words that start popbsmtp
 * @param user the user of the wrapper, and of the drain that it starts
 */
export function dovecotWrapperLines(program: readonly string[], user: string): readonly string[] {
  return [
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2: popbsmtp records each login, then lets it go on.",
    `# ${user} has to be able to read popbsmtp's configuration and password, and to write to its spool.`,
    ...PROTOCOLS.flatMap((name) => wrapperService(name, program, user)),
  ];
}

function wrapperService(
  name: MailProtocol,
  program: readonly string[],
  user: string,
): readonly string[] {
  return [
    ...mailService(name, `${name}-postlogin`),
    `service ${name}-postlogin {`,
    `  executable = script-login ${plainWords(program)} --service ${name}`,
    `  user = ${user}`,
    "  # for the drain that popbsmtp starts: Node needs more than the default of 256 MB to start. Only the script runs",
    `  # under this limit; ${name} keeps its own.`,
    `  ${NO_LIMIT}`,
    `  unix_listener ${name}-postlogin {`,
    "  }",
    "}",
  ];
}

/** For Dovecot 1, which runs the wrapper as root in place of the mail program. */
export function dovecot1Lines(program: readonly string[]): readonly string[] {
  return [
    "# For Dovecot 1, in /etc/dovecot/dovecot.conf: it starts popbsmtp, which records the login and becomes imap or pop3. Debian",
    "# has these in /usr/lib/dovecot; others, in /usr/libexec/dovecot.",
    "#",
    "# Dovecot 1 limits this process to 256 MB (mail_process_size), often for good. That is enough to record a login, but not for",
    "# Node, which writes it to the store. So do one of these:",
    "# - Run the daemon, popbsmtp serve, beside Dovecot, for instance with popbsmtp print systemd. It writes what is recorded.",
    "# - Without a daemon, take the limit off: mail_process_size = 0",
    `# - Or write --no-drain after ${program[0] ?? "popbsmtp"} below, and put these two lines into /etc/cron.d/popbsmtp-drain:`,
    `#     ${CRON_PATH}`,
    `#     * * * * * root ${plainWords(program)} drain`,
    ...PROTOCOLS.flatMap((name) => [
      `protocol ${name} {`,
      `  mail_executable = ${plainWords(program)} /usr/lib/dovecot/${name}`,
      "}",
    ]),
  ];
}
