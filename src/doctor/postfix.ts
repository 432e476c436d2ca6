/** What Postfix is really configured to ask before it relays. */
import { join } from "node:path";
import type { StoreConfig } from "../config/config.ts";
import { ok, problem, warning, type Finding } from "./finding.ts";
import { isOurs } from "./map-file.ts";
import { OTHERS, readPostfix, RECIPIENT, RELAY, type Postfix } from "./postconf.ts";
import { lookupFindings, readMap, type SqlMap } from "./postfix-lookup.ts";
import { corrected, endOf, restrictionsText, type Restriction } from "./restrictions.ts";
import type { Subject } from "./subject.ts";
import { popbsmtp, shellWord } from "./words.ts";

/** Where one of Postfix's lists asks us. */
interface Lookup {
  readonly restriction: Restriction;
  /** Undefined for the daemon's services. */
  readonly map: SqlMap | undefined;
}

/** @param query what `print postfix` would write into the map file */
export async function postfixFindings(
  subject: Subject,
  query: string,
): Promise<readonly Finding[]> {
  const which = subject.postfixConfig === undefined ? [] : ["-c", subject.postfixConfig];
  const postfix = await readPostfix(which);
  if (postfix === undefined) return [ok("not installed on this host")];
  if (typeof postfix === "string") {
    const command = ["postconf", ...which, "-n"].map(shellWord).join(" ");
    return [problem(`postconf cannot read its configuration: ${postfix}`, command)];
  }
  return [ok(`Postfix ${postfix.version}`), ...(await relayFindings(subject, postfix, query))];
}

async function relayFindings(
  subject: Subject,
  postfix: Postfix,
  query: string,
): Promise<readonly Finding[]> {
  const { list } = postfix;
  const { store } = subject.config;
  // where the first is empty, as it may be after an upgrade from before 2.10, the second decides
  const deciding = list(RELAY).length > 0 ? RELAY : RECIPIENT;
  const write = writer(subject, postfix);
  const lookup = findLookup(list(deciding), store);
  if (lookup === undefined) {
    for (const name of [RECIPIENT, ...OTHERS]) {
      const misplaced = findLookup(list(name), store)?.restriction;
      if (misplaced !== undefined) return [misplacedFinding(name, write(deciding, misplaced))];
    }
    return [notConfigured(subject, write(deciding))];
  }
  const { map } = lookup;
  return [
    orderFinding(deciding, list(deciding), lookup, write),
    ...(deciding === RELAY ? recipientFindings(list(RECIPIENT), lookup, write) : []),
    ...(map === undefined ? [] : await lookupFindings(map, subject, postfix, query)),
  ];
}

/** The restriction that asks us: a map with the store's table in its query, or one of the daemon's services. */
function findLookup(list: readonly Restriction[], store: StoreConfig): Lookup | undefined {
  for (const restriction of list) {
    const { name, argument = "" } = restriction;
    const map = name === "check_client_access" ? readMap(argument) : undefined;
    if (map !== undefined) {
      const named = map.values === undefined && map.path.includes("popbsmtp");
      if (named || (map.values !== undefined && isOurs(map.values, store))) {
        return { restriction, map };
      }
    } else if (/^(?:socketmap:|\{?\s*(?:unix|inet):).*popbsmtp/.test(argument)) {
      return { restriction, map: undefined };
    }
  }
  return undefined;
}

/** Makes the command that puts the lookup where it belongs in a list. */
type Writer = (name: string, access?: Restriction) => string;

function writer({ config, postfixConfig }: Subject, { which, list }: Postfix): Writer {
  const usual = {
    name: "check_client_access",
    argument: `proxy:${config.store.driver}:${mapPath(postfixConfig)}`,
  };
  return (name, access = usual) => {
    const value = restrictionsText(corrected(list(name), access));
    return ["postconf", ...which, "-e", `${name} = ${value}`].map(shellWord).join(" ");
  };
}

/** Where the map file is to be. */
function mapPath(postfixConfig = "/etc/postfix"): string {
  return join(postfixConfig, "popbsmtp.cf");
}

function notConfigured({ config, postfixConfig }: Subject, write: string): Finding {
  const path = shellWord(mapPath(postfixConfig));
  return warning(
    "does not ask whether a client may relay: right only where another host relays",
    `(umask 077; ${popbsmtp(config)} print postfix map > ${path})`,
    `chgrp postfix ${path}; chmod 640 ${path}`,
    write,
    "postfix reload",
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
  // a policy service that fails has no opinion (default_action); a map that fails is a 451
  const inbound = list.slice(0, at).some((each) => each.name === "permit_auth_destination");
  if (!inbound && restriction.name === "check_client_access") {
    const text = `${name}: permit_auth_destination is not in front of ${subject}: when the store is down, mail for your own domains is turned away, too (451)`;
    return problem(text, ...advice);
  }
  return ok(`${name} asks ${restriction.argument ?? ""}`);
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
