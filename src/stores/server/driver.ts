import { getCACertificates } from "node:tls";
import type { SslConfig } from "../../config/config.ts";
import { reasonOf } from "../../lib/errors.ts";

/** Work on whole tables (an index, VACUUM) may take this long. Milliseconds. */
export const MAINTENANCE_MS = 3_600_000;

/** A server waits for a lock at most this long: less than a verb may take. Milliseconds. */
export const LOCK_MS = 4_000;

/**
 * TCP keepalive: a firewall that forgets idle connections sees traffic this often. Milliseconds.
 */
export const KEEPALIVE_MS = 60_000;

/** What differs between the client libraries of two servers. */
export interface Driver<Link> {
  /**
   * Connects to one host. Calls `lost` when the connection breaks later.
   *
   * @param timeout milliseconds
   */
  connect(host: string, timeout: number, lost: () => void): Promise<Link>;
  /** Why the server at the other end takes no writes; undefined where it does. */
  readOnly(link: Link): Promise<string | undefined>;
  /**
   * Tells servers apart: the same for two ways to one server, and for the nodes of a cluster that
   * all take writes; undefined where the server does not say.
   */
  identity(link: Link): Promise<string | undefined>;
  /** Whether the server is working on a statement of `other`'s, another connection to it. */
  isWorking(link: Link, other: Link): Promise<boolean>;
  /** Makes the server give up the statement of `other`'s. */
  cancel(link: Link, other: Link): Promise<void>;
  /** Ends a connection in an orderly way. */
  end(link: Link): Promise<void>;
  /** Ends a connection at once, whatever state it is in. */
  destroy(link: Link): void;
  /** Says what an error means. */
  explain(error: unknown): Complaint;
}

/** What a database's error means to us. */
export interface Complaint {
  /**
   * - row: the server does not take these very rows
   * - transient: two writers met; the same statement will succeed
   * - refused: the server rejects the account or the database; every host of it would
   * - read-only: this host takes no writes; another one may
   * - lost: the connection, not the server, is in trouble
   * - away: anything else
   */
  readonly kind: "row" | "transient" | "refused" | "read-only" | "lost" | "away";
  /** The reason, and what to do about it where that is known. */
  readonly text: string;
}

/** The explanation of an error that has nothing to do with this server's own error codes. */
export function unknownTrouble(error: unknown): Complaint {
  return { kind: "lost", text: reasonOf(error) };
}

/**
 * What both drivers want to know. Without a CA of one's own it is the system's that counts, not
 * Node's own list.
 */
export function tlsOptions({ ca, rejectUnauthorized }: SslConfig): {
  readonly ca: string[];
  readonly rejectUnauthorized: boolean;
} {
  return { ca: ca === undefined ? getCACertificates("system") : [ca], rejectUnauthorized };
}
