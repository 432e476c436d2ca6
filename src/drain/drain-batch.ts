/** Writes a batch of spool files to the store. */
import { refusalOf, type Admission } from "../guards/admission.ts";
import type { Clock } from "../lib/clock.ts";
import { EX, hasCode, PopbsmtpError, RowRefusedError, reasonOf } from "../lib/errors.ts";
import type { Login } from "../login/login.ts";
import type { Sink } from "../stores/store.ts";
import { parseEntry, type EntryName } from "../spool/entry.ts";
import type { Spool } from "../spool/spool.ts";
import { inTurns } from "../lib/turns.ts";
import { isAlive } from "../system/process-identity.ts";

/**
 * An entry that is still incomplete after this long never will be complete: its writer was killed,
 * or the disk was full. A writer that is alive may merely be slow or stopped, and has longer.
 * Milliseconds.
 */
const INCOMPLETE_MS = { gone: 10_000, alive: 3_600_000 };

/**
 * How far a login may be ahead of this host's clock: a watched log may come from another host. If
 * it is further ahead, the clock was set back after the login was written; its age is unknown, so
 * it does not count. Milliseconds.
 */
const AHEAD_MS = 60_000;

/** Less than a wrapper waits, so that later wrappers do not wait at all. */
const SLOW_MS = 150;

export interface BatchContext {
  readonly spool: Spool;
  readonly to: Pick<Sink, "name" | "authorize">;
  readonly admission: Admission;
  readonly now: Clock;
  /** Takes a line about a file that had to be set aside. */
  readonly report: (line: string) => void;
  /** Called with logins that have been committed. */
  readonly onCommitted: (logins: readonly Login[]) => void;
  /** Called with each login that was set aside and will never be in the store. */
  readonly onRefused: (login: Login) => void;
}

interface SpooledLogin {
  readonly entry: EntryName;
  readonly login: Login;
}

/**
 * Commits the logins in `entries` and removes them from the spool; unusable ones are set aside.
 * Returns the number committed.
 *
 * @throws StoreAwayError if nothing could be committed; the spool is then unchanged
 * @throws PopbsmtpError (75) if this process cannot open more files
 */
export async function drainBatch(
  context: BatchContext,
  entries: readonly EntryName[],
): Promise<number> {
  const batch: SpooledLogin[] = [];
  for await (const entry of inTurns(entries)) {
    const login = take(context, entry);
    if (login === undefined) continue;
    if (refusalOf(login, context.admission) !== undefined) {
      context.spool.remove(entry);
    } else {
      batch.push({ entry, login });
    }
  }
  return commit(context, batch);
}

/** The login in an entry; undefined if the entry is gone, incomplete, or had to be set aside. */
function take(context: BatchContext, entry: EntryName): Login | undefined {
  const { spool, now, report } = context;
  try {
    const bytes = spool.read(entry.name);
    if (bytes === undefined) return undefined;
    const login = parseEntry(entry, bytes);
    if (login !== undefined && isAhead(entry, now())) {
      refuse(context, { entry, login }, "it was written before this host's clock was set back");
      return undefined;
    }
    if (login !== undefined || !isAbandoned(entry, now())) return login;
    if (bytes.length > 0) throw new Error("incomplete");
    spool.remove(entry);
    return undefined;
  } catch (error) {
    const why = reasonOf(error);
    // out of descriptors or memory: nothing is wrong with the login
    if (hasCode(error, "EMFILE", "ENFILE", "ENOMEM")) {
      throw new PopbsmtpError(`spool: ${why}`, EX.TEMPFAIL, { cause: error });
    }
    report(spool.setAside(entry.name, why));
    return undefined;
  }
}

/** Whether the time in a name is too far ahead to tell the login's age. */
export function isAhead({ time }: EntryName, now: number): boolean {
  return time - now > AHEAD_MS;
}

/** Sets a login aside for good. */
function refuse(
  { spool, report, onRefused }: BatchContext,
  { entry, login }: SpooledLogin,
  why: string,
): void {
  report(spool.setAside(entry.name, why));
  onRefused(login);
}

function isAbandoned({ time, pid }: EntryName, now: number): boolean {
  return now - time > (isAlive(pid) ? INCOMPLETE_MS.alive : INCOMPLETE_MS.gone);
}

async function commit(context: BatchContext, batch: readonly SpooledLogin[]): Promise<number> {
  if (batch.length === 0) return 0;
  const { spool, to, now, report, onCommitted } = context;
  const logins = batch.map(({ login }) => login);
  let slow = false;
  const timer = setTimeout(() => {
    slow = true;
    spool.drain.setAway(`${to.name} is slow to answer`);
  }, SLOW_MS);
  try {
    await to.authorize(logins, now());
    onCommitted(logins);
  } catch (error) {
    if (!(error instanceof RowRefusedError)) throw error;
    return await commitApart(context, batch, error);
  } finally {
    clearTimeout(timer);
    if (slow) spool.drain.setAway(undefined);
  }
  for await (const { entry } of inTurns(batch)) {
    try {
      spool.remove(entry);
    } catch (error) {
      report(reasonOf(error));
    }
  }
  return batch.length;
}

/** The store refuses some of these rows for good: finds out which, and commits the others. */
async function commitApart(
  context: BatchContext,
  batch: readonly SpooledLogin[],
  error: RowRefusedError,
): Promise<number> {
  const [first] = batch;
  if (batch.length === 1 && first !== undefined) {
    refuse(context, first, error.message);
    return 0;
  }
  const half = Math.ceil(batch.length / 2);
  return (await commit(context, batch.slice(0, half))) + (await commit(context, batch.slice(half)));
}
