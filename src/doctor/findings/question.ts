/** Asks `popbsmtp serve` the questions of its clients. */
import { connect, type Socket } from "node:net";
import type { Endpoint } from "../../config/config.ts";
import { noAnswerWithin, withDeadline } from "../../lib/deadline.ts";
import { codeOf, reasonOf } from "../../lib/errors.ts";
import type { Account } from "../../system/privileges.ts";
import { becoming } from "./becoming.ts";

/** How long to wait for the daemon, in milliseconds. */
const TIMEOUT_MS = 2_000;

/** The daemon hangs, or is very slow. */
export const NO_ANSWER = noAnswerWithin(TIMEOUT_MS);

/**
 * The answer up to the end of the connection, or why there was none: "ECONNREFUSED", {@link
 * NO_ANSWER}.
 */
export type DaemonReply = { readonly answer: string } | { readonly why: string };

/** The user to connect as: the kernel checks the mode of the socket. */
export interface Client {
  readonly user: string;
  readonly account: Account;
}

/**
 * Connects, asks, and returns everything that comes back.
 *
 * @param as default: the user of this process
 */
export async function question(
  endpoint: Endpoint,
  text: string,
  as?: Client,
): Promise<DaemonReply> {
  // connect() calls connect(2) for a Unix socket before it returns
  const open = () => connect(endpoint);
  const socket = as === undefined ? open() : becoming(as.user, as.account, open);
  try {
    return await withDeadline(converse(socket, text), TIMEOUT_MS, () => ({ why: NO_ANSWER }));
  } finally {
    socket.destroy();
  }
}

function converse(socket: Socket, text: string): Promise<DaemonReply> {
  const { promise, resolve } = Promise.withResolvers<DaemonReply>();
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
  socket.on("error", (error) => resolve({ why: codeOf(error) ?? reasonOf(error) }));
  socket.on("end", () => resolve({ answer }));
  socket.end(text, "latin1");
  return promise;
}

/** What to do about a daemon that hangs: Dovecot or systemd restarts it. */
export function endIt(daemon: number | undefined): readonly string[] {
  return daemon === undefined
    ? []
    : [`kill -9 ${String(daemon)}    # it hangs; Dovecot or systemd starts another`];
}

/** A post-login request without an address: the daemon answers it and records nothing. */
export const POST_LOGIN = {
  question: "VERSION\tscript-login\t1\t0\n\t\tdoctor\n",
  answer: "doctor\n",
};

/** A connection of the last_login plugin without a login, which the daemon does not answer. */
export const DICT = { question: "H3\t2\t0\t\tpopbsmtp\n" };

/** Asks about an address that belongs to no host (RFC 5737), and so cannot log in. */
export const POLICY = {
  question: "request=smtpd_access_policy\nclient_address=192.0.2.0\n\n",
  no: "action=DUNNO\n\n",
  yes: "action=OK\n\n",
};

/** The same for the socketmap. */
export const SOCKETMAP = {
  question: "18:popbsmtp 192.0.2.0,",
  no: "9:NOTFOUND ,",
  yes: "5:OK OK,",
};
