import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Account } from "./accounts.ts";
import { atExit } from "./at-exit.ts";
import type { Installation } from "./installation.ts";
import { PLAIN_ENV } from "./run.ts";

/** `popbsmtp watch` of an {@link Installation}. */
export interface Watch extends AsyncDisposable {
  readonly pid: number;
  /** Its stdout and stderr so far. */
  log(): string;
  /** SIGTERM. Returns the exit status once it has exited. */
  stop(): Promise<number | undefined>;
  /** Kills it as a crash does, and waits until it is gone. */
  kill9(): Promise<void>;
}

/** Starts it as root. Killed at dispose. */
export function startWatch(box: Installation, ...args: readonly string[]): Watch {
  return start(box, [box.program, "--config", box.config, "watch", ...args]);
}

/** The same as the configured user, in a user namespace without inotify instances. */
export function startWatchWithoutInotify(box: Installation, ...args: readonly string[]): Watch {
  const limited = 'echo 0 >/proc/sys/user/max_inotify_instances; exec "$@"';
  const namespace = ["unshare", "--user", "--map-current-user", "--keep-caps"];
  const command = ["sh", "-c", limited, "sh", box.program, "--config", box.config, "watch"];
  return start(box, [...namespace, ...command, ...args], box.user);
}

function start(
  box: Installation,
  [command = "", ...args]: readonly string[],
  account?: Account,
): Watch {
  const file = join(box.directory, "watch.log");
  writeFileSync(file, "");
  const log = openSync(file, "a");
  const child: ChildProcess = spawn(command, args, {
    // a separate process group, so that an interrupt from the terminal does not reach it before the
    // test's own clean-up
    detached: true,
    cwd: "/",
    env: { ...PLAIN_ENV },
    stdio: ["ignore", log, log],
    ...(account !== undefined && { uid: account.uid, gid: account.gid }),
  });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error("popbsmtp watch cannot be started");
  const exit = atExit(() => void child.kill("SIGKILL"));
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, "exit");
      child.kill(signal);
      await exited;
    }
  };
  return {
    pid,
    log: () => readFileSync(file, "utf8"),
    stop: async () => {
      await end("SIGTERM");
      return child.exitCode ?? undefined;
    },
    kill9: () => end("SIGKILL"),
    [Symbol.asyncDispose]: async () => {
      await end("SIGKILL");
      exit[Symbol.dispose]();
    },
  };
}
