/**
 * Postfix's policy service: http://www.postfix.org/SMTPD_POLICY_README.html
 *
 * A request is `name=value` lines and an empty line; the answer is `action=OK` or `action=DUNNO`
 * and an empty line, never an action that defers or rejects mail. DUNNO means "no opinion": the
 * rest of the restriction list decides. So OK belongs in smtpd_relay_restrictions, after
 * permit_auth_destination and before the reject or defer:
 *
 *     check_policy_service { unix:/run/popbsmtp/policy, timeout=2s, default_action=DUNNO }
 *
 * In smtpd_recipient_restrictions it would not decide about relaying, and would let relay clients
 * bypass the checks after it. The protocol_state does not matter: the administrator chooses it with
 * the list.
 */
import type { Socket } from "node:net";
import { parseAddress } from "../login/address.ts";
import { measured, type Answer, type Lookup, type LookupHooks } from "./lookup.ts";
import { MalformedRequest, NOTHING, serveRequests } from "./requests.ts";

/** The longest request, in bytes; Postfix's are below 10,000. */
const REQUEST_BYTES = 64 * 1024;

const OK = "action=OK\n\n";
const DUNNO = "action=DUNNO\n\n";

const LF = 0x0a;
const CR = 0x0d;
const EQUALS = 0x3d;

/** The lengths of "request" and "client_address". */
const NAME_LENGTHS = [7, 14];

/** The attributes of a request that matter here. */
interface PolicyRequest {
  request?: string;
  client_address?: string;
}

/**
 * Serves one connection of Postfix. A request without an address is answered DUNNO. A malformed or
 * endless request closes the connection, which Postfix treats as default_action=DUNNO.
 */
export function servePolicy(socket: Socket, lookup: Lookup, hooks: LookupHooks): void {
  const reader = new PolicyReader();
  serveRequests(
    socket,
    {
      requests: (chunk) => reader.read(chunk),
      answer: (request) => answerTo(request, lookup, hooks),
    },
    hooks,
  );
}

function answerTo(
  { request, client_address: client }: PolicyRequest,
  lookup: Lookup,
  hooks: LookupHooks,
): string | Promise<string> {
  const address =
    request === "smtpd_access_policy" && client !== undefined ? parseAddress(client) : undefined;
  return address === undefined ? DUNNO : measured(lookup, address, hooks, reply);
}

function reply(answer: Answer): string {
  return answer === "authorized" ? OK : DUNNO;
}

/** Assembles requests from the bytes that arrive. */
class PolicyReader {
  #request: PolicyRequest = {};
  /** The length of the request so far, without #rest. */
  #length = 0;
  /** An incomplete line. */
  #rest = NOTHING;

  *read(chunk: Buffer): Generator<PolicyRequest> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    let equals = -1;
    // byte by byte: only two of some thirty short lines matter, and on short lines indexOf() costs
    // more than it saves
    for (let end = 0; end < bytes.length; end++) {
      const byte = bytes[end];
      if (byte === EQUALS && equals < 0) equals = end;
      if (byte !== LF) continue;
      this.#count(end + 1 - start);
      const last = end > start && bytes[end - 1] === CR ? end - 1 : end;
      if (last > start) this.#attribute(bytes, start, equals, last);
      else yield this.#complete();
      start = end + 1;
      equals = -1;
    }
    if (this.#length + bytes.length - start > REQUEST_BYTES) this.#count(bytes.length - start);
    // copied: a view would keep the whole chunk in memory while the client is idle
    this.#rest = start === bytes.length ? NOTHING : Buffer.from(bytes.subarray(start));
  }

  #count(length: number): void {
    this.#length += length;
    if (this.#length > REQUEST_BYTES) {
      throw new MalformedRequest(`longer than ${REQUEST_BYTES} bytes`);
    }
  }

  #attribute(bytes: Buffer, start: number, equals: number, end: number): void {
    if (equals < 0) throw new MalformedRequest("a line without =");
    if (!NAME_LENGTHS.includes(equals - start)) return;
    const name = bytes.toString("latin1", start, equals);
    if (name !== "request" && name !== "client_address") return;
    // Postfix sends each attribute once; if it occurs twice, neither counts
    const value = bytes.toString("latin1", equals + 1, end);
    this.#request[name] = this.#request[name] === undefined ? value : "";
  }

  #complete(): PolicyRequest {
    const request = this.#request;
    this.#request = {};
    this.#length = 0;
    return request;
  }
}
