/**
 * Makes the packages, from a checkout in which bin/popbsmtp has been built:
 *
 *     node scripts/package.ts [--output DIRECTORY] [--version VERSION] [--fast]
 *
 * The same checkout gives the same bytes. SOURCE_DATE_EPOCH is the time of every file, in seconds
 * since 1970; by default, that of the last commit. --fast does not compress the packages.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json" with { type: "json" };
import { node, portable, program } from "./package/contents.ts";
import { makeDeb } from "./package/deb.ts";
import { makeTarball } from "./package/tarball.ts";

process.chdir(join(import.meta.dirname, ".."));
const { values } = parseArgs({
  options: {
    output: { type: "string", default: "dist" },
    version: { type: "string", default: manifest.version },
    fast: { type: "boolean", default: false },
  },
});
const { output, version, fast } = values;
const time = Number(
  process.env["SOURCE_DATE_EPOCH"] ??
    execFileSync("git", ["log", "-1", "--format=%ct"], { encoding: "utf8" }),
);
if (!Number.isSafeInteger(time)) throw new Error("SOURCE_DATE_EPOCH: expected seconds since 1970");

mkdirSync(output, { recursive: true });
const debs = [await program(version, time), node(time)].map((each) =>
  makeDeb(output, each, time, fast ? "none" : 6),
);
const tarball = makeTarball(output, `popbsmtp-${version}`, await portable(), time);
for (const file of [...debs, tarball]) console.log(join(output, file));
