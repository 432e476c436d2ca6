/**
 * Runs first in the built program. scripts/build.ts embeds the program proper here as a string, and
 * the database drivers as strings in that. So each is compiled when it is needed, and from V8's
 * code cache if there is one.
 *
 * Only a drain that a login starts has a cache, in its spool: a user waits for it, and compiling
 * takes half of its start. The cache is code, so it is accepted only from a file that only this
 * user can have written, and only for this version of the program.
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

// without a listener, SIGUSR1 makes Node open its debugger on 127.0.0.1:9229 to all users of this
// host. Node's option --disable-sigusr1 prevents that too, but an older Node would reject it before
// it could report that it is too old.
process.on("SIGUSR1", () => undefined);

/** The program and its SHA-256, from the build. */
declare const PROGRAM: { readonly text: string; readonly sha256: string };

type Packed = (
  module: NodeJS.Module,
  exports: unknown,
  require: NodeJS.Require,
  unpack: typeof load,
) => void;

const spool = process.argv[process.argv.indexOf("--linger") + 1];
const isLingering = process.argv.includes("--linger") && spool !== undefined;

/** Compiles a packed script. The program calls it with the name and the text of a driver. */
function load(name: string, text: string): Packed {
  const cachedData = isLingering ? readCache(cacheFile(name)) : undefined;
  const script = new Script(`(function (module, exports, require, unpack) {${text}\n})`, {
    filename: `popbsmtp:${name}`,
    ...(cachedData !== undefined && { cachedData }),
  });
  if (isLingering && script.cachedDataRejected !== false) {
    // at exit, all code that is used has been compiled
    process.once("exit", () => writeCache(cacheFile(name), script.createCachedData()));
  }
  return script.runInThisContext();
}

/** Parts of Node that take milliseconds to load, and that most commands and drains do without. */
const LATER = new Set(
  ["child_process", "crypto", "dgram", "dns/promises", "net", "tls", "zlib"].map(
    (name) => `node:${name}`,
  ),
);

/** What `require` returns; where that takes long, something that loads it when it is first used. */
const requireLater: NodeJS.Require = Object.assign(
  (name: string): unknown =>
    LATER.has(name)
      ? new Proxy({}, { get: (_target, key) => Reflect.get(require(name), key) })
      : require(name),
  require,
);

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
    // there is no cache yet
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
  // the daemon keeps running: small code instead of fast code saves a fifth of its memory, and
  // costs nothing measurable
  for (const flag of ["--optimize-for-size", "--no-maglev"]) setFlagsFromString(flag);
}
load("program", PROGRAM.text)(module, module.exports, requireLater, load);
