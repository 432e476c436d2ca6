/**
 * The contents of relay-ctrl's files: NAME=value strings, each terminated by a NUL, which
 * relay-ctrl-check puts into the SMTP server's environment unchanged. So only USER and DOMAIN are
 * ever written, and no value contains a NUL.
 *
 * USER is the user as the mail server names it. DOMAIN, which relay-ctrl-allow copies from the
 * environment, is the part after the "@"; if USER lacks it, the two are joined again.
 */
import { decodeText } from "../../spool/entry.ts";

/** relay-ctrl-check reads this much of a file. */
export const CONTENT_BYTES = 8192;

/** The contents for a user; empty if there is no user. */
export function formatContent(user: string): Buffer {
  const name = user.toWellFormed().replaceAll("\0", "\ufffd");
  const [, domain = ""] = /@([^@]*)$/.exec(name) ?? [];
  const strings = { USER: name, DOMAIN: domain };
  return Buffer.from(
    Object.entries(strings)
      .map(([key, value]) => (value === "" ? "" : `${key}=${value}\0`))
      .join(""),
  );
}

/** The user in the contents; "" if there is none. Incomplete and unknown strings are skipped. */
export function parseContent(content: Buffer): string {
  const [user, domain] = [valueOf("USER=", content), valueOf("DOMAIN=", content)];
  return user === "" || domain === "" || user.includes("@") ? user : `${user}@${domain}`;
}

function valueOf(name: string, content: Buffer): string {
  for (let start = 0, end; (end = content.indexOf(0, start)) >= 0; start = end + 1) {
    if (content.toString("latin1", start, start + name.length) === name) {
      return decodeText(content.subarray(start + name.length, end));
    }
  }
  return "";
}
