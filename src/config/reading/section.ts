import * as v from "valibot";

/** Rules for the keys of a section, besides the types of their values. */
export interface SectionRules {
  /** Keys that belong elsewhere, with the reason. */
  readonly elsewhere?: ReadonlyMap<string, string>;
  /** Two keys that exclude each other. */
  readonly eitherOr?: readonly [string, string];
}

/**
 * A table of the configuration whose keys are `entries`. Any other key is a problem; its message
 * says where the key belongs, or names the nearest known key.
 *
 * This replaces valibot's strictObject, which stops at the first unknown key: an administrator
 * wants to see them all.
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

/** The known key nearest to `key`, if at most a third of the letters differ. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(key.length / 3)) + 1;
  for (const candidate of known) {
    const changes = distance(key, candidate);
    if (changes < least) [best, least] = [candidate, changes];
  }
  return best;
}

/** The Levenshtein distance: how many letters to insert, delete or replace. */
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
