import { readFileSync } from "node:fs";

/** A system account, as spawn(2) and chown(2) take it. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The account called `name` in /etc/passwd. */
export function account(name: string): Account {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [login, , uid, gid] = line.split(":");
    if (login === name) return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`there is no account ${name}: run scripts/setup servers`);
}

/**
 * The account for a server that refuses to run as root; undefined unless the tests run as root:
 * then the server runs as the user of the tests.
 */
export function serverAccount(name: string): Account | undefined {
  return process.getuid?.() === 0 ? account(name) : undefined;
}

/** Throws unless the tests run as root, which these servers' masters require. */
export function requireRoot(server: string): void {
  if (process.getuid?.() !== 0)
    throw new Error(`${server} starts as root only: run the tests as root`);
}
