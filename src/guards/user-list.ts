/** Users by name or by pattern: "bob@example.org", "*@devices.example.org". */
export class UserList {
  readonly #names = new Set<string>();
  readonly #patterns: RegExp[] = [];

  /**
   * @param entries names as the mail server spells them; "*" stands for any characters, also none.
   * Upper and lower case differ, as they do in the store
   */
  constructor(entries: Iterable<string>) {
    for (const entry of entries) {
      if (entry.includes("*")) this.#patterns.push(patternOf(entry));
      else this.#names.add(entry);
    }
  }

  get size(): number {
    return this.#names.size + this.#patterns.length;
  }

  has(user: string): boolean {
    return this.#names.has(user) || this.#patterns.some((pattern) => pattern.test(user));
  }
}

function patternOf(entry: string): RegExp {
  const parts = entry.split(/\*+/).map((part) => part.replaceAll(/[\\^$.+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*")}$`, "u");
}
