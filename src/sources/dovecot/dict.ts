/**
 * The dict protocol, as Dovecot's last_login plugin uses it: each imap or pop3 process reports its
 * login at its start, and the user does not wait for the answer.
 *
 * Answers are lines, in the order of the requests: `O<id>` for a commit that succeeded,
 * `F<id><TAB>reason` for one that failed, which Dovecot logs; with `A` in front for D. `N` answers
 * a lookup and an empty line an iteration, since there is nothing to read here.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import type { Login } from "../../login/login.ts";
import { dictLogin } from "./dict-login.ts";
import { DictReader, type DictCommit, type DictRequest } from "./dict-reader.ts";
import { tabEscape } from "./tab-escape.ts";

/**
 * How long a connection may be idle, in milliseconds. Dovecot closes it as soon as it has the
 * answer.
 */
const SILENT_MS = 60_000;

export interface DictOptions {
  /** Records a login; false if that failed. Never rejects. */
  readonly record: (login: Login) => Promise<boolean>;
  readonly now: Clock;
  /**
   * Called for each commit that is refused because of its contents, and once for a connection that
   * is closed because the client is not Dovecot.
   */
  readonly onMalformed: (why: string) => void;
}

/** Serves one connection. */
export function serveDict(socket: Socket, options: DictOptions): void {
  const reader = new DictReader();
  let answered = Promise.resolve();
  const refuse = (why: string) => {
    options.onMalformed(why);
    socket.destroy();
  };
  socket.on("error", () => socket.destroy());
  socket.setTimeout(SILENT_MS, () => {
    if (reader.isWithinLine) refuse("a line is incomplete after 60 s");
    else socket.destroy();
  });
  socket.on("data", (chunk: Buffer) => {
    // read no further until these requests are answered
    socket.pause();
    const answers: Promise<string>[] = [];
    let problem: unknown;
    try {
      for (const request of reader.receive(chunk)) {
        answers.push(answer(request, reader.major, options));
      }
    } catch (error) {
      problem = error;
    }
    answered = writeAll(socket, answers).then(() => {
      if (problem === undefined) socket.resume();
      else refuse(reasonOf(problem));
    });
  });
  // a client may close its side before it has its answers
  socket.on("end", () => {
    if (reader.isWithinLine) refuse("ends within a line");
    else void answered.then(() => socket.end());
  });
}

async function writeAll(socket: Socket, answers: readonly Promise<string>[]): Promise<void> {
  for (const line of answers) {
    const text = await line;
    if (socket.destroyed || socket.write(`${text}\n`)) continue;
    await new Promise<void>((resolve) => {
      socket.once("drain", () => resolve()).once("close", () => resolve());
    });
  }
}

async function answer(
  request: DictRequest,
  major: number | undefined,
  options: DictOptions,
): Promise<string> {
  if (request.kind === "lookup") return "N";
  if (request.kind === "iterate") return "";
  const { id, isAsync } = request;
  const failure = await commit(request, major, options);
  const outcome = failure === undefined ? `O${id}` : `F${id}\t${tabEscape(failure)}`;
  return isAsync ? `A${outcome}` : outcome;
}

/** The reason for a failure; undefined after success. */
async function commit(
  { sets, hasOther }: DictCommit,
  major: number | undefined,
  { record, now, onMalformed }: DictOptions,
): Promise<string | undefined> {
  const logins: Login[] = [];
  try {
    if (hasOther) throw new Error("popbsmtp takes logins from the last_login plugin only");
    for (const set of sets) {
      const login = dictLogin(set, { major, now: now() });
      if (login !== undefined) logins.push(login);
    }
  } catch (error) {
    onMalformed(reasonOf(error));
    return reasonOf(error);
  }
  const recorded = await Promise.all(logins.map(record));
  return recorded.every(Boolean)
    ? undefined
    : "popbsmtp could not record the login; its log says why";
}
