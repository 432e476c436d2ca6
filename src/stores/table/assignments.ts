import type { Columns } from "../../config/config.ts";

/** How a database spells what {@link assignments} needs. */
export interface Spelling {
  readonly quote: (name: string) => string;
  /** A column of the row that is there; takes the quoted name. */
  readonly old: (name: string) => string;
  /** A column of the row that was to be inserted; takes the quoted name. */
  readonly given: (name: string) => string;
  readonly greatest: string;
  readonly least: string;
  /** The time in a minute, by the store's clock. */
  readonly inAMinute: string;
  /**
   * Whether the table's key may take two users for one ("bob" and "Bob" in an administrator's own
   * table). The row then names the one who logged in last, so that a revocation ends what that
   * login has begun, and nothing else.
   */
  readonly isLoose: boolean;
}

/**
 * What an upsert sets where the row is there already. last_seen is set last: MySQL assigns from
 * left to right, and the others compare with the old one.
 *
 * A last_seen that lies in the future has not happened: the table was once written in local time.
 * It is replaced.
 */
export function assignments(columns: Columns, spelling: Spelling): string {
  const { quote, old, given, greatest, least, inAMinute, isLoose } = spelling;
  const last = quote(columns.lastSeen);
  const future = `${old(last)} > ${inAMinute}`;
  const set: string[] = [];
  if (columns.logins !== undefined) {
    const name = quote(columns.logins);
    // the same last login again is a batch that came twice
    const more = `CASE WHEN ${given(last)} = ${old(last)} THEN 0 ELSE ${given(name)} END`;
    set.push(`${name} = ${old(name)} + ${more}`);
  }
  for (const column of [columns.service, isLoose ? columns.user : undefined]) {
    if (column === undefined) continue;
    const name = quote(column);
    const later = `${future} OR ${given(last)} >= ${old(last)}`;
    set.push(`${name} = CASE WHEN ${later} THEN ${given(name)} ELSE ${old(name)} END`);
  }
  if (columns.firstSeen !== undefined) {
    const name = quote(columns.firstSeen);
    set.push(`${name} = ${least}(${old(name)}, ${given(name)})`);
  }
  const latest = `${greatest}(${old(last)}, ${given(last)})`;
  set.push(`${last} = CASE WHEN ${future} THEN ${given(last)} ELSE ${latest} END`);
  return set.join(", ");
}
