/** What Postfix is really configured to ask before it relays. */
import { join } from "node:path";
import { policyRestriction } from "../commands/print-postfix-daemon.ts";
import { relayMap } from "../commands/print-postfix.ts";
import { hasTable, type Config, type TableStoreConfig } from "../config/config.ts";
import { ok, problem, warning, type Finding } from "./finding.ts";
import { OTHERS, readPostfix, RECIPIENT, RELAY, type Postfix } from "./postconf.ts";
import { lookupFindings, proxyFindings, readMap, storeOf, type SqlMap } from "./postfix-lookup.ts";
import {
  harmless,
  isDaemons,
  readService,
  serviceFindings,
  type Service,
} from "./postfix-service.ts";
import {
  corrected,
  endOf,
  parseRestrictions,
  restrictionsText,
  type Restriction,
} from "./restrictions.ts";
import type { Subject } from "./subject.ts";
import { popbsmtp, shellWord } from "./words.ts";

/** Where one of Postfix's lists asks us. */
interface Lookup {
  readonly restriction: Restriction;
  /** A map of a database's, with the store that it asks, or one of the daemon's services. */
  readonly asked: { readonly map: SqlMap; readonly store: TableStoreConfig } | Service;
}

export async function postfixFindings(subject: Subject): Promise<readonly Finding[]> {
  const which = subject.postfixConfig === undefined ? [] : ["-c", subject.postfixConfig];
  const postfix = await readPostfix(which);
  if (postfix === undefined) return [ok("not installed on this host")];
  if (typeof postfix === "string") {
    const command = ["postconf", ...which, "-n"].map(shellWord).join(" ");
    return [problem(`postconf cannot read its configuration: ${postfix}`, command)];
  }
  return [ok(`Postfix ${postfix.version}`), ...(await relayFindings(subject, postfix))];
}

async function relayFindings(subject: Subject, postfix: Postfix): Promise<readonly Finding[]> {
  const { list } = postfix;
  // where the first is empty, as it may be after an upgrade from before 2.10, the second decides
  const deciding = list(RELAY).length > 0 ? RELAY : RECIPIENT;
  const write = writer(postfix);
  const lookups = findLookups(list(deciding), subject.config, postfix);
  if (lookups.length === 0) {
    for (const name of [RECIPIENT, ...OTHERS]) {
      const misplaced = findLookups(list(name), subject.config, postfix)[0]?.restriction;
      if (misplaced !== undefined) return [misplacedFinding(name, write(deciding, misplaced))];
    }
    return [notConfigured(subject, (usual) => write(deciding, usual))];
  }
  const findings: Finding[] = [];
  for (const lookup of lookups) {
    findings.push(
      orderFinding(deciding, list(deciding), lookup, write),
      ...(deciding === RELAY ? recipientFindings(list(RECIPIENT), lookup, write) : []),
      ...("protocol" in lookup.asked
        ? [
            ...proxyFindings(lookup.asked, postfix),
            ...harmFindings(deciding, lookup.restriction, lookup.asked, write),
            await serviceFindings(lookup.asked, subject, postfix),
          ]
        : [
            ...cutShortFindings(deciding, lookup.restriction, lookup.asked.map, write),
            ...(await lookupFindings(lookup.asked.map, lookup.asked.store, subject, postfix)),
          ]),
    );
  }
  return findings;
}

/** The restrictions that ask us: maps with the store's table in their query, and the daemon's services. */
function findLookups(
  list: readonly Restriction[],
  config: Config,
  { policySettings }: Postfix,
): readonly Lookup[] {
  return list.flatMap((restriction): readonly Lookup[] => {
    const service = readService(restriction, policySettings);
    if (service !== undefined) {
      return isDaemons(service, config) ? [{ restriction, asked: service }] : [];
    }
    const { name, argument = "" } = restriction;
    const map = name === "check_client_access" ? readMap(argument) : undefined;
    const store = map === undefined ? undefined : storeOf(map, config);
    return map === undefined || store === undefined ? [] : [{ restriction, asked: { map, store } }];
  });
}

/** Makes the command that puts the lookup where it belongs in a list, in another's place where there is one. */
type Writer = (name: string, access: Restriction, instead?: Restriction) => string;

function writer({ which, list }: Postfix): Writer {
  return (name, access, instead) => {
    const others = list(name).filter((each) => each !== instead);
    // postconf has expanded all variables: what dollars are left are meant
    const value = restrictionsText(corrected(others, access)).replaceAll("$", "$$$$");
    return ["postconf", ...which, "-e", `${name} = ${value}`].map(shellWord).join(" ");
  };
}

