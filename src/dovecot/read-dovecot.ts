/** Reads the configuration of the installed Dovecot 2, whichever its release. */
import { runProgram } from "../system/run-program.ts";
import { listOf, parseDoveconf, settingsFor, type Section } from "./doveconf.ts";
import { PLUGIN, releaseOf, type DovecotRelease } from "./release.ts";

/** An installed Dovecot 2. */
export interface InstalledDovecot {
  /** "2.3.19.1" */
  readonly version: string;
  readonly release: DovecotRelease;
  /** The file that was read; undefined: the default one. */
  readonly configFile: string | undefined;
  /**
   * The configuration. Contains base_dir, default_vsz_limit and the default users in any case;
   * other settings may be missing if they have their defaults.
   */
  readonly root: Section;
}

/** Since 2.4, doveconf prints settings that have their defaults only if asked by name. */
const DEFAULTS = [
  "base_dir",
  "default_vsz_limit",
  "default_internal_user",
  "default_internal_group",
  "default_login_user",
];

/** undefined: no Dovecot 2 is installed. A string: why its configuration cannot be read. */
export async function readDovecot(
  configFile: string | undefined,
): Promise<InstalledDovecot | string | undefined> {
  const all = await doveconf(configFile);
  if (all === undefined) return undefined;
  if (!all.ok) return all.complaint;
  const [, version = "2"] = /^# (\d\S*)/.exec(all.stdout) ?? [];
  const release = releaseOf(version);
  const root = parseDoveconf(all.stdout);
  if (release !== "2.4") return { version, release, configFile, root };
  const named = await doveconf(configFile, ...DEFAULTS);
  if (named?.ok !== true) return named?.complaint ?? "";
  const settings = new Map([...parseDoveconf(named.stdout).settings, ...root.settings]);
  return { version, release, configFile, root: { ...root, settings } };
}

/** The release of the installed Dovecot; without one, 2.3, the most likely. */
export async function installedRelease(): Promise<DovecotRelease> {
  return releaseOf((await runProgram("dovecot", ["--version"]))?.stdout ?? "");
}

/** The protocols that Dovecot serves. */
export function protocolsOf({ root }: InstalledDovecot): readonly string[] {
  return listOf([root], "protocols");
}

/** The plugins of the processes that serve a protocol. */
export function pluginsOf({ root }: InstalledDovecot, protocol: string): readonly string[] {
  return listOf(settingsFor(root, protocol), "mail_plugins");
}

/**
 * The socket to which the last_login plugin reports, as Dovecot names it: relative to base_dir, or
 * absolute; undefined if it reports to none. Whether it is enabled is another question.
 */
export function lastLoginSocket(
  { root, release }: InstalledDovecot,
  protocol: string,
): string | undefined {
  if (release !== "2.4") {
    const settings = root.sections.find(({ name }) => name === "plugin")?.settings;
    return /^proxy:([^:]+):/.exec(settings?.get("last_login_dict") ?? "")?.[1];
  }
  const dicts = settingsFor(root, protocol)
    .flatMap(({ sections }) => sections.filter(({ name }) => name === PLUGIN))
    .flatMap(({ sections }) => sections);
  // the last one is that of the protocol
  for (const { name, settings } of dicts.toReversed()) {
    const [kind, driver] = name.split(" ");
    if (kind !== "dict" || (settings.get("driver") ?? driver) !== "proxy") continue;
    // under a name of its own, a dict has the settings of every driver
    const socket = settings.get("socket_path") ?? settings.get("proxy_socket_path");
    if (socket !== undefined) return socket;
  }
  return undefined;
}

/**
 * The effective last_login_key; "" if it is not set; undefined if doveconf fails. doveconf hides
 * every setting whose name contains "key", unless it is asked to print passwords as well.
 */
export async function readLastLoginKey(
  { release, configFile }: InstalledDovecot,
  protocol: string,
): Promise<string | undefined> {
  if (release !== "2.4") {
    const result = await doveconf(configFile, "-h", "-P", "plugin/last_login_key");
    return result?.ok === true ? result.stdout.trim() : undefined;
  }
  // asked by name, it would print the default
  const result = await doveconf(configFile, "-P");
  if (result?.ok !== true) return undefined;
  const places = settingsFor(parseDoveconf(result.stdout), protocol);
  const keys = places.flatMap(({ settings, sections }) => [
    settings.get("last_login_key"),
    ...sections.filter(({ name }) => name === PLUGIN).map((each) => each.settings.get("key")),
  ]);
  return keys.findLast((key) => key !== undefined) ?? "";
}

function doveconf(configFile: string | undefined, ...args: readonly string[]) {
  const which = configFile === undefined ? [] : ["-c", configFile];
  return runProgram("doveconf", [...which, ...args]);
}
