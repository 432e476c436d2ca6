/**
 * What differs between releases of Dovecot in the lines that popbsmtp prints, reads or names. How
 * their configurations are read: read-dovecot.ts.
 */

/** Releases whose configurations differ. */
export const DOVECOT_RELEASES = ["2.2", "2.3", "2.4"] as const;

export type DovecotRelease = (typeof DOVECOT_RELEASES)[number];

/** The protocols whose logins count, and the names of their services. */
export type MailProtocol = "imap" | "pop3";

export const PROTOCOLS: readonly MailProtocol[] = ["imap", "pop3"];

/** @param version as `dovecot --version` prints it. If it has no number: 2.3, the most likely */
export function releaseOf(version: string): DovecotRelease {
  const [, major = 2, minor = 3] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (Number(major) > 2 || Number(minor) >= 4) return "2.4";
  return Number(minor) === 3 ? "2.3" : "2.2";
}

/** The plugin that reports logins to the daemon. */
export const PLUGIN = "last_login";

/** The key from which the daemon reads a login: kind, protocol, address, user. */
export function lastLoginKey(release: DovecotRelease): string {
  return release === "2.4" ? "popbsmtp/%{protocol}/%{remote_ip}/%{user}" : "popbsmtp/%s/%r/%u";
}

/** Enables the plugin for a protocol, in addition to others. */
export function pluginLines(protocol: string, release: DovecotRelease): readonly string[] {
  const inside =
    release === "2.4"
      ? ["  mail_plugins {", `    ${PLUGIN} = yes`, "  }"]
      : [`  mail_plugins = $mail_plugins ${PLUGIN}`];
  return [`protocol ${protocol} {`, ...inside, "}"];
}

/**
 * Has the plugin report to the daemon.
 *
 * @param socket relative to base_dir, or absolute; before 2.4 without a ":"
 */
export function lastLoginLines(socket: string, release: DovecotRelease): readonly string[] {
  if (release === "2.4") {
    return [
      "last_login {",
      "  dict proxy {",
      "    name = popbsmtp",
      `    socket_path = ${socket}`,
      "  }",
      "}",
      ...lastLoginKeyLines(release),
      "last_login_precision = us",
    ];
  }
  const [open = "", key = "", close = ""] = lastLoginKeyLines(release);
  const dict = `  last_login_dict = proxy:${socket}:popbsmtp`;
  return [open, dict, key, "  last_login_precision = us", close];
}

export function lastLoginKeyLines(release: DovecotRelease): readonly string[] {
  const line = `last_login_key = ${lastLoginKey(release)}`;
  return release === "2.4" ? [line] : ["plugin {", `  ${line}`, "}"];
}

/** Whether imap and pop3 are in Dovecot's group only if extra_groups says so. */
export function needsGroup(release: DovecotRelease): boolean {
  return release === "2.2";
}

/** The settings with which imap and pop3 leave Dovecot's group. */
export function groupSettings(release: DovecotRelease): string {
  return release === "2.4" ? "mail_access_groups or extra_groups" : "extra_groups";
}

/**
 * How login_log_format_elements must begin for a login to be read from the log. With the variables
 * of another release, 2.4 prints no element at all.
 */
export const LOG_ELEMENTS =
  "user=<%u> method=%m rip=%r (in Dovecot 2.4: user=<%{user}> method=%{mechanism} rip=%{remote_ip})";

/**
 * For a service that starts Node. "0" and "unlimited" both mean no limit, but 2.4 rejects the one,
 * and 2.3 the other.
 */
export const NO_LIMIT = "vsz_limit = 1T";
