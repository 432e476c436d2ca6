/** Whether a store takes logins. This is the one place that knows; everything else asks here. */

/** Told when a store stops taking logins, and why, and when it takes them again: then `why` is undefined. */
export type OnHealth = (why: string | undefined) => void;

export class Health {
  readonly #name: () => string;
  readonly #onChange: OnHealth;
  #failure: string | undefined;
  /** Statements under way that have outlasted somebody's patience. */
  #late = 0;
  #hasCommitted = false;
  #told: string | undefined;

  /** @param name the store's as it is now, for messages */
  constructor(name: () => string, onChange: OnHealth) {
    this.#name = name;
    this.#onChange = onChange;
  }

  /** Why logins had better not wait for the store; undefined while it takes them. */
  get away(): string | undefined {
    if (this.#failure !== undefined) return this.#failure;
    return this.#late > 0 ? `store: ${this.#name()}: is slow to answer` : undefined;
  }

  /** Whether the store has taken logins and takes them now; undefined before it was first tried. */
  get isUp(): boolean | undefined {
    if (this.away !== undefined) return false;
    return this.#hasCommitted ? true : undefined;
  }

  /** A statement has committed, or the store has refused a row: it answers. */
  answered(): void {
    this.#failure = undefined;
    this.#hasCommitted = true;
    this.#tell();
  }

  /** A statement has failed. */
  failed(why: string): void {
    this.#failure = why;
    this.#tell();
  }

  /**
   * A statement takes too long. Until it ends, the store is away whatever other statements do: the next login would wait behind it.
   *
   * @returns to be called when the statement has ended
   */
  late(): () => void {
    this.#late += 1;
    this.#tell();
    return () => {
      this.#late -= 1;
      this.#tell();
    };
  }

  #tell(): void {
    const { away } = this;
    if (away === this.#told) return;
    this.#told = away;
    this.#onChange(away);
  }
}
