import { readFileSync, writeFileSync } from "node:fs";
import { Spool } from "../../src/spool/spool.ts";
import { startDovecot, type Dovecot } from "./dovecot.ts";
import type { Installation } from "./installation.ts";
import type { Row } from "./tables.ts";
import { configureServe, type ServeSockets } from "./serve.ts";
import { waitUntil } from "./wait-until.ts";

/**
 * Dovecot as `popbsmtp print dovecot` sets it up: its master runs the daemon, and its last_login
 * plugin reports logins.
 */
export interface DictSite extends ServeSockets, AsyncDisposable {
  readonly box: Installation;
  readonly dovecot: Dovecot;
  /** The daemon's process id; undefined if it does not run. */
  readonly daemon: () => number | undefined;
  /** The errors that the daemon has logged, and Dovecot's about it. */
  readonly errors: () => readonly string[];
}

export interface DictSiteOptions {
  /** The lifetime. Default: 30 minutes. */
  readonly lifetime?: string;
  /** Further lines of popbsmtp.toml, beginning within [serve]. */
  readonly lines?: string;
  /** Changes the printed configuration. */
  readonly edit?: (printed: string) => string;
}

/**
 * Starts Dovecot for an installation, which its owner disposes of, and waits until the daemon is
 * ready.
 */
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
  const daemon = () => spool.drain.atWork("serve");
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
        .filter((line) => /popbsmtp|last_login|dict/.test(line))
        // a busy machine
        .filter((line) => !/ store-(?:away|back) .*is slow to answer/.test(line)),
    [Symbol.asyncDispose]: () => dovecot[Symbol.asyncDispose](),
  };
}

/** A user's row in the store, as soon as it exists. */
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
