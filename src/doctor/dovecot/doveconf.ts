/** What doveconf(1) prints, taken apart. */

/** `name { ... }`; the whole output is one without a name. */
export interface Section {
  /** "service imap-postlogin" */
  readonly name: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly sections: readonly Section[];
}

/** doveconf writes one thing a line: `key = value`, `name {` or `}`. */
export function parseDoveconf(text: string): Section {
  return section("", text.split("\n").values());
}

function section(name: string, lines: Iterator<string>): Section {
  const settings = new Map<string, string>();
  const sections: Section[] = [];
  for (let line = lines.next(); line.done !== true; line = lines.next()) {
    const text = line.value.trim();
    if (text === "}") break;
    const [, key, value] = /^([^\s#={}]+)\s*=\s*(.*)$/.exec(text) ?? [];
    if (key !== undefined && value !== undefined) settings.set(key, unquoted(value));
    else if (text.endsWith("{") && !text.startsWith("#")) {
      sections.push(section(text.slice(0, -1).trim(), lines));
    }
  }
  return { name, settings, sections };
}

/** doveconf quotes what begins or ends with a blank: Debian's `protocols = $protocols imap` becomes `" imap"`. */
function unquoted(value: string): string {
  return /^"(.*)"$/.exec(value)?.[1]?.trim() ?? value;
}

/** The service that listens on a Unix socket, named as in `executable = imap SOCKET`: relative to base_dir, or absolute. */
export function listenerOf(root: Section, socket: string): Section | undefined {
  const base = `${root.settings.get("base_dir") ?? ""}/`;
  const bare = (path: string) => (path.startsWith(base) ? path.slice(base.length) : path);
  return root.sections.find(
    ({ name, sections }) =>
      name.startsWith("service ") &&
      sections.some((each) => {
        const [kind, path] = each.name.split(/\s+/);
        return kind === "unix_listener" && path !== undefined && bare(path) === bare(socket);
      }),
  );
}

/** A setting, where it stands for another one (`$default_internal_user`) that one's; "" where it is not set. */
export function settingOf(root: Section, { settings }: Section, name: string): string {
  const value = settings.get(name) ?? "";
  return value.startsWith("$") ? (root.settings.get(value.slice(1)) ?? "") : value;
}

/** What Node needs to start, with something to spare. The bash half asks for as much. Bytes. */
export const NODE_BYTES = 1_500_000 * 1024;

/** For a service that starts Node: Dovecot 2.3 refuses "unlimited", and 2.4 "0". */
export const NO_LIMIT = "vsz_limit = 1T";

/** A service's address-space limit in bytes; undefined: none. Services that have none of their own have default_vsz_limit. */
export function addressSpace(root: Section, service: Section): number | undefined {
  const own = parseSize(service.settings.get("vsz_limit"));
  const limit = own === "default" ? parseSize(root.settings.get("default_vsz_limit")) : own;
  return typeof limit === "number" && limit > 0 ? limit : undefined;
}

/** "256 M" in bytes. The greatest number there is stands for "as by default" (2.3); so does no number. */
function parseSize(text = ""): number | "default" {
  const [, number, unit] = /^(\d+)\s*([BkMGT]?)/i.exec(text) ?? [];
  if (number === undefined || unit === undefined) return text === "unlimited" ? 0 : "default";
  const bytes = Number(number) * 1024 ** "BKMGT".indexOf(unit.toUpperCase() || "B");
  return bytes >= Number.MAX_SAFE_INTEGER ? "default" : bytes;
}
