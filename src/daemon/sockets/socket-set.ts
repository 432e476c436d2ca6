/** A set of sockets that follows the configuration: open, missing, replaced at a reload. */
import type { Log } from "../log/log.ts";
import { Missing } from "./missing.ts";

/** A place to listen at. */
export interface SocketPlace<Role, Opened> {
  readonly role: Role;
  /** Identifies the place among those of its role: "127.0.0.1:10040". */
  readonly at: string;
  /** Whether the socket was handed over: then it stays, and its role has only such sockets. */
  readonly isHanded: boolean;
  /** Whether the daemon does without the socket while it cannot be opened. */
  readonly mayMiss: boolean;
  /** @param patience how long to wait for another process to leave the place. Milliseconds */
  readonly open: (patience: number) => Promise<Opened>;
}

/** An open socket. */
export interface Member<Role, Opened> extends Pick<
  SocketPlace<Role, Opened>,
  "role" | "at" | "isHanded"
> {
  readonly socket: Opened;
}

interface Closable {
  /** @param patience how long answers that are under way may take. Milliseconds */
  close(patience: number): Promise<void> | void;
}

export class SocketSet<Role extends string, Opened extends Closable> {
  readonly #missing: Missing<Member<Role, Opened>>;
  #members: readonly Member<Role, Opened>[] = [];

  constructor(log: Log) {
    this.#missing = new Missing(log);
  }

  /** The open sockets. */
  get members(): readonly Member<Role, Opened>[] {
    return this.#members;
  }

  /** Why each missing socket could not be opened. */
  get problems(): readonly string[] {
    return this.#missing.problems;
  }

  /**
   * Whether root could not open a socket for a reason that has passed, and only root can open it.
   */
  get needsRoot(): boolean {
    return this.#missing.needsRoot;
  }

  /** Adds a socket that was handed over. It stays, and its role has only such sockets. */
  async take(place: Pick<SocketPlace<Role, Opened>, "role" | "at" | "open">): Promise<void> {
    await this.open([{ ...place, isHanded: true, mayMiss: false }], 0);
  }

  /**
   * Opens sockets at these places, except for roles with a socket that was handed over.
   *
   * @throws the error of a socket that must not be missing; then none of them is open
   */
  async open(places: readonly SocketPlace<Role, Opened>[], patience: number): Promise<void> {
    const opened: Member<Role, Opened>[] = [];
    try {
      for (const place of this.#free(places)) {
        const attempt = (ms: number) => openAt(place, ms);
        const member = place.mayMiss
          ? await this.#missing.attempt(nameOf(place), attempt, patience)
          : await attempt(patience);
        if (member !== undefined) opened.push(member);
      }
    } catch (error) {
      await closeAll(opened, 0);
      throw error;
    }
    this.#members = [...this.#members, ...opened];
  }

  /** Tries to open the missing sockets again. Returns those that are open now. */
  async retry(): Promise<readonly Member<Role, Opened>[]> {
    const opened = await this.#missing.retry();
    this.#members = [...this.#members, ...opened];
    return opened;
  }

  /**
   * Opens the sockets that are new in `places`, and forgets those that are no longer in it. Sockets
   * that stay are not touched.
   *
   * @param agreed must succeed, too; called once the new sockets are open
   * @returns the new ones, and the old ones for the caller to close
   * @throws the error of a new socket or of `agreed`; then nothing changes
   */
  async change(
    places: readonly SocketPlace<Role, Opened>[],
    agreed: () => Promise<void>,
  ): Promise<Record<"opened" | "gone", readonly Member<Role, Opened>[]>> {
    const wanted = this.#free(places);
    const kept = this.#members.filter(({ isHanded }) => isHanded);
    const opened: Member<Role, Opened>[] = [];
    try {
      for (const place of wanted) {
        const same = this.#members.find((member) => nameOf(member) === nameOf(place));
        if (same !== undefined) kept.push(same);
        else if (!this.#missing.has(nameOf(place))) opened.push(await openAt(place, 0));
      }
      await agreed();
    } catch (error) {
      await closeAll(opened, 0);
      throw error;
    }
    const gone = this.#members.filter((member) => !kept.includes(member));
    this.#members = [...kept, ...opened];
    this.#missing.keep(wanted.map(nameOf));
    return { opened, gone };
  }

  /** Closes the sockets of the roles for which `isMeant` holds. Default: all roles. */
  async close(patience: number, isMeant: (role: Role) => boolean = () => true): Promise<void> {
    const closed = this.#members.filter(({ role }) => isMeant(role));
    this.#members = this.#members.filter((member) => !closed.includes(member));
    await closeAll(closed, patience);
  }

  #free(places: readonly SocketPlace<Role, Opened>[]): readonly SocketPlace<Role, Opened>[] {
    const handed = this.#members.filter(({ isHanded }) => isHanded);
    return places.filter(
      ({ role, isHanded }) => isHanded || handed.every((member) => member.role !== role),
    );
  }
}

function nameOf({ role, at }: { readonly role: string; readonly at: string }): string {
  return `${role}=${at}`;
}

async function openAt<Role, Opened>(
  { role, at, isHanded, open }: SocketPlace<Role, Opened>,
  patience: number,
): Promise<Member<Role, Opened>> {
  return { role, at, isHanded, socket: await open(patience) };
}

async function closeAll(
  members: readonly Member<unknown, Closable>[],
  patience: number,
): Promise<void> {
  await Promise.all(members.map(async ({ socket }) => socket.close(patience)));
}
