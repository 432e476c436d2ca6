import type { Address } from "../login/address.ts";
import type { Config, Endpoint } from "../config/config.ts";
import { question } from "../doctor/findings/question.ts";

const POLICY_YES = "action=OK\n\n";
const POLICY_NO = "action=DUNNO\n\n";
const SOCKETMAP_YES = "5:OK OK,";
const SOCKETMAP_NO = "9:NOTFOUND ,";

/** The daemon's answer to mail servers about an address. */
export type DaemonAnswer =
  | { readonly answer: "authorized" }
  /**
   * `isSure` is false for the policy service, which gives this answer also if it does not know the
   * address and the store is away.
   */
  | { readonly answer: "unknown"; readonly isSure: boolean }
  /** The daemon does not know the address, and its store is away. */
  | { readonly answer: "away"; readonly why: string };

/**
 * Asks the daemon at its sockets, one after the other, until it answers. undefined if it is not
 * running.
 */
export async function askDaemon(
  { socketmap, policy }: Pick<Config["serve"], "socketmap" | "policy">,
  address: Address,
): Promise<DaemonAnswer | undefined> {
  const key = `relay ${address}`;
  // the policy service cannot report that the store is away
  for (const endpoint of socketmap) {
    const said = await ask(endpoint, `${key.length}:${key},`);
    if (said !== undefined) return said;
  }
  for (const endpoint of policy) {
    const said = await ask(endpoint, `request=smtpd_access_policy\nclient_address=${address}\n\n`);
    if (said !== undefined) return said;
  }
  return undefined;
}

async function ask(endpoint: Endpoint, text: string): Promise<DaemonAnswer | undefined> {
  const asked = await question(endpoint, text);
  if (!("answer" in asked)) return undefined;
  switch (asked.answer) {
    case POLICY_YES:
    case SOCKETMAP_YES:
      return { answer: "authorized" };
    case SOCKETMAP_NO:
      return { answer: "unknown", isSure: true };
    case POLICY_NO:
      return { answer: "unknown", isSure: false };
  }
  const why = /^\d+:TEMP (.+),$/.exec(asked.answer)?.[1];
  return why === undefined ? undefined : { answer: "away", why };
}
