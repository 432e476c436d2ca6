/** A parser for the output of doveconf(1). */

/** `name { ... }`; the whole output is a section without a name. */
export interface Section {
  /** "service imap-postlogin" */
  readonly name: string;
  readonly settings: ReadonlyMap<string, string>;
  readonly sections: readonly Section[];
}

/** doveconf prints one element a line: `key = value`, `name {` or `}`. */
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

/**
 * doveconf quotes values that begin or end with a blank: Debian's `protocols = $protocols imap`
 * becomes `" imap"`.
 */
function unquoted(value: string): string {
  return /^"(.*)"$/.exec(value)?.[1]?.trim() ?? value;
}

/**
 * The service that listens on a Unix socket, which is named as in `executable = imap SOCKET`:
 * relative to base_dir, or absolute.
 */
export function listenerOf(root: Section, socket: string): Section | undefined {
  const base = `${root.settings.get("base_dir") ?? ""}/`;
  const bare = (path: string) => (path.startsWith(base) ? path.slice(base.length) : path);
  return root.sections.find(
    ({ name, sections }) =>
      name.startsWith("service ") &&
      sections.some((each) => {
        const [kind, path] = each.name.split(/\s+/);
        if (kind !== "unix_listener" || path === undefined) return false;
        // since 2.4, the name need not be the path
        return bare(each.settings.get("path") ?? path) === bare(socket);
      }),
  );
}

/**
 * The value of a setting; if it refers to another setting (`$default_internal_user`, since 2.4
 * `$SET:default_internal_user`), the value of that. "" if unset.
 */
export function settingOf(root: Section, { settings }: Section, name: string): string {
  const value = settings.get(name) ?? "";
  const [, other] = /^\$(?:SET:)?(.*)$/.exec(value) ?? [];
  return other === undefined ? value : (root.settings.get(other) ?? "");
}

/**
 * Where the settings for a protocol may be, the more specific last: the root, since 2.4 `protocol
 * !lmtp`, and `protocol imap`.
 */
export function settingsFor(root: Section, protocol: string): readonly Section[] {
  const others = root.sections.filter(
    ({ name }) => name.startsWith("protocol !") && name !== `protocol !${protocol}`,
  );
  const own = root.sections.filter(({ name }) => name === `protocol ${protocol}`);
  return [root, ...others, ...own];
}

/**
 * A list of words: `protocols = imap pop3`, which replaces that of the places before it, and since
 * 2.4 also `protocols {`, `imap = yes`, `}`, which changes it.
 */
export function listOf(places: readonly Section[], list: string): readonly string[] {
  const found = new Set<string>();
  for (const { settings, sections } of places) {
    const words = settings.get(list);
    if (words !== undefined) {
      found.clear();
      for (const word of words.split(/\s+/)) if (word !== "") found.add(word);
    }
    for (const { settings: changes } of sections.filter(({ name }) => name === list)) {
      for (const [word, value] of changes) {
        if (value === "yes") found.add(word);
        else found.delete(word);
      }
    }
  }
  return [...found];
}

/**
 * The address space that Node needs to start, with some to spare, in bytes. The launcher requires
 * as much.
 */
export const NODE_BYTES = 1_500_000 * 1024;

/**
 * The address-space limit of a service in bytes, which defaults to default_vsz_limit; undefined:
 * none.
 */
export function addressSpace(root: Section, service: Section): number | undefined {
  const own = parseSize(service.settings.get("vsz_limit"));
  const limit = own === "default" ? parseSize(root.settings.get("default_vsz_limit")) : own;
  return typeof limit === "number" && limit > 0 ? limit : undefined;
}

/**
 * "256 M" in bytes. Dovecot 2.3 prints the largest number for "the default", and 2.4 prints no
 * number.
 */
function parseSize(text = ""): number | "default" {
  const [, number, unit] = /^(\d+)\s*([BkMGT]?)/i.exec(text) ?? [];
  if (number === undefined || unit === undefined) return text === "unlimited" ? 0 : "default";
  const bytes = Number(number) * 1024 ** "BKMGT".indexOf(unit.toUpperCase() || "B");
  return bytes >= Number.MAX_SAFE_INTEGER ? "default" : bytes;
}
