import { found, splitOnce, TWO_WAYS, type Found, type ProgramFormat } from "./format.ts";

/** Since 2.4 "Logged in". An own log of Dovecot's has "Info: " before the process's name, or behind it. */
const LOGIN = /^(?:Info: )?(?:(imap|pop3)-login: (?:Info: )?)?(?:Login|Logged in): (.*)$/s;

/**
 * What a proxy says once the backend has let the user in, since 2.3: `proxy(bob,10.0.0.1:143): Started proxying to <10.0.0.1>
 * (0.011 secs): user=<bob>, method=PLAIN, rip=192.0.2.1, ...`. The name in front has no such limits as the one behind it.
 */
const PROXIED =
  /^(?:Info: )?(?:(imap|pop3)-login: (?:Info: )?)?proxy\((.*),[^,() ]*\): Started proxying to <[^<>]*>(?: \([\d.]+ secs\))?: (user=<.*)$/s;

/** What is before the address: login_log_format_elements as it comes, as far as %r. */
const BEFORE = /^user=<(.*)>, (?:method=[\w-]*, )?$/s;

/**
 * The address and what is after it: elements without < and >, or with a pair of them around all of the value. Administrators add to
 * these: %k is `TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)`.
 */
const AFTER = /^([^<>, ]*)(?:, (?:[^<>,]*|[\w-]+=<[^<>]*>))*$/;

const OWN_ELEMENTS =
  "login_log_format_elements is not Dovecot's own; give a pattern for it, or begin it with user=<%u> method=%m rip=%r";

/**
 * Dovecot: 0.99 (`Login: bob [192.0.2.1]`) and all since (`Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=...`).
 *
 * A name has at most 80 bytes there and no control characters; anything else may be in it (dovecot/core, src/lib/str-sanitize.c). It is
 * printed before the address: an address is one only if nothing else could be.
 */
export const dovecot: ProgramFormat = {
  name: "dovecot",
  // a second instance is called as its instance_name says
  programs: /^(?:dovecot[\w.-]*|imap-login|pop3-login)$/,
  // PIPE_BUF, less the process id and the like in front of it on the way to Dovecot's log process
  cutAt: 3_900,
  read: (text, program) => {
    const [, process, elements] = LOGIN.exec(text) ?? [];
    if (elements === undefined) return readProxied(text, program);
    const service = serviceOf(program, process);
    if (service === undefined) return undefined;
    return elements.endsWith("]") ? readOld(elements, service) : readElements(elements, service);
  },
};

/** Either the program is the login process, as in 0.99, or it is Dovecot and the message says which process. */
function serviceOf(program: string, process: string | undefined): string | undefined {
  const isDovecot = program.startsWith("dovecot");
  if (process !== undefined) return isDovecot ? process : undefined;
  return isDovecot ? undefined : program.slice(0, program.indexOf("-"));
}

/** A login counts only if the name is the same in both places: one that imitates the rest of the line is not. */
function readProxied(text: string, program: string): Found {
  const [, process, name, elements] = PROXIED.exec(text) ?? [];
  if (name === undefined || elements === undefined) return undefined;
  const service = serviceOf(program, process);
  if (service === undefined) return undefined;
  return elements.startsWith(`user=<${name}>, `) ? readElements(elements, service) : TWO_WAYS;
}

function readElements(elements: string, service: string): Found {
  const halves = splitOnce(elements, "rip=");
  if (halves === undefined) return elements.includes("rip=") ? TWO_WAYS : OWN_ELEMENTS;
  const [, user] = BEFORE.exec(halves[0]) ?? [];
  const [, address] = AFTER.exec(halves[1]) ?? [];
  if (user === undefined || address === undefined) return OWN_ELEMENTS;
  // where no address is printed at all, since the client came through a Unix socket, a name could stand in for it
  if (halves[1].includes("method=")) return TWO_WAYS;
  return found(address, user, service);
}

function readOld(elements: string, service: string): Found {
  const [name = "", address = ""] = splitOnce(elements.slice(0, -1), " [") ?? [];
  return address === "" || elements.includes("rip=") ? TWO_WAYS : found(address, name, service);
}
