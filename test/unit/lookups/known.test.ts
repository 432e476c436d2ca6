import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  parseAddress,
  parseNetwork,
  type Address,
  type Network,
} from "../../../src/login/address.ts";
import { PartlyAwayError, UnsupportedError } from "../../../src/lib/errors.ts";
import { KnownAuthorizations, type KnownOptions } from "../../../src/lookups/known.ts";
import type { Login } from "../../../src/login/login.ts";
import { openStore } from "../../../src/writers/open-stores.ts";
import type { Authorization } from "../../../src/stores/store.ts";
import { StoreClock } from "../../../src/stores/table/store-clock.ts";
import { sqliteWith } from "../../support/config.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const LIFETIME = 1_800_000;
/** When these tests begin. */
const START = Date.UTC(2026, 0, 1);

function address(text: string): Address {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
}

const ALICE = address("192.0.2.1");
const BOB = address("2001:db8::2");

function login(from: Address, time: number): Login {
  return { address: from, user: "u", service: "imap", time };
}

type Reply = number | undefined | Error;

/** A store that answers what it is told to, when it is told to, and a clock. */
class Scene {
  time = START;
  /** How far this host's clock has been set. */
  #set = 0;
  /** Last logins by the store's clock. */
  readonly rows = new Map<Address, number>();
  /** What the store was asked, in order. */
  readonly asked: Address[] = [];
  problem: Error | undefined;
  /** How far the store's clock is ahead of this host's. */
  offset = 0;
  exclude: readonly Network[] = [];
  lifetime = LIFETIME;
  /** Not undefined: the store answers only when told so by these, in order. */
  held: ((reply: Reply) => void)[] | undefined;
  readonly told: string[] = [];
  readonly known: KnownAuthorizations;
  readonly #clock = new StoreClock(() => Promise.resolve(this.time + this.offset), {
    now: () => this.time,
    moment: () => this.time - this.#set,
  });

  constructor(options: Partial<KnownOptions> = {}) {
    this.known = new KnownAuthorizations({
      config: () => ({ lifetime: this.lifetime, exclude: this.exclude }),
      store: () => ({ name: "pgsql db", lookup: (wanted) => this.#lookup(wanted) }),
      now: () => this.time,
      moment: () => this.time - this.#set,
      onFailure: (problem) => this.told.push(problem),
      ...options,
    });
  }

  /** Sets this host's clock, or sleeps; the clock that nobody sets knows nothing of either. */
  setClock(ms: number): void {
    this.time += ms;
    this.#set += ms;
  }

  /** "authorized from memory" */
  async ask(wanted: Address): Promise<string> {
    const { answer, from } = await this.known.lookup(wanted);
    return `${answer} from ${from}`;
  }

  async #lookup(wanted: Address): Promise<Authorization | undefined> {
    this.asked.push(wanted);
    const reply =
      this.held === undefined
        ? (this.problem ?? this.rows.get(wanted))
        : await new Promise<Reply>((resolve) => this.held?.push(resolve));
    if (reply instanceof Error) throw reply;
    if (reply === undefined) return undefined;
    const clocks = await this.#clock.compare(undefined);
    return {
      address: wanted,
      user: undefined,
      service: undefined,
      firstSeen: undefined,
      lastSeen: new Date(clocks.read(reply)),
      logins: undefined,
    };
  }
}

