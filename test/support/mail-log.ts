import { closeSync, openSync, writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** A login as Dovecot 2.3 logs it through syslog. `time`: milliseconds since 1970; default now. */
export function loginLine(user: string, address = "192.0.2.1", time = Date.now()): string {
  const [, month, day, , clock] = new Date(time).toString().split(" ");
  return `${month} ${day?.replace(/^0/, " ")} ${clock} mx dovecot: imap-login: Login: user=<${user}>, method=PLAIN, rip=${address}, lip=198.51.100.1, mpid=4711, TLS, session=<aaaaaaaaaaaaaaaa>\n`;
}

/** Other lines of a mail log: three. */
export function noiseLines(n: number, time?: number): string {
  const stamp = loginLine("", "", time).slice(0, 16);
  return [
    `mx postfix/smtpd[${n}]: connect from client.example.org[198.51.100.7]\n`,
    `mx dovecot: imap(u${n})<4711><aaaaaaaaaaaaaaaa>: Disconnected: Logged out in=10 out=500\n`,
    `mx postfix/qmgr[${n}]: 4Xy: removed\n`,
  ]
    .map((line) => stamp + line)
    .join("");
}

/** A mail server under load: writes to its log until it is stopped. */
export interface LogWriter {
  /** The number of users who have logged in so far, each once: u0, u1, ... */
  readonly users: number;
  /** Closes the log and opens the file that now has its name, as at a signal. */
  reopen(): void;
  /** Returns once nothing is written any more. */
  stop(): Promise<void>;
}

/** @param user the name of the n-th login's user. Default: each logs in once */
export function writeLog(path: string, user = (n: number) => `u${n}`): LogWriter {
  let log = openSync(path, "a");
  const stop = new AbortController();
  let users = 0;
  const write = async () => {
    while (!stop.signal.aborted) {
      writeSync(log, loginLine(user(users)) + noiseLines(users));
      users += 1;
      await pause(2);
    }
    closeSync(log);
  };
  const written = write();
  return {
    get users() {
      return users;
    },
    reopen: () => {
      closeSync(log);
      log = openSync(path, "a");
    },
    stop: async () => {
      stop.abort();
      await written;
    },
  };
}
