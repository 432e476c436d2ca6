/** What the numbers were measured on. */
import { availableParallelism, cpus, release } from "node:os";
import { join } from "node:path";
import { run, runOk } from "../test/support/run.ts";
import type { Site } from "./site.ts";

export async function facts({ path, postgres, mariadb }: Site): Promise<string> {
  const fileSystem = await fileSystemOf(path);
  return [
    `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `${String(availableParallelism())} cores, ${cpus()[0]?.model.trim() ?? "of unknown model"}; Linux ${release()}`,
    `${await version("bash", /version (\S+)/)}, Node ${process.versions.node}, ${await version("dovecot", /(\S+)/)}`,
    `PostgreSQL ${await serverVersion(postgres.query("SHOW server_version"))}, MariaDB ${await serverVersion(mariadb.query("SELECT version()"))}, SQLite ${process.versions.sqlite ?? "unknown"}; all write durably (fsync)`,
    `spools and databases on ${fileSystem} (${join(path, "..")}); servers asked through Unix sockets`,
    ...(fileSystem === "tmpfs"
      ? ["(nothing there is ever written to a disk: see to it that /tmp is on one)"]
      : []),
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

async function fileSystemOf(path: string): Promise<string> {
  const [, type] = (await runOk("df", ["--output=fstype", path])).trim().split("\n");
  return type ?? "an unknown file system";
}