describe("a login noted here", () => {
  for (const outcome of ["committed", "spooled"] as const) {
    it(`authorizes at once when it is ${outcome}, without asking the store`, async () => {
      const scene = new Scene();
      scene.known.note(login(ALICE, START), outcome);
      assert.equal(await scene.ask(ALICE), "authorized from memory");
      assert.deepEqual(scene.asked, []);
    });
  }

  it("authorizes for exactly one lifetime, whatever the store's state", async () => {
    const scene = new Scene();
    scene.problem = new Error("down");
    scene.known.note(login(ALICE, START - 1_000), "committed");
    scene.time = START - 1_000 + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("counts as now when its time lies in the future", async () => {
    const scene = new Scene();
    scene.problem = new Error("down");
    scene.known.note(login(ALICE, START + 60_000), "committed");
    scene.time = START + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("does not shorten the authorization of a later one", async () => {
    const scene = new Scene();
    scene.problem = new Error("down");
    scene.known.note(login(ALICE, START), "committed");
    scene.known.note(login(ALICE, START - LIFETIME / 2), "committed");
    scene.time = START + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
  });

  it("does not authorize if it is older than the lifetime", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START - LIFETIME), "committed");
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("counts for the lifetime that a reload has set", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START - 60_000), "committed");
    scene.lifetime = 60_000;
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("overrides a remembered no of the store", async () => {
    const scene = new Scene();
    assert.equal(await scene.ask(ALICE), "unknown from store");
    scene.known.note(login(ALICE, START), "committed");
    assert.equal(await scene.ask(ALICE), "authorized from memory");
  });
});

describe("an address that was not noted", () => {
  it("is looked up in the store, and then known", async () => {
    const scene = new Scene();
    scene.rows.set(ALICE, START - 10_000);
    assert.equal(await scene.ask(ALICE), "authorized from store");
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    assert.deepEqual(scene.asked, [ALICE]);
    assert.equal(scene.known.size, 1);
  });

  it("is authorized for exactly one lifetime after its last login by this host's clock", async () => {
    for (const offset of [0, 1_900, -1_900, 3_600_000, -3_600_000]) {
      const scene = new Scene();
      scene.offset = offset;
      // clocks that agree to two seconds leave times as they are
      scene.rows.set(ALICE, START - 10_000 + (Math.abs(offset) > 2_000 ? offset : 0));
      await scene.ask(ALICE);
      scene.problem = new Error("down");
      scene.time = START - 10_000 + LIFETIME - 1;
      assert.equal(await scene.ask(ALICE), "authorized from memory");
      scene.time += 1;
      assert.equal(await scene.ask(ALICE), "away from memory");
    }
  });

  it("is unknown if the store still has it but it has expired by this host's clock", async () => {
    const scene = new Scene();
    scene.rows.set(ALICE, START - LIFETIME);
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("is looked up once for all concurrent lookups", async () => {
    const scene = new Scene();
    scene.held = [];
    const answers = [scene.ask(ALICE), scene.ask(ALICE), scene.ask(BOB), scene.ask(ALICE)];
    assert.deepEqual(scene.asked, [ALICE, BOB]);
    scene.held[0]?.(START);
    scene.held[1]?.(undefined);
    assert.deepEqual(await Promise.all(answers), [
      "authorized from store",
      "authorized from store",
      "unknown from store",
      "authorized from store",
    ]);
  });

  it("stays unknown for a second without another question", async () => {
    const scene = new Scene();
    await scene.ask(ALICE);
    scene.rows.set(ALICE, START);
    scene.time += 999;
    assert.equal(await scene.ask(ALICE), "unknown from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "authorized from store");
  });

  it("is looked up again after a second although the clock was set back", async () => {
    const scene = new Scene();
    await scene.ask(ALICE);
    scene.setClock(-60_000);
    scene.time += 1_000;
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("is unknown, and not looked up, if it is excluded", async () => {
    const network = parseNetwork("192.0.2.0/24");
    assert.ok(network);
    const scene = new Scene();
    scene.exclude = [network];
    scene.rows.set(ALICE, START);
    assert.equal(await scene.ask(ALICE), "unknown from memory");
    assert.deepEqual(scene.asked, []);
  });

  it("is authorized when it is noted while the store is asked", async () => {
    const scene = new Scene();
    scene.held = [];
    const answer = scene.ask(ALICE);
    scene.known.note(login(ALICE, START), "committed");
    scene.held[0]?.(undefined);
    assert.equal(await answer, "authorized from store");
    assert.equal(await scene.ask(ALICE), "authorized from memory");
  });
});

describe("a login that the store will never take", () => {
  it("no longer counts once the store has refused it", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START + 0.7), "spooled");
    scene.known.forget(login(ALICE, START));
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("does not affect a later one, or one that was committed", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "spooled");
    scene.known.forget(login(ALICE, START - 1_000));
    scene.known.note(login(BOB, START), "committed");
    scene.known.forget(login(BOB, START));
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    assert.equal(await scene.ask(BOB), "authorized from memory");
  });
});

describe("when this host's clock is set", () => {
  const HOUR = 3_600_000;
  const away = (scene: Scene) => {
    scene.problem = new Error("down");
    return scene;
  };

  for (const step of [-2 * HOUR, -60_000, 1]) {
    it(`by ${step / 1_000} s, a login noted before counts for its lifetime and no longer`, async () => {
      const scene = away(new Scene());
      scene.known.note(login(ALICE, START), "spooled");
      scene.setClock(step);
      scene.time += LIFETIME - 2;
      assert.equal(await scene.ask(ALICE), "authorized from memory");
      scene.time += 2;
      assert.equal(await scene.ask(ALICE), "away from memory");
    });
  }

  it("ahead, or after sleep, authorizations that have expired by it end", async () => {
    const scene = away(new Scene());
    scene.known.note(login(ALICE, START), "spooled");
    scene.setClock(LIFETIME);
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("back, a new login counts from its own time", async () => {
    const scene = away(new Scene());
    scene.known.note(login(ALICE, START), "committed");
    scene.setClock(-2 * HOUR);
    scene.time += 60_000;
    scene.known.note(login(ALICE, scene.time), "committed");
    scene.time += LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("back, an answer of a store with another clock does not count as later", async () => {
    const scene = new Scene();
    scene.rows.set(ALICE, START);
    scene.known.note(login(ALICE, START), "committed");
    await scene.ask(ALICE);
    scene.setClock(-2 * HOUR);
    scene.offset = 2 * HOUR;
    scene.time += 60_000;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    away(scene);
    scene.time += LIFETIME - 60_000 - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("back, a login learnt from a store is not learnt again as a new one", async () => {
    const scene = new Scene();
    scene.rows.set(ALICE, START - 60_000);
    await scene.ask(ALICE);
    scene.setClock(-2 * HOUR);
    scene.offset = 2 * HOUR;
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    away(scene);
    scene.time = START - 60_000 - 2 * HOUR + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("back, a spooled login is no longer in the spool once it was committed", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "spooled");
    scene.setClock(-2 * HOUR);
    scene.time += 3_000;
    scene.known.note(login(ALICE, scene.time), "committed");
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });
});

describe("a store that cannot be asked", () => {
  const asking = () => {
    const scene = new Scene();
    scene.problem = new UnsupportedError("DRAC tells nothing");
    return scene;
  };

  it("lets noted logins count for the whole lifetime", async () => {
    const scene = asking();
    scene.known.note(login(ALICE, START), "committed");
    scene.time = START + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "unknown from memory");
  });

  it("is not away: other addresses are unknown, and no outage is reported", async () => {
    const scene = asking();
    assert.equal(await scene.ask(ALICE), "unknown from memory");
    assert.equal(await scene.ask(BOB), "unknown from memory");
    assert.deepEqual(scene.told, []);
  });
});

describe("a clock that advances while it is read", () => {
  it("does not change a login: once it is committed, the store decides", async () => {
    let ticks = 0;
    let isTicking = true;
    const scene = new Scene({ now: () => START + (isTicking ? ticks++ : ticks) });
    scene.known.note(login(ALICE, START), "spooled");
    isTicking = false;
    scene.known.note(login(ALICE, START), "committed");
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });
});

describe("several stores, one of which is away", () => {
  it("are still asked, since another may know", async () => {
    const scene = new Scene();
    scene.problem = new PartlyAwayError("one is down");
    assert.equal(await scene.ask(ALICE), "away from memory");
    scene.problem = undefined;
    scene.rows.set(BOB, START);
    assert.equal(await scene.ask(BOB), "authorized from store");
  });
});

describe("a known address", () => {
  it("is confirmed by the store every five seconds", async () => {
    const scene = new Scene();
    scene.rows.set(ALICE, START);
    scene.known.note(login(ALICE, START), "committed");
    scene.time += 4_999;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    scene.time += 1;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    assert.deepEqual(scene.asked, [ALICE]);
  });

  for (const noted of [true, false]) {
    it(`ends with a revocation when it was ${noted ? "noted" : "learnt"}`, async () => {
      const scene = new Scene();
      scene.rows.set(ALICE, START);
      if (noted) scene.known.note(login(ALICE, START), "committed");
      else await scene.ask(ALICE);
      scene.rows.clear();
      scene.time += 5_000;
      assert.equal(await scene.ask(ALICE), "unknown from store");
      assert.equal(await scene.ask(ALICE), "unknown from memory");
    });
  }

  it("expires earlier when the later of two users is revoked", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "committed");
    scene.rows.set(ALICE, START - 60_000);
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    scene.problem = new Error("down");
    scene.time = START - 60_000 + LIFETIME;
    assert.equal(await scene.ask(ALICE), "away from memory");
  });

  it("expires later after a login at another host", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "committed");
    scene.rows.set(ALICE, START + 3_000);
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    scene.problem = new Error("down");
    scene.time = START + 3_000 + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
  });

  it("does not expire earlier because of a column of whole seconds", async () => {
    const scene = new Scene();
    scene.time = START + 999;
    scene.known.note(login(ALICE, START + 999), "committed");
    scene.rows.set(ALICE, START);
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    scene.problem = new Error("down");
    scene.time = START + 999 + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from memory");
  });

  it("outlasts a no to a question put before the login", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "committed");
    scene.time += 5_000;
    scene.held = [];
    const answer = scene.ask(ALICE);
    scene.known.note(login(ALICE, START + 5_000), "committed");
    scene.held[0]?.(undefined);
    assert.equal(await answer, "authorized from store");
    assert.equal(await scene.ask(ALICE), "authorized from memory");
  });

  it("outlasts every no while it is in the spool, and none once it is committed", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "spooled");
    for (let minute = 1; minute < 10; minute++) {
      scene.time = START + minute * 60_000;
      assert.equal(await scene.ask(ALICE), "authorized from store");
      assert.equal(await scene.ask(ALICE), "authorized from memory");
    }
    scene.known.note(login(ALICE, START), "committed");
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("is still in the spool when only an earlier login was committed or is shown by the store", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "spooled");
    scene.known.note(login(ALICE, START - 60_000), "committed");
    scene.rows.set(ALICE, START - 60_000);
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "authorized from store");
    scene.rows.clear();
    scene.time = START + LIFETIME - 1;
    assert.equal(await scene.ask(ALICE), "authorized from store");
  });

  it("is no longer in the spool when the store shows it", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "spooled");
    scene.rows.set(ALICE, START);
    scene.time += 5_000;
    await scene.ask(ALICE);
    scene.rows.clear();
    scene.time += 5_000;
    assert.equal(await scene.ask(ALICE), "unknown from store");
  });

  it("is one of a bounded number, of which the last stay", async () => {
    const scene = new Scene({ limit: 100 });
    const addresses = Array.from({ length: 1_000 }, (_, index) =>
      address(`198.51.${Math.floor(index / 250)}.${index % 250}`),
    );
    for (const each of addresses) scene.known.note(login(each, START), "committed");
    assert.ok(scene.known.size <= 200);
    for (const each of addresses.slice(-100)) {
      assert.equal(await scene.ask(each), "authorized from memory");
    }
    const [first] = addresses;
    assert.ok(first);
    assert.equal(await scene.ask(first), "unknown from store");
  });
});

