import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import type { Network } from "../../login/address.ts";
import { ConfigError, EX, PopbsmtpError, codeOf } from "../../lib/errors.ts";
import { DEFAULT_CONFIG_PATH, Secret, type Config } from "../config.ts";
import { POSTFIX, readMynetworks } from "./mynetworks.ts";
import { configSchema } from "./config-schema.ts";
import { whyUnreadable } from "./values.ts";

/**
 * The line from which the wrapper reads the spool's path, in bash and without a TOML parser: above
 * the first [section], a plain string on one line, without escapes. The path is in the first or the
 * second group.
 */
const SPOOL_LINE = /^[ \t]*spool[ \t]*=[ \t]*(?:"([^"\\]*)"|'([^']*)')[ \t\r]*(?:#.*)?$/m;

/**
 * Reads, checks and freezes the configuration and the password and certificate files that it names.
 *
 * For `exclude = "postfix"` it asks Postfix for the current value.
 *
 * @param path the argument of `--config`; undefined: `defaultPath`, or all defaults if that is
 * missing
 * @throws ConfigError with all problems, each with the file and the key, and none with a password
 * @throws PopbsmtpError (77) if this user may not read the file
 */
export async function loadConfig(
  path: string | undefined,
  defaultPath: string = DEFAULT_CONFIG_PATH,
): Promise<Config> {
  const subject = path ?? defaultPath;
  const text = read(subject, path === undefined);
  return text === undefined
    ? parseConfig("", subject, undefined)
    : parseConfig(text, subject, resolve(subject));
}

function read(path: string, mayBeMissing: boolean): string | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const code = codeOf(cause);
    if (mayBeMissing && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    const message = `${path}: ${whyUnreadable(cause)}`;
    if (code === "EACCES" || code === "EPERM") {
      throw new PopbsmtpError(message, EX.NOPERM, { cause });
    }
    throw new ConfigError([message], { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(
      [`${path}: is not UTF-8, which TOML has to be; convert it with iconv(1)`],
      {
        cause,
      },
    );
  }
}

async function parseConfig(
  text: string,
  subject: string,
  path: string | undefined,
): Promise<Config> {
  const raw = parseToml(text, subject);
  const result = v.safeParse(configSchema, raw);
  const problems = result.success ? [] : result.issues.map(describe);
  const spool = spoolProblem(text, raw["spool"]);
  if (spool !== undefined) problems.unshift(spool);
  if (!result.success || problems.length > 0) {
    throw new ConfigError(problems.map((problem) => `${subject}: ${problem}`));
  }
  const { store: stores, exclude: excluded, watch: logs, ...rest } = result.output;
  const exclude: Network[] = [];
  for (const network of excluded) {
    exclude.push(network === POSTFIX ? await mynetworks(subject) : network);
  }
  const watch = { ...logs, inDaemon: "watch" in raw };
  return deepFreeze({ path, ...rest, exclude, stores, watch });
}

async function mynetworks(subject: string): Promise<Network> {
  const network = await readMynetworks();
  if (typeof network === "string") throw new ConfigError([`${subject}: exclude: ${network}`]);
  return network;
}

function parseToml(text: string, subject: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // the rest of the message, and of the cause, quotes the file, which may contain a password
    const [reason = ""] = error.message.replace("Invalid TOML document: ", "").split("\n");
    throw new ConfigError([`${subject}: line ${error.line}, column ${error.column}: ${reason}`]);
  }
}

/**
 * The reason why the wrapper would read another path than the TOML parser; undefined if it would
 * not.
 */
function spoolProblem(text: string, spool: unknown): string | undefined {
  const firstSection = text.search(/^[ \t]*\[/m);
  const top = firstSection < 0 ? text : text.slice(0, firstSection);
  const match = SPOOL_LINE.exec(top);
  const seenByWrapper = match?.[1] ?? match?.[2];
  if (seenByWrapper === spool || (spool !== undefined && typeof spool !== "string"))
    return undefined;
  return 'spool: the wrapper cannot read it like this; write it at the top as a line of its own, spool = "/var/spool/popbsmtp"';
}

function describe(issue: v.BaseIssue<unknown>): string {
  const keys = (issue.path ?? []).flatMap(({ key }, at, path) => {
    if (typeof key === "string") return at === 0 ? key : `.${key}`;
    // numbers a section that occurs several times, but not an element of a list, which the message
    // quotes
    return typeof key === "number" && at < path.length - 1 ? ` ${key + 1}` : [];
  });
  return `${keys.join("")}: ${issue.message}`;
}

function deepFreeze<T>(value: T): Readonly<T> {
  if (typeof value === "object" && value !== null && !(value instanceof Secret)) {
    for (const member of Object.values(value)) deepFreeze(member);
    Object.freeze(value);
  }
  return value;
}
