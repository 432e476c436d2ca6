/** A parser for lists of restrictions in main.cf (postconf(5), smtpd_relay_restrictions). */

/**
 * A restriction: its name and argument ("check_client_access", "pgsql:/etc/postfix/popbsmtp.cf").
 */
export interface Restriction {
  readonly name: string;
  readonly argument: string | undefined;
}

/** Restrictions that take an argument: lookups in maps, policy services and DNS lists. */
const TAKES_ARGUMENT =
  /^(?:check_\w+|reject_rbl_client|reject_rhsbl_\w+|permit_dnswl_client|permit_rhswl_client)$/;

const ENDS = ["reject_unauth_destination", "defer_unauth_destination", "reject", "defer"];

/** Blanks and commas separate words; braces, which may be nested and within a word, group them. */
function split(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let depth = 0;
  for (const character of `${text},`) {
    if (character === "{") depth++;
    if (character === "}") depth--;
    if (depth > 0 || !/[\s,]/.test(character)) word += character;
    else if (word !== "") {
      words.push(word);
      word = "";
    }
  }
  return words;
}

export function parseRestrictions(text: string): readonly Restriction[] {
  const words = split(text);
  const restrictions: Restriction[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const argument = TAKES_ARGUMENT.test(word) ? words.shift() : undefined;
    restrictions.push({ name: word, argument });
  }
  return restrictions;
}

/** The list with its classes (smtpd_restriction_classes) expanded. */
export function withClasses(
  restrictions: readonly Restriction[],
  classes: ReadonlyMap<string, readonly Restriction[]>,
): readonly Restriction[] {
  return restrictions.flatMap((each) => classes.get(each.name) ?? [each]);
}

/** The reverse of {@link parseRestrictions}. */
export function restrictionsText(restrictions: readonly Restriction[]): string {
  return restrictions
    .map(({ name, argument }) => (argument === undefined ? name : `${name} ${argument}`))
    .join(", ");
}

/** Whether a restriction rejects every client that was not permitted before it. */
export function isEnd(name: string): boolean {
  return ENDS.includes(name);
}

/** The position at which outsiders are rejected; the length of the list if they are not. */
export function endOf(restrictions: readonly Restriction[]): number {
  const end = restrictions.findIndex(({ name }) => isEnd(name));
  return end < 0 ? restrictions.length : end;
}

/**
 * The list with `access` in the right place: after permit_auth_destination, before outsiders are
 * rejected.
 */
export function corrected(
  restrictions: readonly Restriction[],
  access: Restriction,
): readonly Restriction[] {
  const others = restrictions.filter(
    ({ name, argument }) =>
      name !== "permit_auth_destination" && (name !== access.name || argument !== access.argument),
  );
  const end = endOf(others);
  const last = others.slice(end);
  return [
    ...others.slice(0, end),
    { name: "permit_auth_destination", argument: undefined },
    access,
    ...(last.length > 0 ? last : [{ name: "defer_unauth_destination", argument: undefined }]),
  ];
}
