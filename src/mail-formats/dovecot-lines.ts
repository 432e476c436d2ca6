import { LOG_ELEMENTS } from "../dovecot/release.ts";
import { found, splitOnce, TWO_WAYS, type LineReading, type ProgramFormat } from "./format.ts";

/**
 * "Logged in" since 2.4. In a log of Dovecot's own, "Info: " precedes or follows the name of the
 * process.
 */
const LOGIN = /^(?:Info: )?(?:(imap|pop3)-login: (?:Info: )?)?(?:Login|Logged in): (.*)$/s;

/**
 * A proxy logs this since 2.3, when the backend has accepted the login: `proxy(bob,10.0.0.1:143):
 * Started proxying to <10.0.0.1> (0.011 secs): user=<bob>, method=PLAIN, rip=192.0.2.1, ...`. The
 * first copy of the name is less restricted than the second.
 */
const PROXIED =
  /^(?:Info: )?(?:(imap|pop3)-login: (?:Info: )?)?proxy\((.*),[^,() ]*\): Started proxying to <[^<>]*>(?: \([\d.]+ secs\))?: (user=<.*)$/s;

/** The text before the address: the default login_log_format_elements, up to %r. */
const BEFORE = /^user=<(.*)>, (?:method=[\w-]*, )?$/s;

/**
 * The address and the text after it: elements without < and >, or with one pair of them around the
 * whole value. Administrators add elements such as %k, `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384
 * (256/256 bits)`.
 */
const AFTER = /^([^<>, ]*)(?:, (?:[^<>,]*|[\w-]+=<[^<>]*>))*$/;

const OWN_ELEMENTS = `login_log_format_elements is not Dovecot's default; set pattern to match it, or begin it with ${LOG_ELEMENTS}`;

/**
 * Dovecot 0.99 (`Login: bob [192.0.2.1]`), and all later versions (`Login: user=<bob>,
 * method=PLAIN, rip=192.0.2.1, lip=...`).
 *
 * A logged name has at most 80 bytes and no control characters, but may contain all other
 * characters (dovecot/core, src/lib/str-sanitize.c). It precedes the address, so an address counts
 * only if no other text could be the address.
 */
export const dovecot: ProgramFormat = {
  name: "dovecot",
  // a second instance is named after its instance_name
  programs: /^(?:dovecot[\w.-]*|imap-login|pop3-login)$/,
  // PIPE_BUF, less the header on the way to Dovecot's log process
  cutAt: 3_900,
  read: (text, program) => {
    const [, process, elements] = LOGIN.exec(text) ?? [];
    if (elements === undefined) return readProxied(text, program);
    const service = serviceOf(program, process);
    if (service === undefined) return undefined;
    return elements.endsWith("]") ? readOld(elements, service) : readElements(elements, service);
  },
};

/**
 * The program is the login process, as in 0.99, or it is Dovecot and the message names the process.
 */
function serviceOf(program: string, process: string | undefined): string | undefined {
  const isDovecot = program.startsWith("dovecot");
  if (process !== undefined) return isDovecot ? process : undefined;
  return isDovecot ? undefined : program.slice(0, program.indexOf("-"));
}

/**
 * A login counts only if both copies of the name agree: a name that imitates the rest of the line
 * makes them differ.
 */
function readProxied(text: string, program: string): LineReading {
  const [, process, name, elements] = PROXIED.exec(text) ?? [];
  if (name === undefined || elements === undefined) return undefined;
  const service = serviceOf(program, process);
  if (service === undefined) return undefined;
  return elements.startsWith(`user=<${name}>, `) ? readElements(elements, service) : TWO_WAYS;
}

function readElements(elements: string, service: string): LineReading {
  const halves = splitOnce(elements, "rip=");
  if (halves === undefined) return elements.includes("rip=") ? TWO_WAYS : OWN_ELEMENTS;
  const [, user] = BEFORE.exec(halves[0]) ?? [];
  const [, address] = AFTER.exec(halves[1]) ?? [];
  if (user === undefined || address === undefined) return OWN_ELEMENTS;
  // a client at a Unix socket has no address, so a name could imitate one
  if (halves[1].includes("method=")) return TWO_WAYS;
  return found(address, user, service);
}

function readOld(elements: string, service: string): LineReading {
  const [name = "", address = ""] = splitOnce(elements.slice(0, -1), " [") ?? [];
  return address === "" || elements.includes("rip=") ? TWO_WAYS : found(address, name, service);
}
