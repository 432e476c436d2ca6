import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Enter } from "./rpc-machine.ts";
import { runOk } from "./run.ts";

/** A clock for one program. */
export interface Clock {
  /** The words that start a program with this clock. */
  readonly enter: Enter;
  /** The same as variables for its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Sets the clock ahead of this host's, or behind it, by this many milliseconds. */
  set(ms: number): void;
}

/**
 * Compiles clock.c in a directory, which must be readable for the program and the programs that it
 * executes.
 */
export async function makeClock(directory: string): Promise<Clock> {
  const [library, file] = [join(directory, "clock.so"), join(directory, "clock")];
  const source = join(import.meta.dirname, "clock.c");
  await runOk("gcc", ["-Wall", "-shared", "-fPIC", "-o", library, source]);
  const set = (ms: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(ms));
    // in place, because the program has the file mapped
    const descriptor = openSync(file, constants.O_CREAT | constants.O_WRONLY, 0o644);
    writeSync(descriptor, bytes);
    closeSync(descriptor);
  };
  set(0);
  const env = { LD_PRELOAD: library, CLOCK_FILE: file };
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return { enter: ["env", ...words], env, set };
}