describe("a store that is away", () => {
  it("leaves known addresses authorized, and the others unanswered", async () => {
    const scene = new Scene();
    scene.known.note(login(ALICE, START), "committed");
    scene.time += 5_000;
    scene.problem = new Error("down");
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    assert.equal(await scene.ask(BOB), "away from memory");
    assert.deepEqual(scene.told, ["down"]);
  });

  it("is asked one question a second, about any address, until it answers", async () => {
    const scene = new Scene();
    scene.problem = new Error("down");
    await scene.ask(BOB);
    scene.time += 999;
    assert.equal(await scene.ask(ALICE), "away from memory");
    assert.deepEqual(scene.asked, [BOB]);
    scene.time += 1;
    scene.held = [];
    const first = scene.ask(ALICE);
    assert.equal(await scene.ask(BOB), "away from memory");
    assert.deepEqual(scene.asked, [BOB, ALICE]);
    scene.held[0]?.(undefined);
    assert.equal(await first, "unknown from store");
    scene.held = undefined;
    scene.problem = undefined;
    scene.rows.set(BOB, START);
    assert.equal(await scene.ask(BOB), "authorized from store");
    assert.deepEqual(scene.told, ["down"]);
  });

  it("is asked at once when it has taken a login again", async () => {
    const scene = new Scene();
    scene.problem = new Error("down");
    await scene.ask(BOB);
    scene.problem = undefined;
    scene.rows.set(BOB, START);
    scene.known.note(login(ALICE, START), "spooled");
    assert.equal(await scene.ask(BOB), "away from memory");
    scene.known.note(login(ALICE, START), "committed");
    assert.equal(await scene.ask(BOB), "authorized from store");
  });

  it("is given up at the deadline, and its late answer is still learnt", async () => {
    const scene = new Scene({ deadline: 5 });
    scene.held = [];
    assert.deepEqual(await Promise.all([scene.ask(ALICE), scene.ask(ALICE)]), [
      "away from memory",
      "away from memory",
    ]);
    assert.deepEqual(scene.told, ["store: pgsql db: no answer within 5 ms"]);
    scene.held[0]?.(START);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await scene.ask(ALICE), "authorized from memory");
    assert.deepEqual(scene.told, ["store: pgsql db: no answer within 5 ms"]);
  });

  it("gets a bounded number of questions while it hangs", async () => {
    const scene = new Scene({ deadline: 5 });
    scene.held = [];
    const addresses = Array.from({ length: 5_000 }, (_, index) =>
      address(`203.0.${Math.floor(index / 250)}.${index % 250}`),
    );
    const answers = await Promise.all(addresses.map((each) => scene.ask(each)));
    assert.deepEqual(new Set(answers), new Set(["away from memory"]));
    assert.equal(scene.asked.length, 1_000);
  });
});

it("reports the logins and revocations of a real store", async () => {
  await using directory = temporaryDirectory();
  let skew = 0;
  const now = () => Date.now() + skew;
  const store = openStore(sqliteWith({ path: join(directory.path, "popbsmtp.db") }), {
    lifetime: LIFETIME,
  });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => store.close());
  const known = new KnownAuthorizations({
    config: () => ({ lifetime: LIFETIME, exclude: [] }),
    store: () => store,
    now,
    moment: () => performance.now() + skew,
  });
  // no table yet
  assert.deepEqual(await known.lookup(ALICE), { answer: "away", from: "memory" });
  await store.install();
  skew = 1_000;
  assert.deepEqual(await known.lookup(ALICE), { answer: "unknown", from: "store" });
  await store.authorize([login(ALICE, now()), login(BOB, now())], now());
  known.note(login(BOB, now()), "committed");
  skew = 2_000;
  assert.deepEqual(await known.lookup(ALICE), { answer: "authorized", from: "store" });
  await store.revoke({ user: "u" });
  skew = 10_000;
  assert.deepEqual(await known.lookup(ALICE), { answer: "unknown", from: "store" });
  assert.deepEqual(await known.lookup(BOB), { answer: "unknown", from: "store" });
});
