/** Whether a store takes logins. No other part of the program keeps this state. */

/**
 * Called when a store stops taking logins, with the reason, and when it takes them again, with
 * undefined.
 */
export type OnHealth = (why: string | undefined) => void;

export class Health {
  readonly #name: () => string;
  readonly #onChange: OnHealth;
  #failure: string | undefined;
  /** The number of running statements that a client has given up waiting for. */
  #late = 0;
  #hasCommitted = false;
  #told: string | undefined;

  /** @param name returns the store's current name, for messages */
  constructor(name: () => string, onChange: OnHealth) {
    this.#name = name;
    this.#onChange = onChange;
  }

  /** Why logins should not wait for the store; undefined while it takes them. */
  get away(): string | undefined {
    if (this.#failure !== undefined) return this.#failure;
    return this.#late > 0 ? `store: ${this.#name()}: is slow to answer` : undefined;
  }

  /** Whether the store takes logins; undefined until it has first been tried. */
  get isUp(): boolean | undefined {
    if (this.away !== undefined) return false;
    return this.#hasCommitted ? true : undefined;
  }

  /** A statement was committed, or the store refused a row: it is up. */
  answered(): void {
    this.#failure = undefined;
    this.#hasCommitted = true;
    this.#tell();
  }

  /** A statement failed. */
  failed(why: string): void {
    this.#failure = why;
    this.#tell();
  }

  /**
   * A statement is late. Until it ends, the store counts as away whatever other statements do,
   * because the next login would have to wait behind it.
   *
   * @returns a function to call when the statement has ended
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
