/**
 * Postfix's policy service: http://www.postfix.org/SMTPD_POLICY_README.html
 *
 * A request is `name=value` lines ended by an empty line; the answer is `action=OK` or `action=DUNNO` and an empty line. Nothing else is
 * ever said: nothing that defers or rejects mail. DUNNO means "no opinion", and the rest of the restriction list decides, so
 * OK belongs in smtpd_relay_restrictions, behind permit_auth_destination and before the reject or defer:
 *
 *     check_policy_service { unix:/run/popbsmtp/policy, timeout=2s, default_action=DUNNO }
 *
 * In smtpd_recipient_restrictions it would decide nothing about relaying, and would let relay clients past the checks after it.
 * Which protocol_state smtpd asks in is its administrator's choice of list, and no matter here.
 */
import type { Socket } from "node:net";
import { parseAddress } from "../login/address.ts";
import { measured, type Answer, type Lookup, type LookupHooks } from "./lookup.ts";
import { MalformedRequest, NOTHING, serveRequests } from "./requests.ts";

/** A request may be this long. Bytes; Postfix's own are below 10,000. */
const REQUEST_BYTES = 64 * 1024;

const OK = "action=OK\n\n";
const DUNNO = "action=DUNNO\n\n";

const LF = 0x0a;
const CR = 0x0d;
const EQUALS = 0x3d;

/** Of "request" and "client_address". */
const NAME_LENGTHS = [7, 14];

/** What of a request counts here. */
interface PolicyRequest {
  request?: string;
  client_address?: string;
}

/**
 * Answers one connection of Postfix's. A request that is not about an address is answered DUNNO. One that is none at all, or that does
 * not end, closes the connection: with default_action=DUNNO Postfix takes that for DUNNO.
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

/** Puts requests together from what comes in. */
class PolicyReader {
  #request: PolicyRequest = {};
  /** Length of the request so far, without #rest. */
  #length = 0;
  /** A line that is not complete. */
  #rest = NOTHING;

  *read(chunk: Buffer): Generator<PolicyRequest> {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    let equals = -1;
    // byte by byte: of some thirty short lines two are of interest, and indexOf() costs more than it saves on each
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
    // copied: a part would keep all of what came in alive while the client is idle
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
    // Postfix sends each once: said twice, it says nothing
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
