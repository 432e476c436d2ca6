/**
 * The listening sockets of this host, as the kernel lists them in /proc/net: proc(5). Unlike
 * connecting, this does not disturb a server.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { addressFromBytes } from "../../login/address.ts";
import type { PortEndpoint } from "../../config/config.ts";

export type SocketType = "tcp" | "udp";

/** TCP_LISTEN, and TCP_CLOSE, the state of a bound UDP socket: include/net/tcp_states.h. */
const STATE: Readonly<Record<SocketType, string>> = { tcp: "0A", udp: "07" };

/** SO_ACCEPTCON marks a listening Unix socket: include/uapi/linux/net.h. */
const ACCEPTS = 0x10000;

const ANY = /^(?:0\.0\.0\.0|::)$/;

/** The inodes of the sockets that occupy a port. */
export function portHolders(
  { host, port }: PortEndpoint,
  transport: SocketType,
): readonly string[] {
  if (port === 0) return [];
  return [transport, `${transport}6`].flatMap((table) =>
    rows(table).flatMap(([, local = "", , state, , , , , , inode = ""]) => {
      const [address = "", hexPort = ""] = local.split(":");
      if (state !== STATE[transport] || Number.parseInt(hexPort, 16) !== port) return [];
      const theirs = spelled(address) ?? "";
      return theirs === host || ANY.test(theirs) || ANY.test(host) ? [inode] : [];
    }),
  );
}

/** The inodes of the sockets that listen at a path. */
export function pathHolders(path: string): readonly string[] {
  return rows("unix").flatMap(([, , , flags = "", , , inode = "", ...words]) =>
    (Number.parseInt(flags, 16) & ACCEPTS) !== 0 && words.join(" ") === path ? [inode] : [],
  );
}

/**
 * The processes that have a socket open, by its inode: of this user, or of all users if root asks.
 */
export function processesWith(inode: string): readonly number[] {
  const socket = `socket:[${inode}]`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => links(`/proc/${pid}/fd`).includes(socket));
}

function links(directory: string): readonly string[] {
  try {
    return readdirSync(directory).map((name) => {
      try {
        return readlinkSync(`${directory}/${name}`);
      } catch {
        return "";
      }
    });
  } catch {
    // the process has exited, or is another user's
    return [];
  }
}

function rows(table: string): readonly (readonly string[])[] {
  let text;
  try {
    text = readFileSync(`/proc/net/${table}`, "latin1");
  } catch {
    // the kernel has no such table without IPv6
    return [];
  }
  return text
    .split("\n")
    .slice(1)
    .filter((line) => line !== "")
    .map((line) => line.trim().split(/\s+/));
}

/** 32-bit words in this host's byte order, in hexadecimal. */
function spelled(hex: string): string | undefined {
  const words = (hex.match(/.{8}/g) ?? []).map((word) => Number.parseInt(word, 16));
  return addressFromBytes([...new Uint8Array(new Uint32Array(words).buffer)]);
}
