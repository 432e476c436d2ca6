/**
 * Makes bin/popbsmtp: bin/launcher.bash in front, the bundled JavaScript behind.
 *
 * bash parses whatever stands in front of what it needs, so comments and indentation stay in the source.
 */
import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

/** The least Node the bundle runs on; package.json's engines says the same. */
const NODE = { major: 24, minor: 15 };

// syntax that a much older Node understands, too, so that it can say which one is needed
const VERSION_CHECK = `
var version = process.versions.node.split(".");
if (+version[0] < ${NODE.major} || (+version[0] === ${NODE.major} && +version[1] < ${NODE.minor})) {
  console.error("popbsmtp: needs Node ${NODE.major}.${NODE.minor} or later: " + process.execPath + " is " + process.versions.node);
  process.exit(78);
}
`;

const launcher = readFileSync("bin/launcher.bash", "utf8")
  .split("\n")
  .filter((line, index) => index === 0 || !/^\s*#/.test(line))
  .map((line) => line.trimStart())
  .join("\n");
if (launcher.replace(/^':' \/\*$/m, "").replace(/^\*\/$/m, "").includes("*/")) {
  throw new Error("bin/launcher.bash: an asterisk and a slash side by side end the comment that it is to Node");
}

const { outputFiles } = await build({
  entryPoints: ["src/main.ts"],
  bundle: true,
  write: false,
  platform: "node",
  format: "cjs",
  target: "node18",
  minify: true,
  keepNames: true,
  legalComments: "none",
  // optional parts of pg
  external: ["pg-native", "cloudflare:sockets"],
  logLevel: "warning",
});
const [bundle] = outputFiles;
if (bundle === undefined) throw new Error("esbuild made nothing");

// whoever runs the program meanwhile has the old one or the new one
writeFileSync("bin/popbsmtp.new", launcher + VERSION_CHECK + bundle.text);
chmodSync("bin/popbsmtp.new", 0o755);
renameSync("bin/popbsmtp.new", "bin/popbsmtp");
