import { readFileSync, writeFileSync } from "node:fs";
import { Spool } from "../../src/spool/spool.ts";
import { startDovecot, type Dovecot } from "./dovecot.ts";
import type { Installation, Row } from "./installation.ts";
import { configureServe, type ServeSockets } from "./serve.ts";
import { waitUntil } from "./wait-until.ts";

/** Dovecot as `popbsmtp print dovecot` sets it up: its master runs the daemon, its last_login plugin tells it of logins. */
export interface DictSite extends ServeSockets, AsyncDisposable {
  readonly box: Installation;
  readonly dovecot: Dovecot;
  /** The daemon's process id; undefined while there is none. */
  readonly daemon: () => number | undefined;
  /** What the daemon has logged as an error, and Dovecot about it. */
  readonly errors: () => readonly string[];
}

export interface DictSiteOptions {
  /** How long a login counts. Default: 30 minutes. */
  readonly lifetime?: string;
  /** More of popbsmtp.toml, from within [serve] on. */
  readonly lines?: string;
  /** Changes what was printed. */
  readonly edit?: (printed: string) => string;
}

/** Starts Dovecot for an installation, which is disposed of by its owner, and waits until the daemon is at work. */
export async function startDict(
  box: Installation,
  { lifetime, lines, edit = (printed) => printed }: DictSiteOptions = {},
): Promise<DictSite> {
  if (lifetime !== undefined) {
    writeFileSync(box.config, `lifetime = "${lifetime}"\n${readFileSync(box.config, "utf8")}`);
  }
  const sockets = configureServe(box, lines);
  const dovecot = await startDovecot({ config: edit(await box.popbsmtp("print", "dovecot")) });
  const spool = new Spool(box.spool);
  const daemon = () => spool.drainAtWork("serve");
  await waitUntil("the daemon to be at work", () => daemon() !== undefined);
  return {
    ...sockets,
    box,
    dovecot,
    daemon,
    errors: () =>
      dovecot
        .log()
        .split("\n")
        .filter((line) => /: (?:Error|Fatal|Panic|Warning): /.test(line))
        .filter((line) => /popbsmtp|last_login|dict/.test(line)),
    [Symbol.asyncDispose]: () => dovecot[Symbol.asyncDispose](),
  };
}

/** What the store has of a user, as soon as it has it. */
export async function rowOf(box: Installation, user: string): Promise<Row> {
  let row: Row | undefined;
  await waitUntil(
    `${user} to be in the store`,
    async () => {
      row = (await box.rows()).find((other) => other.user === user);
      return row !== undefined;
    },
    { timeout: 30_000 },
  );
  if (row === undefined) throw new Error(`${user} is not in the store`);
  return row;
}
