/** Makes Debian packages with dpkg-deb: deb(5), deb-control(5). */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { MAINTAINER } from "./changelog.ts";

/** A file or link to be installed. */
export type Entry =
  | { readonly text: string | Uint8Array; readonly mode?: number }
  | { readonly target: string };

/** By their paths, without a "/" in front. */
export type Entries = ReadonlyMap<string, Entry>;

export interface Package {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** The fields of control from Section to Description. */
  readonly control: string;
  /** postinst and the like. */
  readonly scripts: ReadonlyMap<string, string>;
  readonly entries: Entries;
  /** The modes of directories other than 0755. */
  readonly directories?: ReadonlyMap<string, number>;
}

/** A level of xz(1), or none. */
export type Compression = 6 | "none";

/**
 * Writes NAME_VERSION_ARCHITECTURE.deb into `directory`, and returns its name.
 *
 * @param time of every file, in seconds since 1970
 */
export function makeDeb(
  directory: string,
  wanted: Package,
  time: number,
  compression: Compression,
): string {
  const { name, version, architecture, entries, scripts, directories = new Map() } = wanted;
  const file = `${name}_${version}_${architecture}.deb`;
  const tree = join(directory, `.${name}`);
  rmSync(tree, { recursive: true, force: true });
  writeTree(tree, entries);
  for (const [path, mode] of directories) chmodSync(join(tree, path), mode);
  const files = [...entries].filter(([, entry]) => "text" in entry);
  const conffiles = files.map(([path]) => path).filter((path) => path.startsWith("etc/"));
  const control = new Map<string, Entry>([
    ["control", { text: controlFile(wanted, installedSize(entries)) }],
    ["md5sums", { text: md5sums(entries) }],
    ...[...scripts].map(([script, text]) => [script, { text, mode: 0o755 }] as const),
  ]);
  if (conffiles.length > 0) {
    control.set("conffiles", { text: conffiles.map((path) => `/${path}\n`).join("") });
  }
  writeTree(join(tree, "DEBIAN"), control);
  // one thread: the result depends on how many there are
  const format =
    compression === "none" ? ["-Znone"] : ["-Zxz", `-z${compression}`, "--threads-max=1"];
  execFileSync(
    "dpkg-deb",
    ["--root-owner-group", ...format, "--build", tree, join(directory, file)],
    {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(time) },
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  rmSync(tree, { recursive: true });
  return file;
}

/** Writes files with their modes, whatever the umask is. */
export function writeTree(top: string, entries: Entries): void {
  for (const [path, entry] of entries) {
    const file = join(top, path);
    makeDirectory(dirname(file));
    if ("target" in entry) {
      symlinkSync(entry.target, file);
    } else {
      writeFileSync(file, entry.text);
      chmodSync(file, entry.mode ?? 0o644);
    }
  }
}

function makeDirectory(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  for (let each = path; each.length >= first.length; each = dirname(each)) chmodSync(each, 0o755);
}

function controlFile({ name, version, architecture, control }: Package, size: number): string {
  const [before, description] = control.split(/^(?=Description: )/m);
  return [
    `Package: ${name}\nVersion: ${version}\nArchitecture: ${architecture}\nMaintainer: ${MAINTAINER}\n`,
    `Installed-Size: ${size}\n`,
    before,
    description,
  ].join("");
}

/** In KiB, a file at a time, and one for each directory. */
function installedSize(entries: Entries): number {
  const directories = new Set([...entries.keys()].flatMap(parents));
  let size = directories.size;
  for (const entry of entries.values()) {
    size += "text" in entry ? Math.ceil(Buffer.from(entry.text).length / 1024) : 1;
  }
  return size;
}

function parents(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === "." ? [] : [parent, ...parents(parent)];
}

function md5sums(entries: Entries): string {
  return [...entries]
    .flatMap(([path, entry]) =>
      "text" in entry && !path.startsWith("etc/")
        ? [`${createHash("md5").update(entry.text).digest("hex")}  ${path}\n`]
        : [],
    )
    .join("");
}
