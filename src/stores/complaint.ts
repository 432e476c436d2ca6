/** What a database's error means to us. */
export interface Complaint {
  /**
   * - row: it will not take these very rows
   * - transient: two writers met; the same again will do
   * - refused: the server is there and will not have us; another host would say the same
   * - away: anything else
   */
  readonly kind: "row" | "transient" | "refused" | "away";
  /** The reason, and what to do about it where we know. */
  readonly text: string;
}

/**
 * The reason an error gives, in one printable line. Where several addresses of a name were tried, Node's AggregateError
 * has an empty message, and the reasons are inside.
 */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text =
    error instanceof AggregateError && error.message === ""
      ? error.errors.map(reason).join(", ")
      : error.message || error.name;
  // a server may quote what a client sent
  return text.replaceAll(/\p{Cc}+/gu, " ");
}

/** What to do about a table or column that is not there. */
export const INSTALL_HINT = "run: popbsmtp schema install";
