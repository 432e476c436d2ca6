/** User names made to be taken for something else, and how mail servers print them. */
import { generator, pick, type Random } from "../../../support/random.ts";

/** What the names try to get authorized. No client comes from there. */
const BAIT = ["198.51.100.1", "::ffff:198.51.100.2", "2001:db8:bad::1"] as const;

const PARTS: readonly [string, ...string[]] = [
  "x",
  "bob",
  " ",
  ", ",
  ">",
  "<",
  ">, ",
  "[",
  "]",
  "] ",
  " [",
  '"',
  '" at (h) ',
  "'",
  "\\",
  "=",
  ": ",
  "(",
  ")",
  "\n",
  "\r",
  "\t",
  "\u0000",
  "\u001b[0m",
  "\u007f",
  "\u0085",
  "\u2028",
  "é",
  "📮",
  "user=<",
  "user=",
  "user=<x>, ",
  "method=PLAIN, ",
  "rip=",
  ", rip=",
  " rip=",
  "lip=198.51.100.5, ",
  "mpid=1, ",
  "TLS, ",
  ", session=<",
  ", session=<a>",
  "host=h [",
  " host=[",
  "ip=[",
  ", ip=[",
  ", port=[1], protocol=IMAP",
  "imap-login: ",
  "dovecot: ",
  "Info: ",
  "Login: ",
  "Logged in: ",
  "LOGIN, ",
  "login: ",
  "Login ",
  " plaintext User logged in",
  " nmsgs=0/3",
  "Stats: x 0 0 0 0 h ",
  "anonymous ",
  "Mar  3 10:00:01 mail ",
  "Mar 03 10:00:01 ",
  "2026-03-03T10:00:01Z ",
  "...",
  "y".repeat(70),
];

/** Names that imitate what follows them in a line, as a whole. */
const IMITATIONS: readonly [(bait: string) => string, ...((bait: string) => string)[]] = [
  (bait) => `x>, rip=${bait}, y=<`,
  (bait) => `x>, rip=${bait}, session=<a>`,
  (bait) => `x>, method=PLAIN, rip=${bait}, lip=198.51.100.5, TLS, session=<y`,
  (bait) => `x>, method=PLAIN, rip=${bait}, z=<${"y".repeat(60)}`,
  (bait) => `x imap-login: Login: user=<y>, rip=${bait}, z`,
  (bait) => `x pop3-login: Login: y [${bait}]`,
  (bait) => `x [${bait}]`,
  (bait) => `x [${bait}`,
  (bait) => `x, ip=[${bait}], port=[1], protocol=IMAP`,
  (bait) => `x, ip=[${bait}], y=[`,
  (bait) => `x host=h [${bait}] nmsgs=0/3`,
  (bait) => `x host=[${bait}] mech=PLAIN`,
  (bait) => `x" at (h) ${bait} [pop_log.c:244]`,
  (bait) =>
    `x\nMar  3 10:00:01 mail dovecot: imap-login: Login: user=<x>, method=PLAIN, rip=${bait}`,
];

/** The same ones in every run; no two are the same. */
export function hostileNames(count: number): readonly Buffer[] {
  const random = generator(1772);
  const names = new Map<string, Buffer>();
  while (names.size < count) {
    const name = hostileName(random);
    if (name.length > 0) names.set(name.toString("latin1"), name);
  }
  return Array.from(names.values());
}

function hostileName(random: Random): Buffer {
  const pieces = Array.from({ length: random(12) }, () =>
    random(4) === 0 ? pick(random, BAIT) : pick(random, PARTS),
  );
  if (random(2) === 0) pieces.splice(random(3), 0, pick(random, IMITATIONS)(pick(random, BAIT)));
  const name = Buffer.from(pieces.join(""));
  // a byte that is not UTF-8, sometimes
  if (name.length > 0 && random(8) === 0) name[random(name.length)] = 0x80 + random(0x80);
  return name;
}

/**
 * A name as Dovecot 2.3 prints it: control characters and what is not UTF-8 are question marks; of
 * more than 80 bytes 77 are left, or fewer, so as not to cut a character, and three dots. (DEL is a
 * question mark only since 2.4.)
 */
export function sanitized(name: Buffer): Buffer {
  const end = name.indexOf(0);
  const bytes = end < 0 ? name : name.subarray(0, end);
  const characters: Buffer[] = [];
  let at = 0;
  while (at < Math.min(bytes.length, 80)) {
    const length = characterLength(bytes.subarray(at));
    if (at + length > 80) break;
    const character = bytes.subarray(at, at + Math.max(length, 1));
    const byte = character.readUInt8(0);
    characters.push(length === 0 || byte < 0x20 ? Buffer.from("?") : character);
    at += character.length;
  }
  if (at >= bytes.length) return Buffer.concat(characters);
  while (Buffer.concat(characters).length > 77) characters.pop();
  return Buffer.concat([...characters, Buffer.from("...")]);
}

/** How many bytes the first character has; 0: it is not UTF-8. RFC 3629 */
function characterLength(bytes: Buffer): number {
  for (let length = 1; length <= 4; length++) {
    const text = bytes.toString("utf8", 0, length);
    if (!text.includes("\ufffd") && Array.from(text).length === 1) return length;
  }
  return 0;
}

/**
 * A name as syslogd writes what a program has not made harmless: control characters in octal,
 * `#012`.
 */
export function throughSyslog(name: Buffer): Buffer {
  const end = name.indexOf(0);
  const text = name.toString("latin1", 0, end < 0 ? name.length : end);
  const written = text.replaceAll(
    // eslint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f]/g,
    (control) => `#${control.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return Buffer.from(written, "latin1");
}
