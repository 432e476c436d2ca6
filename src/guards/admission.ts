/** Who may use POP-before-SMTP at all. Every source of logins asks here. */
import type { Network } from "../login/address.ts";
import type { Login } from "../login/login.ts";
import type { UserList } from "./user-list.ts";

/** The section [allow]: each condition that is there has to hold. */
export interface AllowConfig {
  readonly users: UserList | undefined;
  readonly networks: readonly Network[] | undefined;
  /** Names of services, such as "imap". */
  readonly services: readonly string[] | undefined;
}

/** What decides whether a login counts. */
export interface Admission {
  /** Networks whose logins do not count. */
  readonly exclude: readonly Network[];
  readonly allow: AllowConfig;
}

/** Why a login does not count: its address is in `exclude`, or a condition of [allow] fails. */
export type Refusal = "excluded" | "not-allowed";

/** Why a login does not count; undefined if it does. Whoever logs in is let in all the same. */
export function refusalOf(
  { address, user, service }: Login,
  { exclude, allow }: Admission,
): Refusal | undefined {
  const isIn = (network: Network) => network.contains(address);
  if (exclude.some(isIn)) return "excluded";
  const { users, networks, services } = allow;
  const isAllowed =
    users?.has(user) !== false &&
    networks?.some(isIn) !== false &&
    services?.includes(service) !== false;
  return isAllowed ? undefined : "not-allowed";
}
