import { endpointName, type ServeConfig } from "../config/config.ts";
import { NO_LIMIT, PROTOCOLS, type MailProtocol } from "../dovecot/release.ts";
import { plainWords } from "./plain-words.ts";
import { CRON_PATH } from "./print-cron.ts";

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
    `  # to open its own sockets and read its passwords; then the daemon switches to ${user}`,
    "  user = root",
    "  # Node does not start within the default limit",
    `  ${NO_LIMIT}`,
    "  # a single process, started with Dovecot, serves every login",
    "  client_limit = 1000",
    "  process_limit = 1",
    "  process_min_avail = 1",
    "  # The daemon creates its other sockets itself: Dovecot would not start at all if it could not listen on one of them.",
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
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2: imap and pop3 ask the daemon, popbsmtp serve, after each login,",
    "# and let the user in once it has answered: the login is then in the store. Dovecot's master holds the sockets, starts the",
    "# daemon, and restarts it if it dies; logins wait meanwhile.",
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
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2, for a daemon that systemd runs: popbsmtp print systemd. Set that up",
    "# first: while nothing listens at the socket, nobody can log in.",
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
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2: popbsmtp records each login before it proceeds.",
    `# ${user} must be able to read popbsmtp's configuration and password, and to write to its spool.`,
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
    "  # for the drain that popbsmtp starts: Node does not start within the default of 256 MB. Only the script runs",
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
    "# For Dovecot 1, in /etc/dovecot/dovecot.conf: popbsmtp records the login and replaces itself with imap or pop3. Debian",
    "# has these in /usr/lib/dovecot, other systems in /usr/libexec/dovecot.",
    "#",
    "# Dovecot 1 limits this process to 256 MB (mail_process_size), often irrevocably. That is enough to record a login, but not for",
    "# Node, which writes it to the store. Therefore do one of the following:",
    "# - Run the daemon, popbsmtp serve, beside Dovecot, for instance with popbsmtp print systemd. It writes the recorded logins to the store.",
    "# - Without a daemon, remove the limit: mail_process_size = 0",
    `# - Or add --no-drain after ${program[0] ?? "popbsmtp"} below, and put these two lines into /etc/cron.d/popbsmtp-drain:`,
    `#     ${CRON_PATH}`,
    `#     * * * * * root ${plainWords(program)} drain`,
    ...PROTOCOLS.flatMap((name) => [
      `protocol ${name} {`,
      `  mail_executable = ${plainWords(program)} /usr/lib/dovecot/${name}`,
      "}",
    ]),
  ];
}
