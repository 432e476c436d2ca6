import type { Config } from "../../config/config.ts";
import type { Account } from "../../system/privileges.ts";
import type { Time } from "../../lib/clock.ts";

/** What is examined, and from whose view. */
export interface Subject {
  readonly config: Config;
  /** The path that popbsmtp was started with, without links. */
  readonly program: string;
  /** Files with a secret in them that the configuration names. */
  readonly passwordFiles: readonly string[];
  /** The configured user's account; undefined where there is none, or where only root could know. */
  readonly account: Account | undefined;
  /** The process id of the `popbsmtp serve` that drains the spool; undefined: none does. */
  readonly daemon: number | undefined;
  readonly now: Time;
  /** Which Dovecot and which Postfix; undefined: the ones that run by default. */
  readonly dovecotConfig: string | undefined;
  readonly postfixConfig: string | undefined;
}
