import { join } from "node:path";
import { runOk } from "./run.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface ExecProbe extends AsyncDisposable {
  /** The program; see exec-probe.c. */
  readonly path: string;
}

/** Compiles exec-probe.c. */
export async function execProbe(): Promise<ExecProbe> {
  const directory = temporaryDirectory();
  const path = join(directory.path, "exec-probe");
  await runOk("gcc", ["-Wall", "-o", path, join(import.meta.dirname, "exec-probe.c")]);
  return { path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}
