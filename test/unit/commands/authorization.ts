import assert from "node:assert/strict";
import { parseAddress, type Address } from "../../../src/login/address.ts";
import type { Authorization } from "../../../src/stores/store.ts";

/** When the tests take place. */
export const NOW = new Date(2026, 2, 3, 10, 0, 0).getTime();

export const MINUTE = 60_000;

export function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

/** Bob's, from 192.0.2.1, ten minutes old, after three logins. */
export function authorization(changes: Partial<Authorization> = {}): Authorization {
  return {
    address: address("192.0.2.1"),
    user: "bob@example.org",
    service: "imap",
    firstSeen: new Date(NOW - 70 * MINUTE),
    lastSeen: new Date(NOW - 10 * MINUTE),
    logins: 3,
    ...changes,
  };
}
