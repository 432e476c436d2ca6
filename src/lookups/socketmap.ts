/**
 * The socket map of sendmail (op.me, "socket") and Postfix (socketmap_table(5)); Exim can build its
 * requests, too.
 *
 * Requests and replies are netstrings (https://cr.yp.to/proto/netstrings.txt): `<length>:<map>
 * <key>,` and `<length>:<reply>,`:
 *
 *     OK OK             the address may relay. One value serves all: Postfix's access(5) calls it
 *                       OK, and rules of sendmail and ACLs of Exim compare with any value
 *     NOTFOUND          it may not, or the key is not an address: mail servers look up names, too
 *     TEMP <reason>     the address is unknown here, and the store cannot be asked
 *     PERM <reason>     the request is malformed; the daemon closes the connection
 *
 * The name of the map is ignored.
 *
 * The protocol requires TEMP, which makes Postfix answer 451: put permit_auth_destination before
 * the map, so that inbound mail never asks it. The policy service (policy.ts) has no such drawback.
 */
import type { Socket } from "node:net";
import { parseAddress } from "../login/address.ts";
import { measured, type Answer, type Lookup, type LookupHooks } from "./lookup.ts";
import { MalformedRequest, NOTHING, serveRequests } from "./requests.ts";

/** The longest map name and key together, in bytes. */
const REQUEST_BYTES = 10_000;

const COLON = 0x3a;
const COMMA = 0x2c;

const REPLIES: Readonly<Record<Answer, string>> = {
  authorized: netstring("OK OK"),
  // the blank is required: socketmap_table(5)
  unknown: netstring("NOTFOUND "),
  away: netstring("TEMP the store is away"),
};

/** Serves one connection. A malformed request is answered PERM, and closes it. */
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

/** Assembles netstrings from the bytes that arrive. */
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
    // copied: a view would keep the whole chunk in memory while the client is idle
    this.#rest = start === bytes.length ? NOTHING : Buffer.from(bytes.subarray(start));
  }
}

/** The position of the colon after a netstring's length; -1 if it has not arrived yet. */
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
