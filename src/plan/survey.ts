/** What is on this host, as far as setup has to know. */
import { existsSync, readFileSync } from "node:fs";
import { DEFAULT_CONFIG_PATH, type Config } from "../config/config.ts";
import { loadConfig } from "../config/reading/load.ts";
import { lastLoginSocket, readDovecot } from "../dovecot/read-dovecot.ts";
import { PROTOCOLS, type DovecotRelease } from "../dovecot/release.ts";
import { decidingList } from "../doctor/postfix/postfix-lists.ts";
import { readPostfix, type Smtpd } from "../doctor/postfix/postconf.ts";
import { ConfigError } from "../lib/errors.ts";
import { runProgram } from "../system/run-program.ts";
import type { StoreChoice } from "./setup-answers.ts";

export interface Survey {
  /** The configuration that is there and says something; undefined if setup writes one. */
  readonly config: Config | undefined;
  /** The text of popbsmtp.toml; undefined if there is no such file. */
  readonly configText: string | undefined;
  readonly dovecot: DovecotSurvey;
  readonly postfix: PostfixSurvey;
  /** The databases that can be used here. */
  readonly stores: readonly StoreChoice[];
  /** Whether systemd runs this host. */
  readonly systemd: boolean;
  /** Whether a package has brought popbsmtp's units. */
  readonly hasUnits: boolean;
}

export interface DovecotSurvey {
  readonly version: string;
  readonly release: DovecotRelease;
  /** The file for popbsmtp's lines, and what is in it; undefined if it is not there. */
  readonly path: string;
  readonly before: string | undefined;
}

export interface PostfixSurvey {
  readonly version: string;
  /** config_directory. */
  readonly directory: string;
  /** queue_directory: what a chrooted smtpd sees. */
  readonly queue: string;
  /** The settings of main.cf, and those of the services of master.cf that have other ones. */
  readonly main: SmtpdSurvey;
  readonly services: ReadonlyMap<string, SmtpdSurvey>;
}

export interface SmtpdSurvey {
  /** The list of restrictions that decides about relaying, and its value as it is written. */
  readonly list: string;
  readonly value: string;
  /** Whether main.cf sets it, or master.cf for a service; otherwise it is Postfix's default. */
  readonly isSet: boolean;
}

/**
 * Only root learns all of it.
 *
 * @throws ConfigError with what stands in the way, and what to do about it
 */
export async function survey(): Promise<Survey> {
  const configText = existsSync(DEFAULT_CONFIG_PATH)
    ? readFileSync(DEFAULT_CONFIG_PATH, "utf8")
    : undefined;
  const hasSettings = /^[^#\s[]/m.test(configText ?? "");
  return {
    config: hasSettings ? await loadConfig(undefined) : undefined,
    configText,
    dovecot: await surveyDovecot(),
    postfix: await surveyPostfix(),
    stores: await surveyStores(),
    systemd: existsSync("/run/systemd/system"),
    hasUnits: ["/usr/lib", "/lib"].some((lib) =>
      existsSync(`${lib}/systemd/system/popbsmtp.service`),
    ),
  };
}

async function surveyDovecot(): Promise<DovecotSurvey> {
  const found = await readDovecot(undefined);
  if (found === undefined) {
    throw new ConfigError([
      "setup: Dovecot 2 is not installed here: install dovecot-imapd or dovecot-pop3d first; for other servers see docs/other-mail-servers.md",
    ]);
  }
  if (typeof found === "string") {
    throw new ConfigError([`setup: doveconf cannot read Dovecot's configuration: ${found}`]);
  }
  const { version, release } = found;
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(parseFloat);
  if (major < 2 || (major === 2 && minor < 2) || (major === 2 && minor === 2 && patch < 27)) {
    throw new ConfigError([
      `setup: Dovecot ${version} has no last_login plugin that setup could use (2.2.27 and later have): see docs/dovecot.md`,
    ]);
  }
  if ((await runProgram("doveadm", ["service", "status"]))?.ok === false) {
    throw new ConfigError(["setup: Dovecot is not running: start it first"]);
  }
  const path = "/etc/dovecot/conf.d/99-popbsmtp.conf";
  const before = existsSync(path) ? readFileSync(path, "utf8") : undefined;
  const isUsed = PROTOCOLS.some((protocol) => lastLoginSocket(found, protocol) !== undefined);
  if (before === undefined && isUsed) {
    throw new ConfigError([
      `setup: Dovecot already uses the last_login plugin, and not by ${path}: if that is popbsmtp's configuration, move it there; otherwise use post-login, see docs/dovecot.md`,
    ]);
  }
  return { version, release, path, before };
}

async function surveyPostfix(): Promise<PostfixSurvey> {
  const postfix = await readPostfix([]);
  if (postfix === undefined) {
    throw new ConfigError([
      "setup: Postfix is not installed here: install it first; for other servers see docs/other-mail-servers.md",
    ]);
  }
  if (typeof postfix === "string") {
    throw new ConfigError([`setup: postconf cannot read its configuration: ${postfix}`]);
  }
  const services = new Map<string, SmtpdSurvey>();
  for (const smtpd of postfix.smtpds) {
    for (const service of smtpd.services) services.set(service, await surveySmtpd(smtpd, service));
  }
  const { version, directory, queue } = postfix;
  return { version, directory, queue, main: await surveySmtpd(postfix.main), services };
}

async function surveySmtpd(smtpd: Smtpd, service?: string): Promise<SmtpdSurvey> {
  const list = decidingList(smtpd);
  const ask = async (...args: readonly string[]) =>
    (await runProgram("postconf", args))?.stdout.trim() ?? "";
  if (service !== undefined && smtpd.overridden.has(list)) {
    return { list, value: await ask("-hP", `${service}/${list}`), isSet: true };
  }
  const isSet = service === undefined && (await ask("-n", list)) !== "";
  // the default is an expression of other parameters
  return { list, value: await ask(isSet ? "-h" : "-hx", list), isSet };
}

async function surveyStores(): Promise<readonly StoreChoice[]> {
  const found: StoreChoice[] = ["sqlite"];
  const pgsql = await runProgram("runuser", ["-u", "postgres", "--", "psql", "-qAtc", "SELECT 1"]);
  if (pgsql?.ok === true) found.push("pgsql");
  if ((await mysqlClient()) !== undefined) found.push("mysql");
  return found;
}

/** The client with which root administers MariaDB or MySQL here; undefined if there is none. */
export async function mysqlClient(): Promise<"mariadb" | "mysql" | undefined> {
  for (const client of ["mariadb", "mysql"] as const) {
    if ((await runProgram(client, ["-e", "SELECT 1"]))?.ok === true) return client;
  }
  return undefined;
}
