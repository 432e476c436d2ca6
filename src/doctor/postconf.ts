/** What postconf(1) says Postfix is configured to do. */
import { ask } from "./ask.ts";
import { parseMapFile } from "./map-file.ts";
import { parseRestrictions, withClasses, type Restriction } from "./restrictions.ts";

/** The list that decides about relaying, since Postfix 2.10. */
export const RELAY = "smtpd_relay_restrictions";
export const RECIPIENT = "smtpd_recipient_restrictions";

/** Lists that can turn a client away, but do not decide about relaying. */
export const OTHERS = [
  "smtpd_client_restrictions",
  "smtpd_helo_restrictions",
  "smtpd_sender_restrictions",
];

const ACTION = "smtpd_policy_service_default_action";
const TIMEOUT = "smtpd_policy_service_timeout";
const CLASSES = "smtpd_restriction_classes";

export interface Postfix {
  /** The arguments that tell Postfix's programs which configuration. */
  readonly which: readonly string[];
  /** A list of restrictions, without classes and variables. */
  readonly list: (name: string) => readonly Restriction[];
  /** What main.cf says of all policy services, in the words of one's braces: default_action, and timeout unless that is 100 s. */
  readonly policySettings: ReadonlyMap<string, string>;
  /** proxy_read_maps: the maps that proxymap(8) may be asked for. */
  readonly proxyReadMaps: readonly string[];
  readonly version: string;
  /** queue_directory: what paths are relative to, and the root of a chrooted smtpd. */
  readonly queue: string;
  /** Whether an smtpd is chrooted, as on Debian. */
  readonly chrooted: boolean;
  /** mail_owner: whom Postfix runs as. */
  readonly owner: string;
}

/** Asks postconf. undefined where Postfix is not installed; the complaint where postconf has one. */
export async function readPostfix(which: readonly string[]): Promise<Postfix | string | undefined> {
  const others = [
    "proxy_read_maps",
    "mail_owner",
    "mail_version",
    "queue_directory",
    ACTION,
    TIMEOUT,
  ];
  const names = [RELAY, RECIPIENT, ...OTHERS, CLASSES, ...others];
  const answer = await ask("postconf", [...which, "-x", ...names]);
  if (answer?.ok !== true) return answer?.complaint;
  // printed as in main.cf
  const settings = parseMapFile(answer.stdout);
  const classes = await readClasses(words(settings.get(CLASSES)), which);
  const lists = new Map(
    Array.from(settings, ([name, value]) => [name, withClasses(parseRestrictions(value), classes)]),
  );
  return {
    which,
    list: (name) => lists.get(name) ?? [],
    policySettings: policySettings(settings.get(ACTION), settings.get(TIMEOUT)),
    proxyReadMaps: words(settings.get("proxy_read_maps")),
    version: settings.get("mail_version") ?? "",
    queue: settings.get("queue_directory") ?? "/var/spool/postfix",
    chrooted: isChrooted((await ask("postconf", [...which, "-M"]))?.stdout ?? ""),
    owner: settings.get("mail_owner") ?? "postfix",
  };
}

function policySettings(action = "", timeout = "100s"): ReadonlyMap<string, string> {
  const settings = new Map([["default_action", action]]);
  if (timeout !== "100s") settings.set("timeout", timeout);
  return settings;
}

/** @param master master.cf: service, type, private, unprivileged, chroot, wakeup, limit, command (master(5)) */
export function isChrooted(master: string): boolean {
  const entries = master.split("\n").map((line) => line.split(/\s+/));
  return entries.some(([, , , , chroot, , , command]) => command === "smtpd" && chroot === "y");
}

async function readClasses(
  names: readonly string[],
  which: readonly string[],
): Promise<ReadonlyMap<string, readonly Restriction[]>> {
  if (names.length === 0) return new Map();
  const answer = await ask("postconf", [...which, "-x", ...names]);
  const values = parseMapFile(answer?.stdout ?? "");
  return new Map(Array.from(values, ([name, value]) => [name, parseRestrictions(value)]));
}

function words(list = ""): readonly string[] {
  return list.split(/[\s,]+/).filter((word) => word !== "");
}
