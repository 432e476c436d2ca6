/** Asks `popbsmtp serve` what its clients ask, the way they do. */
import { connect, type Socket } from "node:net";
import type { Endpoint } from "../../config/config.ts";
import { noAnswerWithin, withDeadline } from "../../lib/deadline.ts";
import { codeOf, reasonOf } from "../../lib/errors.ts";
import type { Account } from "../../system/privileges.ts";
import { becoming } from "./becoming.ts";

/** A daemon that hangs is not waited for any longer. Milliseconds. */
const TIMEOUT_MS = 2_000;

/** Why nothing came back from a daemon that hangs, or is very slow. */
export const NO_ANSWER = noAnswerWithin(TIMEOUT_MS);

/** What came back before the connection was closed, or why nothing did: "ECONNREFUSED", {@link NO_ANSWER}. */
export type Asked = { readonly answer: string } | { readonly why: string };

/** Whom to connect as: a socket's mode is the kernel's to judge. */
export interface Client {
  readonly user: string;
  readonly account: Account;
}

/**
 * Connects, asks, and returns all that comes back.
 *
 * @param as default: whoever this process is
 */
export async function question(endpoint: Endpoint, text: string, as?: Client): Promise<Asked> {
  // connect(2) to a Unix socket is called before connect() returns
  const open = () => connect(endpoint);
  const socket = as === undefined ? open() : becoming(as.user, as.account, open);
  try {
    return await withDeadline(converse(socket, text), TIMEOUT_MS, () => ({ why: NO_ANSWER }));
  } finally {
    socket.destroy();
  }
}

function converse(socket: Socket, text: string): Promise<Asked> {
  const { promise, resolve } = Promise.withResolvers<Asked>();
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
  socket.on("error", (error) => resolve({ why: codeOf(error) ?? reasonOf(error) }));
  socket.on("end", () => resolve({ answer }));
  socket.end(text, "latin1");
  return promise;
}

/** What to do about a daemon that hangs: whoever started it starts another. */
export function endIt(daemon: number | undefined): readonly string[] {
  return daemon === undefined
    ? []
    : [`kill -9 ${String(daemon)}    # it hangs; Dovecot or systemd starts another`];
}

/** A post-login request without an address: whom it is answered for is recorded nowhere. */
export const POST_LOGIN = {
  question: "VERSION\tscript-login\t1\t0\n\t\tdoctor\n",
  answer: "doctor\n",
};

/** A connection of the last_login plugin's that tells of no login: there is no answer to that. */
export const DICT = { question: "H3\t2\t0\t\tpopbsmtp\n" };

/** Whether an address that cannot log in, being no host's (RFC 5737), may relay. */
export const POLICY = {
  question: "request=smtpd_access_policy\nclient_address=192.0.2.0\n\n",
  no: "action=DUNNO\n\n",
  yes: "action=OK\n\n",
};

/** The same, of the socketmap. */
export const SOCKETMAP = {
  question: "18:popbsmtp 192.0.2.0,",
  no: "9:NOTFOUND ,",
  yes: "5:OK OK,",
};
