/**
 * What is in a file of relay-ctrl's: NAME=value strings, each ended by a NUL, which relay-ctrl-check puts into the environment of the
 * SMTP server as they are. So no other name than USER and DOMAIN is ever written, and no value has a NUL in it.
 *
 * USER is the user as the mail server names them. DOMAIN, which relay-ctrl-allow copies from an environment that has it, is what
 * follows the "@" there; where a file has a USER without it, the two are put together again.
 */
import { decodeText } from "../../spool/entry.ts";

/** relay-ctrl-check reads so much of a file. */
export const CONTENT_BYTES = 8192;

/** The contents for a user; of nobody, nothing. */
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

/** The user that the contents name; "" where they name nobody. What is not complete, or is no string of these, is passed over. */
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
