/** What postconf(1) says Postfix is configured to do, in main.cf and, service by service, in master.cf. */
import { runProgram } from "../../system/run-program.ts";
import { parseMapFile } from "./map-file.ts";
import { parseRestrictions, withClasses, type Restriction } from "./restrictions.ts";

/** The list that decides about relaying, since Postfix 2.10. */
export const RELAY = "smtpd_relay_restrictions";
export const RECIPIENT = "smtpd_recipient_restrictions";

export const SENDER = "smtpd_sender_restrictions";

/** Lists that can turn a client away, but do not decide about relaying. */
export const OTHERS = ["smtpd_client_restrictions", "smtpd_helo_restrictions", SENDER];

const LISTS = [RELAY, RECIPIENT, ...OTHERS];
const ACTION = "smtpd_policy_service_default_action";
const TIMEOUT = "smtpd_policy_service_timeout";
const CLASSES = "smtpd_restriction_classes";
const AUTH = "smtpd_sasl_auth_enable";
const OWNERS = "smtpd_sender_login_maps";

/** What smtpd does at one or several ports: services of master.cf that have the same settings. */
export interface Smtpd {
  /** "smtp/inet", "127.0.0.1:10025/inet": as postconf -P calls them. */
  readonly services: readonly string[];
  /** Lists that master.cf has (`-o`) instead of main.cf. */
  readonly overridden: ReadonlySet<string>;
  /** As on Debian. */
  readonly chrooted: boolean;
  /** A list of restrictions, without classes and variables. */
  readonly list: (name: string) => readonly Restriction[];
  /** What holds for all policy services, in the words of one's braces: default_action, and timeout unless that is 100 s. */
  readonly policySettings: ReadonlyMap<string, string>;
  /** Whether clients may use SMTP AUTH. */
  readonly auth: boolean;
  /** Whether sender addresses belong to logins (smtpd_sender_login_maps). */
  readonly ownedSenders: boolean;
}

export interface Postfix {
  /** The arguments that tell Postfix's programs which configuration. */
  readonly which: readonly string[];
  readonly smtpds: readonly Smtpd[];
  /** What main.cf says, for a service that overrides nothing. */
  readonly main: Smtpd;
  /** proxy_read_maps: the maps that proxymap(8) may be asked for. */
  readonly proxyReadMaps: readonly string[];
  readonly version: string;
  /** config_directory: where main.cf and master.cf are. */
  readonly directory: string;
  /** queue_directory: what paths are relative to, and the root of a chrooted smtpd. */
  readonly queue: string;
  /** mail_owner: whom Postfix runs as. */
  readonly owner: string;
}

/** A line of master.cf that starts smtpd. */
export interface Entry {
  readonly service: string;
  readonly chrooted: boolean;
}

/** Asks postconf. undefined where Postfix is not installed; the complaint where postconf has one. */
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

/** @param master what postconf -M prints: service, type, private, unprivileged, chroot, wakeup, limit, command (master(5)) */
export function parseMaster(master: string): readonly Entry[] {
  return master.split("\n").flatMap((line) => {
    const [name = "", type = "", , , chroot, , , command] = line.split(/\s+/);
    return command === "smtpd" ? [{ service: `${name}/${type}`, chrooted: chroot === "y" }] : [];
  });
}

type Overrides = ReadonlyMap<string, string>;

/** @param text what postconf -P prints: `submission/inet/smtpd_relay_restrictions = reject` */
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

/** postconf itself puts a service's settings in the place of main.cf's, in other settings' variables too. */
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
  // printed as in main.cf
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

/** Services with the same settings as one. */
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
