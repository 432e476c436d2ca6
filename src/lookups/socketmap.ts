/**
 * The socket map of sendmail (op.me, "socket") and Postfix (socketmap_table(5)); Exim can put its requests together, too.
 *
 * Requests and replies are netstrings (https://cr.yp.to/proto/netstrings.txt): `<length>:<map> <key>,` asks, `<length>:<reply>,` answers:
 *
 *     OK OK             the address may relay. One value serves all: Postfix's access(5) calls it OK, and rules of sendmail's
 *                       cf and Exim's ACLs compare with whatever it is
 *     NOTFOUND          it may not, or the key is no address: mail servers ask for names, too
 *     TEMP <reason>     nothing is known of it here, and the store cannot be asked
 *     PERM <reason>     no request; then the connection is closed
 *
 * There is one map, whatever name it is asked by.
 *
 * TEMP is what the protocol wants, and makes Postfix say 451: permit_auth_destination goes before the map, and inbound mail
 * never asks it. The policy service (policy.ts) has no such edge.
 */
import type { Socket } from "node:net";
import { parseAddress } from "../login/address.ts";
import { measured, type Answer, type Lookup, type LookupHooks } from "./lookup.ts";
import { MalformedRequest, NOTHING, serveRequests } from "./requests.ts";

/** A map's name and a key may be this long together. Bytes. */
const REQUEST_BYTES = 10_000;

const COLON = 0x3a;
const COMMA = 0x2c;

const REPLIES: Readonly<Record<Answer, string>> = {
  authorized: netstring("OK OK"),
  // with the blank: socketmap_table(5)
  unknown: netstring("NOTFOUND "),
  away: netstring("TEMP the store is away"),
};

/** Answers one connection. What is no request is answered PERM and closes it. */
export function serveSocketmap(socket: Socket, lookup: Lookup, hooks: LookupHooks): void {
  const reader = new NetstringReader();
  serveRequests(
    socket,
    {
      requests: (chunk) => reader.read(chunk),
      answer: (request) => answerTo(request, lookup, hooks),
      lastWords: ({ message }) => netstring(`PERM ${message}`),
    },
    hooks,
  );
}

function answerTo(request: string, lookup: Lookup, hooks: LookupHooks): string | Promise<string> {
  const address = parseAddress(request.slice(request.indexOf(" ") + 1));
  const reply = (answer: Answer) => REPLIES[answer];
  return address === undefined ? REPLIES.unknown : measured(lookup, address, hooks, reply);
}

function netstring(text: string): string {
  return `${text.length}:${text},`;
}

/** Puts netstrings together from what comes in. */
class NetstringReader {
  #rest = NOTHING;

  *read(chunk: Buffer): Generator<string> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let colon = lengthEnd(bytes, start); colon >= 0; colon = lengthEnd(bytes, start)) {
      const end = colon + 1 + Number(bytes.toString("latin1", start, colon));
      if (end >= bytes.length) break;
      if (bytes[end] !== COMMA) throw new MalformedRequest("a netstring without its comma");
      const request = bytes.toString("latin1", colon + 1, end);
      if (!/^[^ ]+ ./s.test(request)) throw new MalformedRequest("not a map and a key");
      yield request;
      start = end + 1;
    }
    // copied: a part would keep all of what came in alive while the client is idle
    this.#rest = start === bytes.length ? NOTHING : Buffer.from(bytes.subarray(start));
  }
}

/** Where the colon after a netstring's length is; -1 where it has not come yet. */
function lengthEnd(bytes: Buffer, start: number): number {
  const colon = bytes.subarray(start, start + 6).indexOf(COLON);
  const digits = bytes.toString("latin1", start, colon < 0 ? start + 6 : start + colon);
  if (colon < 0 && digits === "") return -1;
  if (!/^(?:0|[1-9]\d{0,4})$/.test(digits)) throw new MalformedRequest("not a netstring");
  if (Number(digits) > REQUEST_BYTES) {
    throw new MalformedRequest(`longer than ${REQUEST_BYTES} bytes`);
  }
  return colon < 0 ? -1 : start + colon;
}
