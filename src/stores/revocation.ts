/** Revocations, as every store handles them. */
import { StoreAwayError } from "../lib/errors.ts";
import type { Revocation } from "./store.ts";

/** The address and the user of a revocation as the table has them: NULL for any. */
export function recorded(
  which: Revocation,
): readonly [address: string | null, user: string | null] {
  return ["address" in which ? which.address : null, which.user ?? null];
}

/**
 * Deletes authorizations at once, then records the revocation and deletes those that were committed
 * meanwhile.
 *
 * @returns how many were deleted in all
 * @throws StoreAwayError where the revocation cannot be recorded; then they are deleted all the
 *   same
 */
export async function revokeForGood(
  end: () => Promise<number>,
  record: () => Promise<number>,
): Promise<number> {
  const ended = await end();
  try {
    return ended + (await record());
  } catch (cause) {
    if (!(cause instanceof StoreAwayError)) throw cause;
    const count = ended === 1 ? "1 authorization" : `${ended} authorizations`;
    throw new StoreAwayError(
      `${cause.message}; ${count} ended, but logins that wait in a spool still count`,
      { cause },
    );
  }
}
