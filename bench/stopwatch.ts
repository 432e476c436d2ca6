import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runOk } from "../test/support/run.ts";
import type { Site } from "./site.ts";

const SOURCE = fileURLToPath(new URL("stopwatch.c", import.meta.url));

/** Compiles stopwatch.c; returns the program's path. */
export async function compileStopwatch(directory: string): Promise<string> {
  const program = join(directory, "stopwatch");
  await runOk("cc", ["-O2", "-o", program, SOURCE]);
  return program;
}

/**
 * The environment of a post-login script in Dovecot 2.3, complete: there is no PATH. UID and GID
 * are the mail user's, which is not the account that scripts run as.
 */
function loginEnvironment(client: number): Record<string, string> {
  return {
    LOCAL_IP: "198.51.100.5",
    IP: `192.0.2.${String(client)}`,
    USER: `u${String(client)}@example.org`,
    UID: "5000",
    GID: "5000",
    HOME: "/nonexistent",
    AUTH_MECH: "PLAIN",
    AUTH_TOKEN: "2a38034cec769779e7f6396fc625298c5d6b056b",
    USERDB_KEYS: "UID GID HOME AUTH_MECH AUTH_TOKEN ",
  };
}

/** Runs a command repeatedly, each time as for a login, and measures the time. */
export class Stopwatch implements AsyncDisposable {
  /** Lines that the command has written to stderr. */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #readings: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  readonly #start: () => void;

  /** @param client the number of the client that logs in, 1 to 254, with which its address ends */
  constructor(site: Site, command: readonly string[], client: number) {
    const child = spawn(site.stopwatch, command, {
      env: loginEnvironment(client),
      cwd: site.path,
      stdio: ["pipe", "pipe", "pipe"],
      ...(site.owner !== undefined && { uid: site.owner.uid, gid: site.owner.gid }),
    });
    this.#child = child;
    this.#start = () => void child.stdin.write("\n");
    this.#readings = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    createInterface({ input: child.stderr }).on("line", (line) => this.complaints.push(line));
    this.#ended = once(child, "close");
  }

  /** Runs the command to its end; returns the milliseconds since before its start. */
  async run(): Promise<number> {
    this.#start();
    const reading = await this.#readings.next();
    if (reading.done === true) throw new Error(this.complaints.join("\n"));
    return Number(reading.value) / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }
}
