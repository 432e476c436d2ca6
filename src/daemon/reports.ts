/**
 * Recognizes logins that two sources report: Dovecot's last_login plugin and a watched log, or the
 * plugin and the post-login service while one replaces the other. Each login counts once, whichever
 * source reports it first.
 */
import type { Login, Outcome } from "../login/login.ts";
import { Recent } from "../lib/recent.ts";

/** The source that reported a login. */
export type Source = "dict" | "post-login" | "log";

/**
 * How far apart the times of one login may be in two sources: a log has whole seconds, and is
 * written a little earlier or later. Milliseconds.
 */
const APART_MS = 5_000;

/**
 * How many of the last logins of an address and user are compared: more than can be in progress at
 * a time.
 */
const MOST = 50;

interface Report {
  readonly time: number;
  readonly source: Source;
  /** The sources that have reported the same login since. */
  others: readonly Source[];
  readonly outcome: Promise<Outcome>;
}

/**
 * How many addresses and users are certainly remembered: more than log in within {@link APART_MS}.
 */
const REMEMBERED = 2_000;

const NOBODY: readonly Source[] = [];

export class Reports {
  readonly #reports = new Recent<readonly Report[]>(REMEMBERED);

  /**
   * Records a login, unless it has been reported by another source, or by this one: Dovecot repeats
   * a report that got no answer. In that case the outcome is the earlier one.
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

  /**
   * Whether another source has reported a login. Each login of the other source matches only once.
   */
  isKnown(source: Source, login: Login): boolean {
    return this.#findOther(source, login) !== undefined;
  }

  /** Notes a login that is recorded, or about to be. */
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
