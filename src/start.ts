/**
 * What Node runs first in the built program. scripts/build.ts puts the program proper in here as a text, and the database drivers as
 * texts into that: so each is compiled when it is needed, and from V8's code cache where there is one.
 *
 * Only a drain that a login starts has a cache, in its spool: somebody waits for it, and compiling is half of its start. The cache is
 * code: it is taken from a file that nobody but this very user can have written, and that is about this very text.
 */
import {
  closeSync,
  constants as flags,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

// without a listener, SIGUSR1 makes Node open its debugger on 127.0.0.1:9229, to anybody on this host. Its option
// --disable-sigusr1 does the same, but an older Node ends at it before it can say that it is too old.
process.on("SIGUSR1", () => undefined);

/** The program's text and its SHA-256, from the build. */
declare const PROGRAM: { readonly text: string; readonly sha256: string };

type Packed = (
  module: NodeJS.Module,
  exports: unknown,
  require: NodeJS.Require,
  unpack: typeof load,
) => void;

const spool = process.argv[process.argv.indexOf("--linger") + 1];
const isLingering = process.argv.includes("--linger") && spool !== undefined;

/** Compiles a packed text. The program calls it with a driver's name and text. */
function load(name: string, text: string): Packed {
  const cachedData = isLingering ? readCache(cacheFile(name)) : undefined;
  const script = new Script(`(function (module, exports, require, unpack) {${text}\n})`, {
    filename: `popbsmtp:${name}`,
    ...(cachedData !== undefined && { cachedData }),
  });
  if (isLingering && script.cachedDataRejected !== false) {
    // at the end everything that is used has been compiled
    process.once("exit", () => writeCache(cacheFile(name), script.createCachedData()));
  }
  return script.runInThisContext();
}

function cacheFile(name: string): string {
  return join(spool ?? "", `.code-${name}`);
}

function readCache(path: string): Buffer | undefined {
  let descriptor;
  try {
    descriptor = openSync(path, flags.O_RDONLY | flags.O_NOFOLLOW | flags.O_NONBLOCK);
    const { uid, mode } = fstatSync(descriptor);
    if (uid !== process.geteuid?.() || (mode & 0o777) !== 0o600) return undefined;
    const bytes = readFileSync(descriptor);
    const sha256 = bytes.toString("latin1", 0, PROGRAM.sha256.length);
    return sha256 === PROGRAM.sha256 ? bytes.subarray(PROGRAM.sha256.length) : undefined;
  } catch {
    // there is none yet
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function writeCache(path: string, code: Buffer): void {
  const unfinished = `${path}.${process.pid}`;
  try {
    rmSync(unfinished, { force: true });
    writeFileSync(unfinished, Buffer.concat([Buffer.from(PROGRAM.sha256), code]), {
      flag: "wx",
      mode: 0o600,
    });
    renameSync(unfinished, path);
  } catch {
    // the next start is as slow as this one
  }
}

if (process.argv.includes("serve")) {
  // the daemon stays: code that is small rather than fast saves a fifth of its memory, and costs nothing that can be measured
  for (const flag of ["--optimize-for-size", "--no-maglev"]) setFlagsFromString(flag);
}
load("program", PROGRAM.text)(module, module.exports, require, load);
