/**
 * Logins that the daemon has in hand, so that they survive it: `.in-hand-<process id>.<its start time>` in the spool.
 *
 * A login has a slot of the file for as long as it is neither in the store nor in the spool: a line of JSON, which is replaced by an
 * empty line. A file in the spool for each login would do as well, but to make and remove one costs ten times as much.
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

/** A divisor of a page, which a kill does not tear, and more than a user name in JSON takes. Bytes. */
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

  /** @param spool its directory, which need not be there yet */
  constructor(spool: string) {
    this.#path = join(spool, `${PREFIX}${process.pid}.${processStartTime(process.pid)}`);
  }

  /** Holds a login until the function returned is called. Where it cannot be written down it is held in memory only. */
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
      // a new file: in a spool that others can write to, a link of theirs may be in its place
      this.#file ??= openSync(this.#path, "wx", 0o600);
      writeSync(this.#file, `${line}\n`, slot * SLOT_BYTES);
    } catch {
      // a full disk, a spool that is missing: the daemon tells of those by itself
    }
  }

  /** No login is in hand any more. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    if (this.#file === undefined) return;
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }
}

/**
 * Puts into the spool what daemons had in hand that are no more.
 *
 * @throws what reading and writing the spool throws; then what is left is for the next time
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
