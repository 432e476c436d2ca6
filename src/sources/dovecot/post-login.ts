/**
 * What Dovecot's imap and pop3 processes ask a post-login service: `service imap { executable = imap SOCKET }`.
 *
 * The protocol is script-login's (dovecot/core, src/util/script-login.c): the request is two lines,
 *
 *     VERSION<TAB>script-login<TAB>1<TAB>0
 *     local_ip<TAB>remote_ip<TAB>username[<TAB>field[=value]]...
 *
 * with values tab-escaped; the reply is `username[<TAB>field[=value]]...` and a newline. The client's descriptor comes along with the
 * request and is dropped when it is read as plain bytes; a reply without a descriptor says "unchanged". Closing without a reply
 * refuses the login, and Dovecot gives up after 60 s.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { parseAddress, type Address } from "../../login/address.ts";
import { cutUser, type Login } from "../../login/login.ts";
import { decodeText } from "../../spool/entry.ts";
import { tabUnescape } from "./tab-escape.ts";

/** A request may be this long: userdb fields are in it. Bytes. */
const REQUEST_BYTES = 128 * 1024;

/** How long a request may take to come in. Milliseconds. */
const REQUEST_MS = 60_000;

const LF = 0x0a;
const TAB = 0x09;

export interface PostLoginRequest {
  /** undefined where Dovecot named none, or none that is an address: there is nothing to authorize. */
  readonly address: Address | undefined;
  readonly user: string;
  /** The very bytes to answer with, so that everything stays as it was. */
  readonly reply: Buffer;
}

export interface PostLoginOptions {
  /** What kind of login it is: Dovecot does not say. */
  readonly service: string;
  /** Records the login; the answer goes out when it resolves. */
  readonly record: (login: Login) => Promise<unknown>;
  readonly now: Clock;
  /** Told once of a connection that is closed because what it asks is no request. */
  readonly onMalformed: (why: string) => void;
}

/** Answers one connection. */
export function servePostLogin(socket: Socket, options: PostLoginOptions): void {
  const { service, record, now, onMalformed } = options;
  const chunks: Buffer[] = [];
  let length = 0;
  let lines = 0;
  const refuse = (why: string) => {
    onMalformed(why);
    socket.destroy();
  };
  socket.on("error", () => socket.destroy());
  socket.setTimeout(REQUEST_MS, () => refuse("incomplete after 60 s"));
  const receive = (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    for (let at = chunk.indexOf(LF); at >= 0 && lines < 2; at = chunk.indexOf(LF, at + 1)) lines++;
    if (lines < 2) {
      if (length > REQUEST_BYTES) refuse(`longer than ${REQUEST_BYTES} bytes`);
      return;
    }
    socket.off("data", receive).resume().setTimeout(0);
    let request: PostLoginRequest;
    try {
      request = parsePostLogin(Buffer.concat(chunks, length));
    } catch (error) {
      refuse(reasonOf(error));
      return;
    }
    const { address, user, reply } = request;
    const letIn = () => socket.end(reply);
    if (address === undefined) letIn();
    else record({ address, user, service, time: now() }).then(letIn, letIn);
  };
  socket.on("data", receive);
  socket.on("end", () => {
    // whoever connects only to see whether somebody listens has asked nothing
    if (length === 0) socket.end();
    else if (lines < 2) refuse("ends before its second line does");
  });
}

/** Reads a request's two lines. Throws where they are none. */
export function parsePostLogin(bytes: Buffer): PostLoginRequest {
  const first = bytes.indexOf(LF);
  if (!/^VERSION\tscript-login\t1\t\d+$/.test(bytes.toString("latin1", 0, first))) {
    throw new Error("no version line of script-login's protocol 1");
  }
  const line = bytes.subarray(first + 1, bytes.indexOf(LF, first + 1) + 1);
  const localEnd = line.indexOf(TAB);
  const remoteEnd = localEnd < 0 ? -1 : line.indexOf(TAB, localEnd + 1);
  if (remoteEnd < 0) throw new Error("no user name");
  const reply = line.subarray(remoteEnd + 1);
  const nameEnd = reply.indexOf(TAB);
  const name = reply.subarray(0, nameEnd < 0 ? -1 : nameEnd);
  if (name.length === 0) throw new Error("an empty user name");
  return {
    address: parseAddress(tabUnescape(line.subarray(localEnd + 1, remoteEnd)).toString("latin1")),
    user: cutUser(decodeText(tabUnescape(name))),
    reply,
  };
}
