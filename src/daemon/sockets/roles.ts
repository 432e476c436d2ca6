/** What the daemon's listening sockets are for. */
import { ConfigError } from "../../lib/errors.ts";

export const ROLES = ["dict", "imap", "pop3", "policy", "socketmap", "metrics"] as const;

/** The kind of requests at a socket. */
export type Role = (typeof ROLES)[number];

type LoginRole = "dict" | "imap" | "pop3";

/** Whether clients report logins at this socket. */
export function isLogin(role: Role | undefined): role is LoginRole {
  return role === "dict" || role === "imap" || role === "pop3";
}

/** A listening socket that was open when this process started. */
export interface HandedSocket {
  /** Its name, whose last word is the role: "popbsmtp-imap". */
  readonly name: string;
  readonly fd: number;
}

/**
 * The role at the end of a socket's name. By default systemd names a socket after its unit,
 * "popbsmtp-imap.socket".
 */
export function roleNamed(name: string): Role | undefined {
  const word = /[a-z0-9]*$/.exec(name.replace(/\.socket$/, ""))?.[0];
  return ROLES.find((known) => known === word);
}

/** @throws ConfigError if the name does not end with a role */
export function roleOf(name: string): Role {
  const role = roleNamed(name);
  if (role !== undefined) return role;
  throw new ConfigError([
    `${name}: the name of this socket does not say what it is for; name it popbsmtp-dict, or one of: ${[...ROLES, "relay-ctrl"].join(", ")}`,
  ]);
}
