/** The daemon's counts and measurements. */
import type { Answer, KnownFrom } from "../../lookups/lookup.ts";
import type { LineCounts } from "../../sources/mail-log/selector.ts";
import { Counter, Histogram } from "./exposition.ts";
import type { Outcome } from "../../login/login.ts";
import { renderProcess, renderReadings, type Readings } from "./readings.ts";

/** The protocols in which other hosts report logins. */
export type Told = "drac" | "relay-ctrl";

export interface Metrics {
  /**
   * A login was answered after this many seconds; undefined if the client does not wait for an
   * answer.
   */
  login(service: string, outcome: Outcome, seconds: number | undefined): void;
  /** A statement committed, or failed to commit, this many logins. */
  batch(source: "live" | "spool", size: number, seconds: number, ok: boolean): void;
  /** A lookup was answered. */
  lookup(protocol: "policy" | "socketmap", answer: Answer, from: KnownFrom, seconds: number): void;
  /** A request was malformed. */
  malformed(protocol: "dict" | "post-login" | "policy" | "socketmap" | Told): void;
  /** A host that may not report logins did so. */
  denied(protocol: Told): void;
  /** A purge deleted this many rows. */
  purged(rows: number): void;
  /** The numbers of lines of mail logs, by kind. */
  lines(counts: LineCounts): void;
}

/** Metrics with their output. */
export interface RenderedMetrics extends Metrics {
  /** All metrics, in Prometheus' text format. */
  render(readings: Readings): string;
}

/** Bounds in seconds, from a lookup in memory to the timeouts of Dovecot and Postfix. */
const LOOKUP_BOUNDS = [
  0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];
/** 0.2 is the default deadline: while the store answers, all logins are below it. */
const LOGIN_BOUNDS = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2.5, 5,
];
const BATCH_BOUNDS = [...LOGIN_BOUNDS, 10, 30];
const SIZE_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Further services are counted as "other": each costs memory, here and in Prometheus. */
const SERVICES = 20;

const PROTOCOLS = ["policy", "socketmap"] as const;
const TOLD: readonly Told[] = ["drac", "relay-ctrl"];
const OUTCOMES: readonly Outcome[] = ["committed", "spooled", "excluded", "not-allowed", "lost"];
const ANSWERS: readonly Answer[] = ["authorized", "unknown", "away"];

export function createMetrics(): RenderedMetrics {
  return new PrometheusMetrics();
}

class PrometheusMetrics implements RenderedMetrics {
  readonly #logins = new Counter(
    "popbsmtp_logins_total",
    "Logins by service and outcome: committed to the store, spooled, excluded or not allowed by the configuration, or lost.",
  );
  readonly #loginSeconds = new Histogram(
    "popbsmtp_login_seconds",
    "Time for which a login was held, in seconds.",
    LOGIN_BOUNDS,
  );
  readonly #batchSize = new Histogram(
    "popbsmtp_batch_size",
    "Logins per statement committed to the store, by source: live or spool.",
    SIZE_BOUNDS,
  );
  readonly #batchSeconds = new Histogram(
    "popbsmtp_batch_seconds",
    "Time that the store took to commit a statement, in seconds, by source: live or spool.",
    BATCH_BOUNDS,
  );
  readonly #batchesFailed = new Counter(
    "popbsmtp_batches_failed_total",
    "Statements that the store did not commit. Their logins are written again.",
  );
  readonly #lookups = new Counter(
    "popbsmtp_lookups_total",
    "Lookups answered, by protocol, by answer, and by where the answer came from: memory or store.",
  );
  readonly #lookupSeconds = new Histogram(
    "popbsmtp_lookup_seconds",
    "Time taken to answer a lookup, in seconds, by protocol.",
    LOOKUP_BOUNDS,
  );
  readonly #malformed = new Counter(
    "popbsmtp_malformed_requests_total",
    "Requests that violated their protocol.",
  );
  readonly #denied = new Counter(
    "popbsmtp_denied_requests_total",
    "Reports of logins from hosts that may not report any, by protocol.",
  );
  readonly #purged = new Counter(
    "popbsmtp_purged_total",
    "Expired authorizations that this daemon has deleted from the store.",
  );
  readonly #lines = new Counter(
    "popbsmtp_watch_lines_total",
    "Lines of watched mail logs by kind: login, refused (a login that does not count), known (another line of a mail server), other (another program), or unknown (not understood).",
  );
  readonly #families = [
    this.#logins,
    this.#loginSeconds,
    this.#batchSize,
    this.#batchSeconds,
    this.#batchesFailed,
    this.#lookups,
    this.#lookupSeconds,
    this.#malformed,
    this.#denied,
    this.#purged,
    this.#lines,
  ];
  readonly #services = new Set(["imap", "pop3"]);

  constructor() {
    for (const service of this.#services) {
      for (const outcome of OUTCOMES) this.#logins.add({ service, outcome }, 0);
    }
    for (const protocol of PROTOCOLS) {
      for (const answer of ANSWERS) {
        for (const from of ["memory", "store"] as const) {
          this.#lookups.add({ protocol, answer, from }, 0);
        }
      }
    }
    for (const protocol of ["dict", "post-login", ...PROTOCOLS, ...TOLD]) {
      this.#malformed.add({ protocol }, 0);
    }
    for (const protocol of TOLD) this.#denied.add({ protocol }, 0);
    this.#batchesFailed.add({}, 0);
    this.#purged.add({}, 0);
    this.lines({ login: 0, refused: 0, known: 0, other: 0, unknown: 0 });
  }

  login(service: string, outcome: Outcome, seconds: number | undefined): void {
    if (this.#services.size < SERVICES) this.#services.add(service);
    this.#logins.add({ service: this.#services.has(service) ? service : "other", outcome });
    if (seconds !== undefined) this.#loginSeconds.observe({}, seconds);
  }

  batch(source: "live" | "spool", size: number, seconds: number, ok: boolean): void {
    if (!ok) {
      // the length of a timeout does not tell how fast the store is
      this.#batchesFailed.add({});
      return;
    }
    this.#batchSize.observe({ source }, size);
    this.#batchSeconds.observe({ source }, seconds);
  }

  lookup(protocol: "policy" | "socketmap", answer: Answer, from: KnownFrom, seconds: number): void {
    this.#lookups.add({ protocol, answer, from });
    this.#lookupSeconds.observe({ protocol }, seconds);
  }

  malformed(protocol: "dict" | "post-login" | "policy" | "socketmap" | Told): void {
    this.#malformed.add({ protocol });
  }

  denied(protocol: Told): void {
    this.#denied.add({ protocol });
  }

  purged(rows: number): void {
    this.#purged.add({}, rows);
  }

  lines(counts: LineCounts): void {
    for (const [kind, lines] of Object.entries(counts)) this.#lines.add({ kind }, lines);
  }

  render(readings: Readings): string {
    const counted = this.#families.map((family) => family.render()).join("");
    return counted + renderReadings(readings) + renderProcess();
  }
}
