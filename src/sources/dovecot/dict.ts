/**
 * What Dovecot's last_login plugin tells a dict server of: each login, by the imap or pop3 process that has just begun. Nobody waits for
 * the answer before the user is let in.
 *
 * Answers are lines, in the order of the requests: `O<id>` for a commit that succeeded, `F<id><TAB>reason` for one that did not, which
 * Dovecot logs; `A` in front of either for D. `N` for a lookup and an empty line for an iteration: there is nothing to read here.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import type { Login } from "../../login/login.ts";
import { dictLogin } from "./dict-login.ts";
import { DictReader, type DictCommit, type DictRequest } from "./dict-reader.ts";
import { tabEscape } from "./tab-escape.ts";

/** How long a connection may be silent. Dovecot closes it as soon as it has its answer. Milliseconds. */
const SILENT_MS = 60_000;

export interface DictOptions {
  /** Records a login; false where that failed. Never rejects. */
  readonly record: (login: Login) => Promise<boolean>;
  readonly now: Clock;
  /** Told of a commit that is refused for what is in it, and once of a connection that is closed because it is not Dovecot's. */
  readonly onMalformed: (why: string) => void;
}

/** Answers one connection. */
export function serveDict(socket: Socket, options: DictOptions): void {
  const reader = new DictReader();
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
    // no more is read than was answered
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
    void writeAll(socket, answers).then(() => {
      if (problem === undefined) socket.resume();
      else refuse(reasonOf(problem));
    });
  });
  socket.on("end", () => {
    if (reader.isWithinLine) refuse("ends within a line");
    else socket.end();
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

/** Says why it failed; undefined where it did not. */
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
