import type { Config } from "../../config/config.ts";
import type { Account } from "../../system/privileges.ts";
import type { Time } from "../../lib/clock.ts";

/** The set-up that is examined. */
export interface Subject {
  readonly config: Config;
  /** The path with which popbsmtp was started, links resolved. */
  readonly program: string;
  /** Files with secrets that the configuration names. */
  readonly passwordFiles: readonly string[];
  /**
   * The account of the configured user; undefined if it does not exist, or only root could look it
   * up.
   */
  readonly account: Account | undefined;
  /** The process id of the `popbsmtp serve` that drains the spool; undefined: none. */
  readonly daemon: number | undefined;
  readonly now: Time;
  /** The configurations of Dovecot and Postfix; undefined: the default ones. */
  readonly dovecotConfig: string | undefined;
  readonly postfixConfig: string | undefined;
}
