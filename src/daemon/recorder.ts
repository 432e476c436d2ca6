import type { Login } from "../login.ts";

/** What became of a login: it is in the store, or in the spool, from where a drain will carry it there. */
export type Outcome = "committed" | "spooled" | "excluded" | "lost";
