/** The types of configuration values: how each is checked and converted. */
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import * as v from "valibot";
import { reasonOf, codeOf } from "../../lib/errors.ts";
import { parseNetwork, type Network } from "../../login/address.ts";
import { printable } from "../../lib/terminal.ts";
import { Secret, type SslConfig } from "../config.ts";
import { DURATION_SPELLING, formatDuration, parseDuration } from "../../lib/duration.ts";
import { section } from "./section.ts";

const CONTROL = /\p{Cc}/u;

/** `text` for a message: in quotes, with terminal escapes made harmless. */
export function quote(text: string): string {
  return printable(JSON.stringify(text));
}

/** Text of one line that is not empty. */
export function line(what: string) {
  return v.pipe(
    v.string(`expected ${what}`),
    v.check((text) => text !== "" && !CONTROL.test(text), `expected ${what}`),
  );
}

/**
 * A file or directory. Relative paths are rejected: a drain started by a login runs in a directory
 * of the mail server's choice.
 */
export const absolutePath = v.pipe(
  v.string("expected a path"),
  v.check((path) => path.startsWith("/") && !CONTROL.test(path), "expected a path from the root"),
);

const none = v.pipe(
  v.literal(false),
  v.transform(() => undefined),
);

/** A directory; false: none. */
export const directory = v.lazy((input) => (input === false ? none : absolutePath));

/** A duration in milliseconds, between two bounds; with `orNever`, also "0s". */
export function duration(least: number, most: number, { orNever = false } = {}) {
  return v.pipe(
    v.string(`expected ${DURATION_SPELLING}`),
    v.rawTransform(({ dataset: { value }, addIssue, NEVER }) => {
      const milliseconds = parseDuration(value);
      if (milliseconds === undefined) {
        addIssue({ message: `${quote(value)} is not a time; expected ${DURATION_SPELLING}` });
        return NEVER;
      }
      if (orNever && milliseconds === 0) return 0;
      if (milliseconds < least || milliseconds > most) {
        const never = orNever ? ', or "0s" for never' : "";
        const bounds = `${formatDuration(least)} to ${formatDuration(most)}${never}`;
        addIssue({ message: `${quote(value)} is out of bounds; expected ${bounds}` });
        return NEVER;
      }
      return milliseconds;
    }),
    v.metadata({ least, most, orNever }),
  );
}

/** A network, as in `exclude`. */
export const network = v.pipe(
  v.string('expected a list of networks such as "192.0.2.0/24"'),
  v.rawTransform(({ dataset: { value }, addIssue, NEVER }): Network => {
    const parsed = parseNetwork(value);
    if (parsed !== undefined) return parsed;
    addIssue({
      message: `${quote(value)} is no network; expected an address and a prefix length, such as "192.0.2.0/24" or "2001:db8::/32"`,
    });
    return NEVER;
  }),
);

/** The name of a system account, as useradd(8) accepts it. */
export const accountName = v.pipe(
  v.string("expected the name of a system account"),
  v.regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/, "expected the name of a system account"),
);

const IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]{0,62}";

/**
 * The name of a table or a column. It becomes part of SQL, and of a Postfix map, in which % is
 * special.
 */
export const identifier = v.pipe(
  v.string("expected a name of letters, digits and _"),
  v.regex(
    new RegExp(`^${IDENTIFIER}$`),
    "expected a name of letters, digits and _, at most 63, that does not begin with a digit",
  ),
);

/** For pgsql: the name of a table, optionally with its schema. */
export const qualifiedIdentifier = v.pipe(
  v.string("expected a name of letters, digits and _"),
  v.regex(
    new RegExp(`^(?:${IDENTIFIER}\\.)?${IDENTIFIER}$`),
    "expected a name of letters, digits and _, or schema.name",
  ),
);

const host = v.pipe(
  v.string("expected a name or a list of names"),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { value } = dataset;
    if (/^\/[^\s\p{Cc}]*$/u.test(value) || isIPv6(value)) return;
    if (/^[A-Za-z0-9._-]+$/.test(value)) return;
    const [, name, port] = /^([A-Za-z0-9._-]+):(\d+)$/.exec(value) ?? [];
    addIssue({
      message:
        name === undefined
          ? `${quote(value)} is no host; expected a name, an address or a Unix socket's path`
          : `${quote(value)} has a port in it; write host = ${quote(name)} and port = ${port}`,
    });
  }),
);

