import { spawnSync } from "node:child_process";
import type { Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";
import { runOk } from "./run.ts";
import { waitUntil } from "./wait-until.ts";

/** A file system of 64 KiB in memory, until it is disposed of. */
export interface Tmpfs extends AsyncDisposable {
  /** Makes it read-only or writable. */
  remount(mode: "ro" | "rw"): Promise<void>;
}

/** Mounts it on a directory. Processes with open files in it must end before it is disposed of. */
export async function mountTmpfs(path: string, { uid, gid }: Account): Promise<Tmpfs> {
  const options = `size=64k,mode=0700,uid=${String(uid)},gid=${String(gid)}`;
  await runOk("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]);
  const exit = atExit(() => void spawnSync("umount", ["--lazy", path]));
  // a killed process closes its files last
  const insist = (command: string, args: readonly string[]) =>
    waitUntil("nobody to have anything open there", async () => {
      await runOk(command, args);
      return true;
    });
  return {
    remount: (mode) => insist("mount", ["-o", `remount,${mode}`, path]),
    [Symbol.asyncDispose]: async () => {
      await insist("umount", [path]);
      exit[Symbol.dispose]();
    },
  };
}
