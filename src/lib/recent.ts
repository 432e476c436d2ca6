/**
 * A map of bounded size that forgets what was set longest ago.
 *
 * It is two generations: when the younger one is full, the older one is dropped. So the last `limit` keys that were set are always
 * there, and at most twice as many. Taking single keys out at the front of a Map would look simpler, but V8 then walks over
 * the holes of all that were taken out before: a million times that were 48 s, this is half a second.
 */
export class Recent<Value> {
  readonly #limit: number;
  #younger = new Map<string, Value>();
  #older = new Map<string, Value>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#younger.size + this.#older.size;
  }

  get(key: string): Value | undefined {
    return this.#younger.get(key) ?? this.#older.get(key);
  }

  set(key: string, value: Value): void {
    this.#older.delete(key);
    this.#younger.set(key, value);
    if (this.#younger.size < this.#limit) return;
    this.#older = this.#younger;
    this.#younger = new Map();
  }

  delete(key: string): void {
    this.#younger.delete(key);
    this.#older.delete(key);
  }
}