const oneHost = v.pipe(
  host,
  v.transform((name): readonly string[] => [name]),
);
const someHosts = v.pipe(v.array(host), v.minLength(1, "expected a name or a list of names"));

/** One host or several, as a list. */
export const hosts = v.lazy((input) => (Array.isArray(input) ? someHosts : oneHost));

const REMOTES_SPELLING = 'expected a list of hosts such as ["mx2.example.org"]';

/** Other hosts, by name or address; at least one. */
export const remoteHosts = v.pipe(
  v.array(
    v.pipe(
      v.string(REMOTES_SPELLING),
      v.check(
        (name) => isIPv6(name) || /^[A-Za-z0-9._-]+$/.test(name),
        ({ input }) => `${quote(input)} is no host; expected a name or an address`,
      ),
    ),
    REMOTES_SPELLING,
  ),
  v.minLength(1, REMOTES_SPELLING),
);

/** A TCP or UDP port. */
export const port = v.pipe(
  v.number("expected a port number"),
  v.integer("expected a port number"),
  v.minValue(1, "expected a port number, 1 to 65535"),
  v.maxValue(65_535, "expected a port number, 1 to 65535"),
);

/** An integer between two bounds. */
export function count(least: number, most: number) {
  const spelling = `expected a number, ${least} to ${most}`;
  return v.pipe(
    v.number(spelling),
    v.integer(spelling),
    v.minValue(least, spelling),
    v.maxValue(most, spelling),
  );
}

/** A password in the configuration itself. No message contains it. */
export const password = v.pipe(
  v.string("expected a text"),
  v.check((text) => isPassword(text), "expected a password of one line"),
  v.transform((text) => new Secret(text)),
);

/** A file that contains a password, optionally with a newline at its end. */
export const passwordFile = v.pipe(
  absolutePath,
  v.rawTransform(({ dataset: { value: path }, addIssue, NEVER }): Secret => {
    const text = readText(path, addIssue)?.replace(/\r?\n$/, "");
    if (text === undefined) return NEVER;
    if (isPassword(text)) return new Secret(text);
    addIssue({ message: `${path}: expected a password on one line and nothing else` });
    return NEVER;
  }),
);

function isPassword(text: string): boolean {
  return text !== "" && !CONTROL.test(text);
}

const caFile = v.pipe(
  absolutePath,
  v.rawTransform(({ dataset: { value: path }, addIssue, NEVER }) => {
    const pem = readText(path, addIssue);
    if (pem === undefined) return NEVER;
    if (pem.includes("-----BEGIN CERTIFICATE-----")) return { path, pem };
    addIssue({ message: `${path}: expected certificates in PEM form` });
    return NEVER;
  }),
);

const sslSwitch = v.pipe(
  v.boolean("expected true, false or a section with ca and reject-unauthorized"),
  v.transform((on): SslConfig | undefined =>
    on ? { ca: undefined, rejectUnauthorized: true } : undefined,
  ),
);
/** The keys of [store.ssl]. */
export const sslEntries = {
  ca: v.optional(caFile),
  "reject-unauthorized": v.optional(v.boolean("expected true or false"), true),
};

const sslSection = v.pipe(
  section(sslEntries),
  v.transform((ssl): SslConfig => ({
    ca: ssl.ca?.pem,
    caFile: ssl.ca?.path,
    rejectUnauthorized: ssl["reject-unauthorized"],
  })),
);

/** TLS to the database: true trusts the system's authorities, false disables TLS. */
export const ssl = v.lazy((input) =>
  typeof input === "object" && input !== null ? sslSection : sslSwitch,
);

function readText(path: string, addIssue: (info: { message: string }) => void): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    addIssue({ message: `${path}: ${whyUnreadable(error)}` });
    return undefined;
  }
}

/** Why readFileSync() could not read a file, for an administrator. */
export function whyUnreadable(error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "there is no such file";
    case "EACCES":
    case "EPERM":
      return "permission denied; run popbsmtp as root, or let this user read the file";
    case "EISDIR":
      return "is a directory; expected a file";
    default:
      return reasonOf(error);
  }
}
