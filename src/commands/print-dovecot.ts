import { plainWords } from "./plain-words.ts";

/**
 * For Dovecot 2: script-login runs the wrapper after each login (https://doc.dovecot.org/admin_manual/post_login_scripting/).
 *
 * @param program the words that start popbsmtp
 * @param user whom the wrapper and the drain it starts run as
 */
export function dovecot2Lines(program: readonly string[], user: string): readonly string[] {
  return [
    "# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot 2: popbsmtp records each login, then lets it go on.",
    `# ${user} has to be able to read popbsmtp's configuration and password, and to write to its spool.`,
    ...service("imap", program, user),
    ...service("pop3", program, user),
  ];
}

function service(
  name: "imap" | "pop3",
  program: readonly string[],
  user: string,
): readonly string[] {
  return [
    `service ${name} {`,
    `  executable = ${name} ${name}-postlogin`,
    "}",
    `service ${name}-postlogin {`,
    `  executable = script-login ${plainWords(program)} --service ${name}`,
    `  user = ${user}`,
    "  # for the drain that popbsmtp starts: Node needs more than the default of 256 MB to start. Only the script runs",
    `  # under this limit; ${name} keeps its own.`,
    "  vsz_limit = 0",
    `  unix_listener ${name}-postlogin {`,
    "  }",
    "}",
  ];
}

/** For Dovecot 1, which starts the wrapper in place of the mail program, as root. */
export function dovecot1Lines(program: readonly string[]): readonly string[] {
  const protocol = (name: "imap" | "pop3") => [
    `protocol ${name} {`,
    `  mail_executable = ${plainWords(program)} /usr/lib/dovecot/${name}`,
    "}",
  ];
  return [
    "# For Dovecot 1, in /etc/dovecot/dovecot.conf. Debian has /usr/lib/dovecot; others, /usr/libexec/dovecot.",
    ...protocol("imap"),
    ...protocol("pop3"),
  ];
}
