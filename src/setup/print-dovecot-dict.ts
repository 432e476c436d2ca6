import { endpointName, type Endpoint } from "../config/config.ts";
import { ConfigError } from "../lib/errors.ts";
import {
  groupSettings,
  lastLoginLines,
  needsGroup,
  pluginLines,
  PROTOCOLS,
  type DovecotRelease,
} from "../dovecot/release.ts";
import { masterServiceLines } from "./print-dovecot.ts";
import { plainWords } from "./plain-words.ts";

export interface DictForm {
  readonly release: DovecotRelease;
  /** The group of Dovecot's mail processes. */
  readonly group: string;
}

/** The daemon's socket for the plugin, in Dovecot's base_dir. */
const LISTENER = "popbsmtp-dict";

/**
 * For Dovecot 2: its master starts the daemon, and its last_login plugin reports logins.
 *
 * @param program the words that start popbsmtp
 * @param user the user that the daemon changes to
 */
export function dovecotDictLines(
  program: readonly string[],
  user: string,
  { release, group }: DictForm,
): readonly string[] {
  return [
    ...head(release),
    "# Dovecot's master holds the socket, starts the daemon, and restarts it if it dies.",
    ...masterServiceLines(program, user, [
      `unix_listener ${LISTENER} {`,
      "  # A process that can connect here can authorize any address. Root can, and so can this group, to which",
      "  # only Dovecot's imap and pop3 processes should belong. If Dovecot's default_internal_group differs, or",
      `  # you have changed these services' ${groupSettings(release)}, name one of their groups here.`,
      "  mode = 0660",
      `  group = ${group}`,
      "}",
    ]),
    ...reportLines(LISTENER, release, group),
  ];
}

/** For Dovecot 2, if another program starts the daemon, which has its own socket. */
export function dovecotDictSocketLines(
  socket: Endpoint | undefined,
  { release, group }: DictForm,
): readonly string[] {
  if (socket === undefined) throw new ConfigError(["serve.dict: the daemon has no socket for it"]);
  const path = plainWords([endpointName(socket)]);
  if (path.includes(":")) {
    throw new ConfigError([
      `serve.dict: ${path}: Dovecot ends the path at a ":"; choose a path without one`,
    ]);
  }
  return [
    ...head(release),
    "# systemd holds the socket and starts the daemon: popbsmtp print systemd. A daemon started by hand works too, but if it",
    "# is killed, its socket file stays behind, and every login takes three seconds longer until the daemon is back.",
    ...reportLines(path, release, group),
  ];
}

function head(release: DovecotRelease): readonly string[] {
  const others =
    release === "2.4"
      ? "# - A later file that contains another last_login block, mail_plugins = or last_login = no switches it off."
      : "# - A later file, such as local.conf, that sets mail_plugins without $mail_plugins switches it off.";
  return [
    `# /etc/dovecot/conf.d/99-popbsmtp.conf, for Dovecot ${release}: the last_login plugin reports each IMAP and`,
    "# POP3 login to the daemon, popbsmtp serve. No login waits for that, whatever happens to the daemon.",
    "#",
    "# - If you already use last_login for something else, take popbsmtp print dovecot post-login instead.",
    others,
    "# - On a proxy no plugin runs: use this on the backends, with the proxy in login_trusted_networks.",
    "#",
    "# Other forms: popbsmtp print dovecot --help",
  ];
}

function reportLines(socket: string, release: DovecotRelease, group: string): readonly string[] {
  return [
    ...PROTOCOLS.flatMap((name) => pluginLines(name, release)),
    ...lastLoginLines(socket, release),
    ...(needsGroup(release)
      ? [
          "# the default from Dovecot 2.3 on",
          ...PROTOCOLS.flatMap((name) => [`service ${name} {`, `  extra_groups = ${group}`, "}"]),
        ]
      : []),
  ];
}
