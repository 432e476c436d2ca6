/** Endpoints, as [serve] spells them. */
import * as v from "valibot";
import { parseAddress } from "../../login/address.ts";
import type { Endpoint, PortEndpoint } from "../config.ts";
import { quote } from "./values.ts";

/** sun_path has room for 108 bytes, one of them a NUL: unix(7). */
const PATH_BYTES = 107;

const PATH_SPELLING = "a socket's path from the root";
const ENDPOINT_SPELLING = `${PATH_SPELLING}, or an address and a port such as "127.0.0.1:1004" or "[::1]:1004"`;

/** An endpoint, or the reason why the text is not one. */
type Parsed = Endpoint | string;

function parsePath(text: string): Parsed {
  if (!text.startsWith("/") || /\p{Cc}/u.test(text)) return `expected ${PATH_SPELLING}, or false`;
  return Buffer.byteLength(text) <= PATH_BYTES
    ? { path: text }
    : `the path is too long; a socket's may have ${PATH_BYTES} bytes`;
}

function parseEndpoint(text: string): Parsed {
  if (text.startsWith("/")) return parsePath(text);
  const [, v6, v4, digits] = /^(?:\[([^[\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = parseAddress(v6 ?? v4 ?? "");
  const port = Number(digits);
  // a host name could resolve to several addresses, or to another one tomorrow
  if (host === undefined || port < 1 || port > 65_535) {
    return `${quote(text)} is no place to listen; expected ${ENDPOINT_SPELLING}`;
  }
  return { host, port };
}

function parseLoopback(text: string): Parsed {
  const endpoint = parseEndpoint(text);
  if (typeof endpoint === "string" || "path" in endpoint) return endpoint;
  return endpoint.host === "::1" || endpoint.host.startsWith("127.")
    ? endpoint
    : `${quote(text)} is not on loopback: anybody who reaches it could ask who may relay; expected "127.0.0.1:${endpoint.port}", "[::1]:${endpoint.port}" or a path`;
}

/** rpcbind tells clients the port. */
const ANY_PORT: PortEndpoint = { host: "0.0.0.0", port: 0 };

const RPC_SPELLING = 'true, false, or an IPv4 address and a port such as "0.0.0.0:4711"';
const UDP_SPELLING = 'an address and a port such as "0.0.0.0:811", or false';

function parsePort(text: string, spelling: string): PortEndpoint | string {
  const endpoint = parseEndpoint(text);
  return typeof endpoint === "string" || "path" in endpoint
    ? `${quote(text)} is no place to listen; expected ${spelling}`
    : endpoint;
}

/** DRAC clients, and rpcbind's version 2, know IPv4 only. */
function parseRpc(text: string): PortEndpoint | string {
  const endpoint = parsePort(text, RPC_SPELLING);
  return typeof endpoint !== "string" && endpoint.host.includes(":")
    ? `${quote(text)} is no IPv4 address and port, and DRAC knows no other; expected ${RPC_SPELLING}`
    : endpoint;
}

function parsed<Where extends Endpoint>(parse: (text: string) => Where | string, spelling: string) {
  return v.pipe(
    v.string(`expected ${spelling}`),
    v.rawTransform(({ dataset: { value }, addIssue, NEVER }): Where => {
      const endpoint = parse(value);
      if (typeof endpoint !== "string") return endpoint;
      addIssue({ message: endpoint });
      return NEVER;
    }),
  );
}

const nowhere = v.pipe(
  v.literal(false),
  v.transform(() => undefined),
);
const unixSocket = parsed(parsePath, `${PATH_SPELLING}, or false`);
const anywhere = parsed(parseEndpoint, `${ENDPOINT_SPELLING}, or false`);
const local = parsed(parseLoopback, `${ENDPOINT_SPELLING}, or false`);

/** A Unix socket's path; false: none. */
export const socketPath = v.lazy((input) => (input === false ? nowhere : unixSocket));

/** A Unix socket's path, or an address and a port that other hosts may reach; false: none. */
export const endpoint = v.lazy((input) => (input === false ? nowhere : anywhere));

const noList = v.pipe(
  v.literal(false),
  v.transform((): readonly Endpoint[] => []),
);
const oneOfList = v.pipe(
  local,
  v.transform((only): readonly Endpoint[] => [only]),
);
const list = v.array(local);

/** A Unix socket's path, a port on loopback, or a list of them; false: none. */
export const localEndpoints = v.lazy((input) => {
  if (input === false) return noList;
  return Array.isArray(input) ? list : oneOfList;
});

const anyPort = v.pipe(
  v.literal(true),
  v.transform(() => ANY_PORT),
);
const rpcPort = parsed(parseRpc, RPC_SPELLING);
const udpPort = parsed((text) => parsePort(text, UDP_SPELLING), UDP_SPELLING);

/** An IPv4 address and a port; true: any port; false: none. */
export const rpcEndpoint = v.lazy((input) => {
  if (input === true) return anyPort;
  return input === false ? nowhere : rpcPort;
});

/** An address and a port; false: none. */
export const udpEndpoint = v.lazy((input) => (input === false ? nowhere : udpPort));
