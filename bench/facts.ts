/** The machine that the numbers were measured on. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { basename, dirname } from "node:path";
import { run, runOk } from "../test/support/run.ts";
import type { Site } from "./site.ts";

export async function facts({ path, postgres, mariadb }: Site): Promise<string> {
  const fileSystem = await fileSystemOf(path);
  return [
    `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `${String(availableParallelism())} cores, ${cpus()[0]?.model.trim() ?? "of unknown model"}; Linux ${release()}`,
    `${await version("bash", /version (\S+)/)}, Node ${process.versions.node}, ${await version("dovecot", /(\S+)/)}`,
    `PostgreSQL ${await serverVersion(postgres.query("SHOW server_version"))}, MariaDB ${await serverVersion(mariadb.query("SELECT version()"))}, SQLite ${process.versions.sqlite ?? "unknown"}; all write durably (fsync)`,
    `spools and databases on ${fileSystem.name} (${dirname(path)}); servers asked through Unix sockets`,
    ...(fileSystem.caveat === undefined ? [] : [`(beware: ${fileSystem.caveat})`]),
  ].join("\n");
}

async function version(program: string, pattern: RegExp): Promise<string> {
  const { stdout } = await run(program, ["--version"]);
  return `${program} ${pattern.exec(stdout.toString())?.[1] ?? "of unknown version"}`;
}

async function serverVersion(rows: Promise<Record<string, unknown>[]>): Promise<string> {
  const [value] = Object.values((await rows)[0] ?? {});
  return String(value).replace(/ .*/, "");
}

interface FileSystem {
  readonly name: string;
  /** How it differs from a mail server's. */
  readonly caveat?: string;
}

async function fileSystemOf(path: string): Promise<FileSystem> {
  const output = await runOk("df", ["--output=fstype,source", path]);
  const [type = "unknown", device = ""] = output.trim().split("\n").at(-1)?.split(/\s+/) ?? [];
  if (type === "tmpfs") return { name: type, caveat: "nothing there is ever written to a disk" };
  const options = `/proc/fs/ext4/${basename(device)}/options`;
  if (type !== "ext4" || !existsSync(options)) return { name: type };
  if (/^data=/m.test(readFileSync(options, "utf8"))) return { name: `${type} with a journal` };
  return {
    name: `${type} without a journal`,
    caveat: "making a file takes it up to a millisecond where many were deleted lately",
  };
}
