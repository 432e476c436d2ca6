import * as v from "valibot";

/** What a section has to say about its keys besides what kind of values they take. */
export interface SectionRules {
  /** Keys that are known, but not here: the reason, by key. */
  readonly elsewhere?: ReadonlyMap<string, string>;
  /** Two keys of which one may be given. */
  readonly eitherOr?: readonly [string, string];
}

/**
 * A table of the configuration: `entries` are its keys; any other is a problem that says where the key belongs, or names the
 * nearest known one.
 *
 * Not valibot's strictObject: that stops at the first unknown key, and an administrator wants to hear of all.
 */
export function section<const Entries extends v.ObjectEntries>(
  entries: Entries,
  { elsewhere, eitherOr }: SectionRules = {},
) {
  return v.pipe(
    v.looseObject(entries, (issue) =>
      issue.expected === "Object" ? "expected a section" : "is missing",
    ),
    v.rawCheck(({ dataset, addIssue }) => {
      const input: unknown = dataset.value;
      if (typeof input !== "object" || input === null) return;
      const complain = (key: string, message: string) =>
        addIssue({
          message,
          path: [{ type: "object", origin: "key", input: { ...input }, key, value: undefined }],
        });
      for (const key of Object.keys(input)) {
        if (Object.hasOwn(entries, key)) continue;
        complain(key, elsewhere?.get(key) ?? unknownKey(key, Object.keys(entries)));
      }
      const [one, other] = eitherOr ?? [];
      if (one !== undefined && other !== undefined && one in input && other in input) {
        complain(other, `there is also ${one}; keep one of them`);
      }
    }),
  );
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return near === undefined
    ? `unknown key; known here: ${known.join(", ")}`
    : `unknown key; did you mean ${near}?`;
}

/** The known key that takes the fewest changes to make from `key`, if it takes at most a third of its letters. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(key.length / 3)) + 1;
  for (const candidate of known) {
    const changes = distance(key, candidate);
    if (changes < least) [best, least] = [candidate, changes];
  }
  return best;
}

/** Levenshtein's distance: letters to insert, delete or replace. */
function distance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [row, letter] of Array.from(from).entries()) {
    const current = [row + 1];
    for (const [column, other] of Array.from(to).entries()) {
      current.push(
        Math.min(
          (current[column] ?? 0) + 1,
          (previous[column + 1] ?? 0) + 1,
          (previous[column] ?? 0) + (letter === other ? 0 : 1),
        ),
      );
    }
    previous = current;
  }
  return previous[to.length] ?? 0;
}
