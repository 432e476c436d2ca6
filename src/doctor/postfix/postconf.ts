/** Postfix's configuration, as postconf(1) prints it: main.cf, and master.cf service by service. */
import { runProgram } from "../../system/run-program.ts";
import { parseMapFile } from "./map-file.ts";
import { parseRestrictions, withClasses, type Restriction } from "./restrictions.ts";

/** The list that decides about relaying since Postfix 2.10. */
export const RELAY = "smtpd_relay_restrictions";
export const RECIPIENT = "smtpd_recipient_restrictions";

export const SENDER = "smtpd_sender_restrictions";

/** Lists that can reject a client, but do not decide about relaying. */
export const OTHERS = ["smtpd_client_restrictions", "smtpd_helo_restrictions", SENDER];

const LISTS = [RELAY, RECIPIENT, ...OTHERS];
const ACTION = "smtpd_policy_service_default_action";
const TIMEOUT = "smtpd_policy_service_timeout";
const CLASSES = "smtpd_restriction_classes";
const AUTH = "smtpd_sasl_auth_enable";
const OWNERS = "smtpd_sender_login_maps";

/** smtpd at one or several ports: the services of master.cf that have the same settings. */
export interface Smtpd {
  /** "smtp/inet", "127.0.0.1:10025/inet", as postconf -P prints them. */
  readonly services: readonly string[];
  /** Lists that master.cf overrides with `-o`. */
  readonly overridden: ReadonlySet<string>;
  /** True by default on Debian. */
  readonly chrooted: boolean;
  /** A list of restrictions, with classes and variables expanded. */
  readonly list: (name: string) => readonly Restriction[];
  /**
   * The defaults of all policy services, spelled as in braces: default_action, and timeout unless
   * it is 100 s.
   */
  readonly policySettings: ReadonlyMap<string, string>;
  /** Whether clients may use SMTP AUTH. */
  readonly auth: boolean;
  /** Whether sender addresses belong to login names (smtpd_sender_login_maps). */
  readonly ownedSenders: boolean;
}

export interface Postfix {
  /** The arguments that select the configuration for Postfix's programs. */
  readonly which: readonly string[];
  readonly smtpds: readonly Smtpd[];
  /** The settings of main.cf, for a service that overrides nothing. */
  readonly main: Smtpd;
  /** proxy_read_maps: the maps that proxymap(8) may open. */
  readonly proxyReadMaps: readonly string[];
  readonly version: string;
  /** config_directory: the directory of main.cf and master.cf. */
  readonly directory: string;
  /** queue_directory: the base of relative paths, and the root of a chrooted smtpd. */
  readonly queue: string;
  /** mail_owner: Postfix's user. */
  readonly owner: string;
}

/** A line of master.cf that starts smtpd. */
export interface SmtpdEntry {
  readonly service: string;
  readonly chrooted: boolean;
}

/** Runs postconf. undefined if Postfix is not installed; postconf's error message if it fails. */
export async function readPostfix(which: readonly string[]): Promise<Postfix | string | undefined> {
  const names = [
    "config_directory",
    "proxy_read_maps",
    "mail_owner",
    "mail_version",
    "queue_directory",
  ];
  const result = await runProgram("postconf", [...which, "-x", ...names]);
  if (result?.ok !== true) return result?.complaint;
  const settings = parseMapFile(result.stdout);
  const master = await runProgram("postconf", [...which, "-M"]);
  if (master?.ok !== true) return master?.complaint;
  const overrides = parseOverrides((await runProgram("postconf", [...which, "-P"]))?.stdout ?? "");
  const smtpds: Smtpd[] = [];
  for (const { service, chrooted } of parseMaster(master.stdout)) {
    smtpds.push(await readSmtpd(which, service, chrooted, overrides.get(service) ?? new Map()));
  }
  return {
    which,
    smtpds: merged(smtpds),
    main: await readSmtpd(which, "", false, new Map()),
    proxyReadMaps: words(settings.get("proxy_read_maps")),
    version: settings.get("mail_version") ?? "",
    directory: settings.get("config_directory") ?? "/etc/postfix",
    queue: settings.get("queue_directory") ?? "/var/spool/postfix",
    owner: settings.get("mail_owner") ?? "postfix",
  };
}

/**
 * @param master the output of postconf -M: service, type, private, unprivileged, chroot, wakeup,
 * limit, command (master(5))
 */
export function parseMaster(master: string): readonly SmtpdEntry[] {
  return master.split("\n").flatMap((line) => {
    const [name = "", type = "", , , chroot, , , command] = line.split(/\s+/);
    return command === "smtpd" ? [{ service: `${name}/${type}`, chrooted: chroot === "y" }] : [];
  });
}

type Overrides = ReadonlyMap<string, string>;

/** @param text the output of postconf -P: `submission/inet/smtpd_relay_restrictions = reject` */
export function parseOverrides(text: string): ReadonlyMap<string, Overrides> {
  const services = new Map<string, Map<string, string>>();
  for (const [path, value] of parseMapFile(text)) {
    const [, service, name] = /^(.+\/[^/]+)\/([^/]+)$/.exec(path) ?? [];
    if (service === undefined || name === undefined) continue;
    const own = services.get(service) ?? new Map<string, string>();
    services.set(service, own.set(name, value));
  }
  return services;
}

/**
 * postconf itself replaces main.cf's settings by those of a service, also where other settings
 * refer to them.
 */
async function readSmtpd(
  which: readonly string[],
  service: string,
  chrooted: boolean,
  overrides: Overrides,
): Promise<Smtpd> {
  const options = [...overrides].flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const read = async (names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    const result = await runProgram("postconf", [...which, ...options, "-x", ...names]);
    return parseMapFile(result?.stdout ?? "");
  };
  // in the order of main.cf
  const settings = await read([...LISTS, CLASSES, ACTION, TIMEOUT, AUTH, OWNERS]);
  const names = words(settings.get(CLASSES));
  const classes = new Map(
    Array.from(names.length > 0 ? await read(names) : [], ([name, value]) => [
      name,
      parseRestrictions(value),
    ]),
  );
  const lists = new Map(
    LISTS.map((name) => [name, withClasses(parseRestrictions(settings.get(name) ?? ""), classes)]),
  );
  return {
    services: [service],
    overridden: new Set(LISTS.filter((name) => overrides.has(name))),
    chrooted,
    list: (name) => lists.get(name) ?? [],
    policySettings: usualPolicy(settings.get(ACTION), settings.get(TIMEOUT)),
    auth: settings.get(AUTH) === "yes",
    ownedSenders: (settings.get(OWNERS) ?? "") !== "",
  };
}

/** Combines services that have the same settings. */
function merged(smtpds: readonly Smtpd[]): readonly Smtpd[] {
  const groups = Map.groupBy(smtpds, (smtpd) => {
    const { overridden, chrooted, list, policySettings, auth, ownedSenders } = smtpd;
    const settings = [LISTS.map(list), [...policySettings], [...overridden]];
    return JSON.stringify([...settings, chrooted, auth, ownedSenders]);
  });
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined
      ? []
      : [{ ...first, services: group.flatMap((one) => one.services) }];
  });
}

function usualPolicy(action = "", timeout = "100s"): ReadonlyMap<string, string> {
  const settings = new Map([["default_action", action]]);
  if (timeout !== "100s") settings.set("timeout", timeout);
  return settings;
}

function words(list = ""): readonly string[] {
  return list.split(/[\s,]+/).filter((word) => word !== "");
}
