/** Answers the connections of Dovecot and of the mail server. */
import type { Socket } from "node:net";
import type { Clock } from "../lib/clock.ts";
import type { Address } from "../login/address.ts";
import type { KnownAuthorizations } from "../lookups/known.ts";
import type { Answered } from "../lookups/lookup.ts";
import { servePolicy } from "../lookups/policy.ts";
import { serveSocketmap } from "../lookups/socketmap.ts";
import { serveDict } from "../sources/dovecot/dict.ts";
import { servePostLogin } from "../sources/dovecot/post-login.ts";
import type { Log } from "./log/log.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Recorder } from "./recorder.ts";
import type { Reports } from "./reports.ts";

export interface ProtocolParts {
  readonly recorder: Recorder;
  readonly reports: Reports;
  readonly known: KnownAuthorizations;
  /** The times of logins that happen now. */
  readonly loginClock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly now: Clock;
}

export class Protocols {
  readonly #parts: ProtocolParts;

  constructor(parts: ProtocolParts) {
    this.#parts = parts;
  }

  /** Answers a Dovecot process whose last_login plugin reports a login. */
  dict(socket: Socket): void {
    const { recorder, reports, log, metrics, now } = this.#parts;
    serveDict(socket, {
      record: async (login) =>
        (await reports.once("dict", login, (first) => recorder.keep(first))) !== "lost",
      now,
      onMalformed: (why) => {
        metrics.malformed("dict");
        log.warning("malformed-request", { protocol: "dict", reason: why });
      },
    });
  }

  /** Answers a post-login request of this service. */
  postLogin(service: string, socket: Socket): void {
    const { recorder, reports, loginClock, log, metrics } = this.#parts;
    servePostLogin(socket, {
      service,
      record: (login) => {
        const outcome = recorder.record(login);
        reports.note("post-login", login, outcome);
        return outcome;
      },
      now: loginClock,
      onMalformed: (why) => {
        metrics.malformed("post-login");
        log.warning("malformed-request", { protocol: "post-login", service, reason: why });
      },
    });
  }

  /** Answers a request to the policy service. */
  policy(socket: Socket): void {
    servePolicy(socket, this.#parts.known, this.#hooks("policy"));
  }

  /** Answers a request to the socketmap. */
  socketmap(socket: Socket): void {
    serveSocketmap(socket, this.#parts.known, this.#hooks("socketmap"));
  }

  #hooks(protocol: "policy" | "socketmap") {
    const { log, metrics } = this.#parts;
    return {
      onAnswer: (address: Address, { answer, from }: Answered, seconds: number) => {
        metrics.lookup(protocol, answer, from, seconds);
        log.debug("lookup", { protocol, address, answer, from });
      },
      onMalformed: (why: string) => {
        metrics.malformed(protocol);
        log.warning("malformed-request", { protocol, reason: why });
      },
    };
  }
}
