import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Spool } from "../src/spool/spool.ts";
import { parseEntryName } from "../src/spool/entry.ts";
import type { Account } from "../test/support/accounts.ts";
import { atExit } from "../test/support/at-exit.ts";
import { runOk } from "../test/support/run.ts";
import { waitUntil } from "../test/support/wait-until.ts";
import { ROLES, startDaemon, type Daemon } from "./daemon.ts";
import { pinned } from "./load.ts";
import type { BenchStore } from "./stores.ts";

/** popbsmtp set up for a store, with a spool, and so a drain, of its own. */
export class Station implements AsyncDisposable {
  readonly store: BenchStore;
  readonly config: string;
  readonly #program: string;
  readonly #spool: Spool;
  readonly #exit: Disposable;

  private constructor(program: string, store: BenchStore, config: string, spool: Spool) {
    this.#program = program;
    this.store = store;
    this.config = config;
    this.#spool = spool;
    this.#exit = atExit(() => this.#signalDrain("SIGKILL"));
  }

  /** Writes the configuration, and creates the spool below `directory` and the store's tables. */
  static async open(
    program: string,
    store: BenchStore,
    directory: string,
    owner: Account,
  ): Promise<Station> {
    const spool = join(directory, "spool");
    const config = join(directory, "popbsmtp.toml");
    mkdirSync(spool, { recursive: true });
    writeFileSync(
      config,
      [
        `spool = "${spool}"`,
        `user = "${owner.name}"`,
        'linger = "1h"',
        "[store]",
        `driver = "${store.driver}"`,
        ...store.section,
        "[serve]",
        ...ROLES.map((role) => `${role} = "${join(directory, role)}"`),
        "",
      ].join("\n"),
    );
    const station = new Station(program, store, config, new Spool(spool));
    await station.popbsmtp("schema", "install");
    // with the directory, in which the daemon creates its sockets
    await runOk("chown", [`${String(owner.uid)}:${String(owner.gid)}`, spool, directory]);
    return station;
  }

  /** The words that precede a program's. */
  wrapper(...options: readonly string[]): readonly string[] {
    return [this.#program, "--config", this.config, "--service", "imap", ...options];
  }

  /** Runs another command of popbsmtp, and returns its output. */
  async popbsmtp(...words: readonly string[]): Promise<string> {
    return await runOk(this.#program, ["--config", this.config, ...words], { timeout: 600_000 });
  }

  /**
   * Starts the daemon alone, as root, and waits until it is ready.
   *
   * @param core the core to run on. Default: the kernel's choice
   */
  async serve({ core }: { readonly core?: number } = {}): Promise<Daemon> {
    const directory = dirname(this.config);
    const command = [this.#program, "--config", this.config, "serve"];
    return await startDaemon(core === undefined ? command : pinned(core, command), {
      directory,
      pid: () => this.servedBy(),
    });
  }

  /** The process id of the running daemon. */
  servedBy(): number | undefined {
    return this.#spool.drain.atWork("serve");
  }

  get spool(): string {
    return this.#spool.path;
  }

  /** Waits until every login is in the store. */
  async drained(): Promise<void> {
    await waitUntil(`${this.spool} to be drained`, () => this.waiting() === 0, {
      timeout: 60_000,
      interval: 1,
    });
  }

  /** The number of logins in the spool. */
  waiting(): number {
    return readdirSync(this.spool).filter((name) => parseEntryName(name) !== undefined).length;
  }

  /** Ends the drain, so that the next login has to start one. */
  async cool(): Promise<void> {
    const pid = this.#signalDrain("SIGTERM");
    if (pid !== undefined) {
      await waitUntil("the drain to end", () => hasEnded(pid));
    }
    for (const name of readdirSync(this.spool)) {
      if (name.startsWith(".start-")) rmSync(join(this.spool, name));
    }
  }

  #signalDrain(signal: NodeJS.Signals): number | undefined {
    const pid = this.#spool.drain.atWork();
    if (pid !== undefined) process.kill(pid, signal);
    return pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cool();
    this.#exit[Symbol.dispose]();
  }
}

/** True also for a zombie, since its new parent may not reap it at once. */
function hasEnded(pid: number): boolean {
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${String(pid)}/stat`, "latin1"));
  } catch {
    return true;
  }
}
