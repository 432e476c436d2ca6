/**
 * The post-login protocol, with which Dovecot's imap and pop3 processes report a login: `service
 * imap { executable = imap SOCKET }`.
 *
 * It is the protocol of script-login (dovecot/core, src/util/script-login.c). A request is two
 * lines,
 *
 *     VERSION<TAB>script-login<TAB>1<TAB>0
 *     local_ip<TAB>remote_ip<TAB>username[<TAB>field[=value]]...
 *
 * with tab-escaped values; the reply is `username[<TAB>field[=value]]...` and a newline. The
 * client's descriptor accompanies the request, and the kernel drops it because the daemon reads
 * plain bytes; a reply without a descriptor means "unchanged". If the daemon closes the connection
 * without a reply, Dovecot rejects the login; after 60 s it gives up.
 */
import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { parseAddress, type Address } from "../../login/address.ts";
import { cutUser, type Login } from "../../login/login.ts";
import { decodeText } from "../../spool/entry.ts";
import { tabUnescape } from "./tab-escape.ts";

/** The longest request, in bytes: it contains userdb fields. */
const REQUEST_BYTES = 128 * 1024;

/** How long a request may take to arrive, in milliseconds. */
const REQUEST_MS = 60_000;

const LF = 0x0a;
const TAB = 0x09;

export interface PostLoginRequest {
  /** undefined if Dovecot sent no address, or an invalid one: there is nothing to authorize. */
  readonly address: Address | undefined;
  readonly user: string;
  /** The answer, which repeats the request so that nothing changes. */
  readonly reply: Buffer;
}

export interface PostLoginOptions {
  /** The kind of login, which Dovecot does not send. */
  readonly service: string;
  /** Records the login; the answer is sent when it resolves. */
  readonly record: (login: Login) => Promise<unknown>;
  readonly now: Clock;
  /** Called once for a connection that is closed because of a malformed request. */
  readonly onMalformed: (why: string) => void;
}

/** Serves one connection. */
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
    // a client that only tests whether the daemon listens sends nothing
    if (length === 0) socket.end();
    else if (lines < 2) refuse("ends before the end of its second line");
  });
}

/** Parses the two lines of a request. Throws if they are malformed. */
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
