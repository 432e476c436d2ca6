/** What the packages contain. */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { bashCompletion } from "./bash-completion.ts";
import { debianChangelog, entry } from "./changelog.ts";
import { commandTree } from "./command-tree.ts";
import type { Entries, Entry, Package } from "./deb.ts";
import { fishCompletion } from "./fish-completion.ts";
import { units } from "./units.ts";
import { zshCompletion } from "./zsh-completion.ts";

const NODE = "node_modules/node/bin/node";
const NODE_LICENCE = "node_modules/node/node_modules/node-linux-*/LICENSE";

/** Debian's names for Node's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** The package popbsmtp. */
export async function program(version: string, time: number): Promise<Package> {
  const doc = "usr/share/doc/popbsmtp";
  const changelog = debianChangelog(read("CHANGELOG.md"), version, time);
  return {
    name: "popbsmtp",
    version,
    architecture: "all",
    control: read("packaging/popbsmtp/control"),
    scripts: scriptsOf("popbsmtp"),
    directories: new Map([["etc/popbsmtp", 0o750]]),
    entries: new Map<string, Entry>([
      ["etc/logcheck/ignore.d.server/popbsmtp", { text: read("packaging/popbsmtp/logcheck") }],
      ["etc/popbsmtp/popbsmtp.toml", { text: read("examples/popbsmtp.toml"), mode: 0o640 }],
      ["usr/bin/popbsmtp", { target: "../lib/popbsmtp/popbsmtp" }],
      ["usr/lib/popbsmtp/popbsmtp", { text: read("bin/popbsmtp"), mode: 0o755 }],
      ...prefixed("usr/lib/systemd/system", texts(await units())),
      ["usr/lib/sysusers.d/popbsmtp.conf", { text: read("packaging/popbsmtp/sysusers.conf") }],
      ["usr/lib/tmpfiles.d/popbsmtp.conf", { text: read("packaging/popbsmtp/tmpfiles.conf") }],
      ...prefixed("usr/share", shared()),
      ...prefixed(doc, documents()),
      [`${doc}/changelog.gz`, { text: compressed(changelog) }],
      [`${doc}/copyright`, { text: read("packaging/popbsmtp/copyright") }],
      [
        "usr/share/lintian/overrides/popbsmtp",
        { text: read("packaging/popbsmtp/lintian-overrides") },
      ],
    ]),
  };
}

/** The package popbsmtp-node. Its version is that of Node. */
export function node(time: number): Package {
  const [version = "", architecture = ""] = execFileSync(
    NODE,
    ["-p", "`${process.versions.node} ${process.arch}`"],
    { encoding: "utf8" },
  )
    .trim()
    .split(" ");
  const changes = [`Node.js ${version}, as its project has published it.`];
  const doc = "usr/share/doc/popbsmtp-node";
  const [licence] = globSync(NODE_LICENCE);
  if (licence === undefined) throw new Error(`${NODE_LICENCE}: there is none`);
  return {
    name: "popbsmtp-node",
    version,
    architecture: ARCHITECTURES[architecture] ?? architecture,
    control: read("packaging/popbsmtp-node/control"),
    scripts: scriptsOf("popbsmtp-node"),
    entries: new Map<string, Entry>([
      ["usr/lib/popbsmtp/node", { text: readFileSync(NODE), mode: 0o755 }],
      [
        `${doc}/changelog.gz`,
        { text: compressed(entry("popbsmtp-node", { version, time, changes })) },
      ],
      [`${doc}/copyright`, { text: `Node.js, from https://nodejs.org.\n\n${read(licence)}` }],
      [
        "usr/share/lintian/overrides/popbsmtp-node",
        { text: read("packaging/popbsmtp-node/lintian-overrides") },
      ],
    ]),
  };
}

/** The files of the tarball, for systems other than Debian. */
export async function portable(): Promise<Entries> {
  return new Map<string, Entry>([
    ["bin/popbsmtp", { text: read("bin/popbsmtp"), mode: 0o755 }],
    ["bin/package.json", { text: read("bin/package.json") }],
    ["LICENSE", { text: read("LICENSE") }],
    ["sysusers.d/popbsmtp.conf", { text: read("packaging/popbsmtp/sysusers.conf") }],
    ["tmpfiles.d/popbsmtp.conf", { text: read("packaging/popbsmtp/tmpfiles.conf") }],
    ...prefixed("systemd", texts(await units())),
    ...prefixed("share", shared()),
    ...documents(),
    ...globSync("sql/**/*.sql")
      .toSorted()
      .map((file) => [file, { text: read(file) }] as const),
  ]);
}

/** Manual pages and completions, below /usr/share. */
function shared(): Entries {
  const tree = commandTree();
  return new Map<string, Entry>([
    ["bash-completion/completions/popbsmtp", { text: bashCompletion(tree) }],
    ["fish/vendor_completions.d/popbsmtp.fish", { text: fishCompletion(tree) }],
    ["zsh/vendor-completions/_popbsmtp", { text: zshCompletion(tree) }],
    ["man/man5/popbsmtp.toml.5.gz", { text: compressed(read("man/popbsmtp.toml.5")) }],
    ["man/man8/popbsmtp.8.gz", { text: compressed(read("man/popbsmtp.8")) }],
  ]);
}

/** In the places that their links to each other name. */
function documents(): Entries {
  const files = ["README.md", "SECURITY.md", "CHANGELOG.md", ...globSync(["docs/*", "examples/*"])];
  return new Map<string, Entry>([
    ...files.toSorted().map((file) => [file, { text: read(file) }] as const),
    ["third-party-licences.txt", { text: read("bin/third-party-licences.txt") }],
  ]);
}

function scriptsOf(name: string): ReadonlyMap<string, string> {
  return new Map(
    globSync(`packaging/${name}/{postinst,prerm,postrm}`)
      .toSorted()
      .map((file) => [basename(file), read(file)]),
  );
}

function prefixed(directory: string, entries: Entries): Entries {
  return new Map([...entries].map(([path, each]) => [`${directory}/${path}`, each]));
}

function texts(files: ReadonlyMap<string, string>): Entries {
  return new Map([...files].map(([path, text]) => [path, { text }]));
}

/** As gzip -9n does: no name and no time. */
function compressed(text: string): Uint8Array {
  return gzipSync(text, { level: 9 });
}

function read(file: string): string {
  return readFileSync(file, "utf8");
}
