import { getCACertificates } from "node:tls";
import type { SslConfig } from "../../config/config.ts";

/** What both drivers want to know. Without a CA of one's own it is the system's that counts, not Node's own list. */
export function tlsOptions({ ca, rejectUnauthorized }: SslConfig): {
  readonly ca: string[];
  readonly rejectUnauthorized: boolean;
} {
  return { ca: ca === undefined ? getCACertificates("system") : [ca], rejectUnauthorized };
}
