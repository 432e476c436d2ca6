/**
 * Faults in the list of restrictions that contains the lookup, or in the other lists of the same
 * smtpd.
 */
import { placeOf, type TableStoreConfig } from "../../config/config.ts";
import { problem, ok, warning, type Finding } from "../findings/finding.ts";
import { OTHERS, RECIPIENT, RELAY, SENDER, type Smtpd } from "./postconf.ts";
import { ofMap, type ListWriter, type RestrictionWriter } from "./postfix-advice.ts";
import type { SqlMap } from "./postfix-lookup.ts";
import { harmless, type AskedService } from "./postfix-service.ts";
import { endOf, isEnd, type Restriction } from "./restrictions.ts";

/**
 * smtpd requires one of these in the relay or the recipient list: postconf(5),
 * smtpd_relay_restrictions.
 */
const ALSO_ENDS = ["defer_if_permit", "check_relay_domains"];

/**
 * The list that decides. If smtpd_relay_restrictions is empty, as it may be after an upgrade from
 * Postfix 2.9, it is smtpd_recipient_restrictions.
 */
export function decidingList({ list }: Pick<Smtpd, "list">): string {
  return list(RELAY).length > 0 ? RELAY : RECIPIENT;
}

export function orderFinding(
  name: string,
  list: readonly Restriction[],
  restriction: Restriction,
  write: RestrictionWriter,
): Finding {
  const at = list.indexOf(restriction);
  const end = endOf(list);
  const advice = write(name, restriction);
  const subject = `${restriction.name} ${restriction.argument ?? ""}`;
  if (at > end) {
    const text = `${name}: ${list[end]?.name ?? ""} comes before ${subject}: no client may relay`;
    return problem(text, ...advice);
  }
  const inbound = list.slice(0, at).some((each) => each.name === "permit_auth_destination");
  if (inbound) return ok(`${name} asks ${restriction.argument ?? ""}`);
  const missing = `${name}: permit_auth_destination is not in front of ${subject}:`;
  // a policy service that fails gives its default_action, after Postfix has tried it twice; a map
  // that fails causes a 451
  return restriction.name === "check_policy_service"
    ? warning(
        `${missing} while the daemon is down, mail for your own domains is deferred`,
        ...advice,
      )
    : problem(
        `${missing} when the store is down, mail for your own domains is deferred too (451)`,
        ...advice,
      );
}

/** smtpd exits with a fatal error at the first RCPT if neither list rejects any client. */
export function endlessFindings({ list }: Smtpd, write: ListWriter): readonly Finding[] {
  const both = [...list(RELAY), ...list(RECIPIENT)];
  if (both.some(({ name }) => isEnd(name) || ALSO_ENDS.includes(name))) return [];
  const end = { name: "defer_unauth_destination", argument: undefined };
  const deciding = decidingList({ list });
  return [
    problem(
      `neither ${RELAY} nor ${RECIPIENT} rejects or defers any client: smtpd exits with "fatal: in parameter ${RELAY} or ${RECIPIENT}, specify at least one working instance of: ...", and no mail comes in`,
      ...write(deciding, [...list(deciding), end]),
    ),
  ];
}

/**
 * Postfix also looks up parts of an IPv6 address in an SQL map, and a part may be the address of
 * another host.
 */
export function cutShortFindings(
  name: string,
  restriction: Restriction,
  map: SqlMap,
  write: RestrictionWriter,
): readonly Finding[] {
  if (map.whole) return [];
  return [
    problem(
      `${name}: ${restriction.argument ?? ""} is also asked for truncated IPv6 addresses: when 2001:db8::1 has read mail, 2001:db8::1:2 may relay`,
      ...write(name, ofMap(map.type, map.path), restriction),
    ),
  ];
}

/**
 * popbsmtp.toml names another driver than main.cf: the map reads a database to which no login is
 * written.
 */
export function driverFindings(
  name: string,
  restriction: Restriction,
  { map, store }: { readonly map: SqlMap; readonly store: TableStoreConfig },
  write: RestrictionWriter,
  makeFile: readonly string[],
): readonly Finding[] {
  if (map.type === store.driver) return [];
  return [
    problem(
      `${name} asks ${map.type}:${map.path}, and logins are written to ${placeOf(store)}: no new login opens the relay`,
      ...makeFile,
      ...write(name, ofMap(store.driver, map.path), restriction),
    ),
  ];
}

/**
 * A policy service that fails should have no opinion, and one that hangs should not delay a client
 * for 100 s.
 */
export function harmFindings(
  name: string,
  restriction: Restriction,
  service: AskedService,
  write: RestrictionWriter,
): readonly Finding[] {
  const right = harmless(service);
  if (right === undefined) return [];
  const advice = write(name, right, restriction);
  const subject = `${name}: ${restriction.name} ${restriction.argument ?? ""}`;
  if (service.settings.get("default_action") !== "DUNNO") {
    const text = `${subject}: without default_action=DUNNO clients that may not relay get a 451 while the daemon is down`;
    return [problem(text, ...advice)];
  }
  return [
    warning(
      `${subject}: without timeout=2s a daemon that hangs delays clients by 100 s`,
      ...advice,
    ),
  ];
}

/** Every other list can still reject what the relay list permits. */
export function refusalFindings(
  smtpd: Smtpd,
  restriction: Restriction,
  write: RestrictionWriter,
): readonly Finding[] {
  const deciding = decidingList(smtpd);
  return refusals(smtpd, restriction).map(({ name, refuses }) =>
    problem(
      `${name}: ${refuses} rejects clients that ${deciding} has permitted`,
      ...write(name, restriction),
    ),
  );
}

/** The lists that reject a client unless something other than the lookup permits it. */
export function refusals(
  smtpd: Smtpd,
  restriction: Restriction,
): readonly { readonly name: string; readonly refuses: string }[] {
  const others = [...OTHERS, ...(decidingList(smtpd) === RELAY ? [RECIPIENT] : [])];
  return others.flatMap((name) => {
    const list = smtpd.list(name);
    const end = endOf(list);
    const refuses = list[end]?.name;
    const permitted = list
      .slice(0, end)
      .some(({ name: each, argument }) => each === "permit" || argument === restriction.argument);
    return refuses === undefined || permitted ? [] : [{ name, refuses }];
  });
}

/**
 * 553 for a client without SMTP AUTH whose sender address belongs to a login name: just the clients
 * that need the lookup.
 */
export function senderFindings(
  { auth, list, ownedSenders }: Smtpd,
  restriction: Restriction,
  write: ListWriter,
): readonly Finding[] {
  const senders = list(SENDER);
  const at = senders.findIndex(({ name }) =>
    /^reject_(?:known_|unauthenticated_)?sender_login_mismatch$/.test(name),
  );
  const found = senders[at];
  const isPermitted = senders
    .slice(0, at)
    .some(({ argument }) => argument !== undefined && argument === restriction.argument);
  if (!auth || !ownedSenders || found === undefined || isPermitted) return [];
  const milder = { name: "reject_authenticated_sender_login_mismatch", argument: undefined };
  return [
    warning(
      `${SENDER}: ${found.name} answers 553 to a client that may relay, where the sender address belongs to a login (smtpd_sender_login_maps): the client has not used SMTP AUTH`,
      ...write(SENDER, senders.with(at, milder)),
    ),
  ];
}
