/**
 * Logins that the daemon is handling, so that they survive it: `.in-hand-<process id>.<its start
 * time>` in the spool.
 *
 * A login occupies a slot of the file while it is neither in the store nor in the spool: a line of
 * JSON, which an empty line replaces afterwards. A separate file for each login would work too, but
 * creating and removing one takes ten times as long.
 */
import { closeSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parseAddress } from "../login/address.ts";
import type { Login } from "../login/login.ts";
import { readOwnFile } from "../system/own-files.ts";
import { isSameProcess, processStartTime } from "../system/process-identity.ts";
import type { Spool } from "./spool.ts";

const PREFIX = ".in-hand-";

/**
 * The size of a slot in bytes: a divisor of a page, so that a kill cannot tear it, and larger than
 * a user name in JSON.
 */
const SLOT_BYTES = 2048;

const LF = 0x0a;

const loginSchema = v.object({
  address: v.string(),
  user: v.string(),
  service: v.string(),
  time: v.number(),
});

export class InHand implements Disposable {
  readonly #path: string;
  readonly #free: number[] = [];
  #slots = 0;
  #isDisposed = false;
  #file: number | undefined;

  /** @param spool the spool's directory, which need not exist yet */
  constructor(spool: string) {
    this.#path = join(spool, `${PREFIX}${process.pid}.${processStartTime(process.pid)}`);
  }

  /**
   * Keeps a login until the returned function is called. If it cannot be written, it is kept in
   * memory only.
   */
  hold(login: Login): () => void {
    const slot = this.#free.pop() ?? this.#slots++;
    this.#write(slot, JSON.stringify(login));
    return () => {
      this.#write(slot, "");
      this.#free.push(slot);
    };
  }

  #write(slot: number, line: string): void {
    if (this.#isDisposed) return;
    try {
      // a new file: in a spool that others can write to, one of their links could be in its place
      this.#file ??= openSync(this.#path, "wx", 0o600);
      writeSync(this.#file, `${line}\n`, slot * SLOT_BYTES);
    } catch {
      // a full disk, or a missing spool, which the daemon reports elsewhere
    }
  }

  /** Removes the file; no login is being handled any more. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    if (this.#file === undefined) return;
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }
}

/**
 * Moves the logins that dead daemons were handling into the spool.
 *
 * @throws the errors of reading and writing the spool; the next call moves the remaining logins
 */
export function recoverInHand(spool: Spool): void {
  for (const name of readdirSync(spool.path)) {
    const [, pid, startTime] = /^\.in-hand-(\d+)\.(\d+)$/.exec(name) ?? [];
    if (pid === undefined || isSameProcess(Number(pid), startTime)) continue;
    const path = join(spool.path, name);
    for (const login of loginsIn(readOwnFile(path))) spool.write(login);
    rmSync(path, { force: true });
  }
}

function* loginsIn(bytes: Buffer): Generator<Login> {
  for (let start = 0; start < bytes.length; start += SLOT_BYTES) {
    const end = bytes.indexOf(LF, start);
    if (end <= start) continue;
    const login = parseLogin(bytes.toString("utf8", start, end));
    if (login !== undefined) yield login;
  }
}

function parseLogin(text: string): Login | undefined {
  const { output, success } = v.safeParse(loginSchema, parseJson(text));
  const address = success ? parseAddress(output.address) : undefined;
  return success && address !== undefined ? { ...output, address } : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