/** The daemon's policy service where there is a daemon, or no table; else a map of the store's. */
function usualLookup({ config, daemon, postfixConfig }: Subject): Restriction | undefined {
  const table = config.stores.find(hasTable);
  const policy =
    daemon === undefined && table !== undefined ? undefined : policyRestriction(config.serve);
  if (policy === undefined) return table && ofMap(table.driver, mapPath(postfixConfig));
  const [restriction] = parseRestrictions(policy);
  if (restriction === undefined) throw new Error(`${policy} is a restriction`);
  return restriction;
}

function ofMap(driver: TableStoreConfig["driver"], path: string): Restriction {
  // as Postfix has it once it has read main.cf
  const argument = relayMap(driver, path).replaceAll("$$", "$");
  return { name: "check_client_access", argument };
}

/** Where the map file is to be. */
function mapPath(postfixConfig = "/etc/postfix"): string {
  return join(postfixConfig, "popbsmtp.cf");
}

function notConfigured(subject: Subject, write: (usual: Restriction) => string): Finding {
  const { config, postfixConfig } = subject;
  const usual = usualLookup(subject);
  const path = shellWord(mapPath(postfixConfig));
  const map = [
    `(umask 077; ${popbsmtp(config)} print postfix map > ${path})`,
    `chgrp postfix ${path}; chmod 640 ${path}`,
  ];
  return warning(
    "does not ask whether a client may relay: right only where another host relays",
    ...(usual?.name === "check_client_access" ? map : []),
    ...(usual === undefined
      ? ["no store has a table that Postfix could ask: see policy in the section [serve]"]
      : [write(usual), "postfix reload"]),
  );
}

function misplacedFinding(name: string, write: string): Finding {
  return problem(
    `asks in ${name}, which since Postfix 2.10 does not decide about relaying: nobody may relay`,
    write,
    "postfix reload",
  );
}

function orderFinding(
  name: string,
  list: readonly Restriction[],
  { restriction }: Lookup,
  write: Writer,
): Finding {
  const at = list.indexOf(restriction);
  const end = endOf(list);
  const advice = [write(name, restriction), "postfix reload"];
  const subject = `${restriction.name} ${restriction.argument ?? ""}`;
  if (at > end) {
    const text = `${name}: ${list[end]?.name ?? ""} comes before ${subject}: nobody may relay`;
    return problem(text, ...advice);
  }
  const inbound = list.slice(0, at).some((each) => each.name === "permit_auth_destination");
  if (inbound) return ok(`${name} asks ${restriction.argument ?? ""}`);
  const missing = `${name}: permit_auth_destination is not in front of ${subject}:`;
  // a policy service that fails has no opinion (default_action), but Postfix tries it twice; a map that fails is a 451
  return restriction.name === "check_policy_service"
    ? warning(
        `${missing} while the daemon is down, mail for your own domains waits for it`,
        ...advice,
      )
    : problem(
        `${missing} when the store is down, mail for your own domains is turned away, too (451)`,
        ...advice,
      );
}

/** Postfix asks an SQL map for parts of IPv6 addresses, too, and what is left of one may be another, whole one. */
function cutShortFindings(
  name: string,
  restriction: Restriction,
  map: SqlMap,
  write: Writer,
): readonly Finding[] {
  if (map.whole) return [];
  return [
    problem(
      `${name}: ${restriction.argument ?? ""} is asked for IPv6 addresses cut short, too: when 2001:db8::1 has read mail, 2001:db8::1:2 may relay`,
      write(name, ofMap(map.type, map.path), restriction),
      "postfix reload",
    ),
  ];
}

/** A policy service that fails is to have no opinion, and one that hangs is not to hold a client for 100 s. */
function harmFindings(
  name: string,
  restriction: Restriction,
  service: Service,
  write: Writer,
): readonly Finding[] {
  const right = harmless(service);
  if (right === undefined) return [];
  const advice = [write(name, right, restriction), "postfix reload"];
  const subject = `${name}: ${restriction.name} ${restriction.argument ?? ""}`;
  if (service.settings.get("default_action") !== "DUNNO") {
    const text = `${subject}: without default_action=DUNNO who is not yours gets a 451 while the daemon is down`;
    return [problem(text, ...advice)];
  }
  return [
    warning(
      `${subject}: without timeout=2s a daemon that hangs holds clients for 100 s`,
      ...advice,
    ),
  ];
}

/** What the relay list permits, the recipient list can still refuse. */
function recipientFindings(
  list: readonly Restriction[],
  { restriction }: Lookup,
  write: Writer,
): readonly Finding[] {
  const end = endOf(list);
  const refuses = list[end]?.name ?? "";
  const asked = list.slice(0, end).some(({ argument }) => argument === restriction.argument);
  if (asked || !refuses.endsWith("_unauth_destination")) return [];
  return [
    problem(
      `${RECIPIENT}: ${refuses} refuses again whom ${RELAY} has permitted`,
      write(RECIPIENT, restriction),
      "postfix reload",
    ),
  ];
}
