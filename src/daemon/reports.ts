/**
 * Logins that two sources tell of: Dovecot's last_login plugin and a log that is watched, or the plugin and the post-login service while
 * one is taking the other's place. Each login counts once, whichever source is first.
 */
import type { Login, Outcome } from "../login/login.ts";
import { Recent } from "../lib/recent.ts";

/** Where a login was told of. */
export type Source = "dict" | "post-login" | "log";

/** How far apart two sources may put one login: a log has whole seconds, and is written a little earlier or later. Milliseconds. */
const APART_MS = 5_000;

/** So many of the last logins of an address and user are compared: nobody has more in hand at a time. */
const MOST = 50;

interface Report {
  readonly time: number;
  readonly source: Source;
  /** Who has told of the same login since. */
  others: readonly Source[];
  readonly outcome: Promise<Outcome>;
}

/** So many addresses and users are remembered for certain: more than log in within {@link APART_MS}. */
const REMEMBERED = 2_000;

const NOBODY: readonly Source[] = [];

export class Reports {
  readonly #reports = new Recent<readonly Report[]>(REMEMBERED);

  /**
   * Records a login, unless another source has told of it, or this one of the very same: Dovecot repeats what it got no answer to. Then
   * the outcome is what it was.
   */
  async once(
    source: Source,
    login: Login,
    record: (login: Login) => Promise<Outcome>,
  ): Promise<Outcome> {
    const same = this.#findRepeated(source, login) ?? this.#findOther(source, login);
    if (same !== undefined && (await same) !== "lost") return same;
    const outcome = record(login);
    this.note(source, login, outcome);
    return outcome;
  }

  /** Whether another source has told of a login. Each login of another one's counts as this one's once. */
  isKnown(source: Source, login: Login): boolean {
    return this.#findOther(source, login) !== undefined;
  }

  /** A login that is recorded, or is about to be. */
  note(source: Source, login: Login, outcome: Promise<Outcome>): void {
    const report = { time: login.time, source, others: NOBODY, outcome };
    const late = this.#of(login).filter(({ time }) => time > login.time - 2 * APART_MS);
    this.#reports.set(keyOf(login), [...late.slice(1 - MOST), report]);
  }

  #findRepeated(source: Source, login: Login): Promise<Outcome> | undefined {
    const isSame = (report: Report) => report.source === source && report.time === login.time;
    return this.#of(login).findLast(isSame)?.outcome;
  }

  #findOther(source: Source, login: Login): Promise<Outcome> | undefined {
    const found = this.#of(login).find(
      (report) =>
        report.source !== source &&
        !report.others.includes(source) &&
        Math.abs(report.time - login.time) <= APART_MS,
    );
    if (found !== undefined) found.others = [...found.others, source];
    return found?.outcome;
  }

  #of(login: Login): readonly Report[] {
    return this.#reports.get(keyOf(login)) ?? [];
  }
}

function keyOf({ address, service, user }: Login): string {
  return `${address} ${service} ${user}`;
}
