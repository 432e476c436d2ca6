/** What Postfix, as configured, asks before it relays. */
import type { Config, TableStoreConfig } from "../../config/config.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import { OTHERS, readPostfix, RECIPIENT, type Postfix, type Smtpd } from "./postconf.ts";
import { listWriter, mapFile, notConfigured, usualLookup, writer } from "./postfix-advice.ts";
import {
  cutShortFindings,
  decidingList,
  driverFindings,
  endlessFindings,
  harmFindings,
  orderFinding,
  refusalFindings,
  refusals,
  senderFindings,
} from "./postfix-lists.ts";
import { lookupFindings, proxyFindings, readMap, storeOf, type SqlMap } from "./postfix-lookup.ts";
import { runningFindings, staleFindings } from "./postfix-process.ts";
import { isDaemons, readService, serviceFindings, type AskedService } from "./postfix-service.ts";
import type { Restriction } from "./restrictions.ts";
import type { Subject } from "../findings/subject.ts";
import { shellWord } from "../findings/words.ts";

/** A restriction through which Postfix asks popbsmtp. */
interface PostfixLookup {
  readonly restriction: Restriction;
  /** A database map and its store, or a service of the daemon. */
  readonly asked: { readonly map: SqlMap; readonly store: TableStoreConfig } | AskedService;
}

export async function postfixFindings(subject: Subject): Promise<readonly Finding[]> {
  const which = subject.postfixConfig === undefined ? [] : ["-c", subject.postfixConfig];
  const postfix = await readPostfix(which);
  if (postfix === undefined) return [ok("not installed on this host")];
  if (typeof postfix === "string") {
    const command = ["postconf", ...which, "-n"].map(shellWord).join(" ");
    return [problem(`postconf cannot read its configuration: ${postfix}`, command)];
  }
  const findings = [ok(`Postfix ${postfix.version}`), ...(await relayFindings(subject, postfix))];
  // several services may use the same map
  return findings.filter(
    ({ text }, at) => findings.findIndex((other) => other.text === text) === at,
  );
}

async function relayFindings(subject: Subject, postfix: Postfix): Promise<readonly Finding[]> {
  const { main, owner, smtpds } = postfix;
  if (smtpds.length === 0) return [ok("master.cf has no smtpd: no client can send mail here")];
  const asked = smtpds.map((smtpd) => lookupsOf(smtpd, subject.config));
  const anywhere = [main, ...smtpds].some((smtpd) => asksAnywhere(smtpd, subject.config));
  if (!anywhere) {
    const write = writer(postfix, main);
    return [notConfigured(subject, owner, (usual) => write(decidingList(main), usual))];
  }
  const several = smtpds.length > 1;
  const findings = [...runningFindings(subject, postfix)];
  for (const [at, smtpd] of smtpds.entries()) {
    const lookups = asked[at] ?? [];
    const label = several ? `${smtpd.services.join(", ")}: ` : "";
    const found =
      lookups.length > 0
        ? listFindings(subject, postfix, smtpd, lookups)
        : silentFindings(subject, postfix, smtpd, asked.flat());
    findings.push(...found.map((finding) => ({ ...finding, text: `${label}${finding.text}` })));
    for (const lookup of lookups) {
      findings.push(...(await askedFindings(lookup, smtpd, subject, postfix)));
    }
  }
  return findings;
}

/** Checks the lists of an smtpd that asks. */
function listFindings(
  subject: Subject,
  postfix: Postfix,
  smtpd: Smtpd,
  lookups: readonly PostfixLookup[],
): readonly Finding[] {
  const deciding = decidingList(smtpd);
  const write = writer(postfix, smtpd);
  const writeList = listWriter(postfix, smtpd);
  const [first] = lookups;
  if (first !== undefined && onlyAuthenticated(smtpd, first.restriction)) return [authOnly(smtpd)];
  return [
    ...endlessFindings(smtpd, writeList),
    ...lookups.flatMap(({ restriction, asked }) => [
      orderFinding(deciding, smtpd.list(deciding), restriction, write),
      ...refusalFindings(smtpd, restriction, write),
      ...("protocol" in asked
        ? harmFindings(deciding, restriction, asked, write)
        : [
            ...cutShortFindings(deciding, restriction, asked.map, write),
            ...driverFindings(
              deciding,
              restriction,
              asked,
              write,
              mapFile(subject, postfix.owner, asked.map.path),
            ),
          ]),
      ...senderFindings(smtpd, restriction, writeList),
    ]),
  ];
}

/** Whether the map or service exists, and gives the right answers. */
async function askedFindings(
  { asked }: PostfixLookup,
  smtpd: Smtpd,
  subject: Subject,
  postfix: Postfix,
): Promise<readonly Finding[]> {
  if ("protocol" in asked) {
    return [
      ...proxyFindings(asked, postfix),
      await serviceFindings(asked, subject, { ...postfix, chrooted: smtpd.chrooted }),
    ];
  }
  // already reported; a lookup in the wrong database shows nothing
  if (asked.map.type !== asked.store.driver) return [];
  return [
    ...(await lookupFindings(asked.map, asked.store, subject, postfix)),
    ...staleFindings(asked.map, subject, postfix),
  ];
}

/** An smtpd that does not ask, by mistake or by intention. */
function silentFindings(
  subject: Subject,
  postfix: Postfix,
  smtpd: Smtpd,
  elsewhere: readonly PostfixLookup[],
): readonly Finding[] {
  const write = writer(postfix, smtpd);
  const deciding = decidingList(smtpd);
  for (const name of [RECIPIENT, ...OTHERS]) {
    const [misplaced] = findLookups(smtpd, name, subject.config);
    if (misplaced !== undefined) {
      return [misplacedFinding(name, write(deciding, misplaced.restriction))];
    }
  }
  const meant = lookupsOf(postfix.main, subject.config)[0]?.restriction;
  const lookup = meant ?? elsewhere[0]?.restriction ?? usualLookup(subject);
  const nowhere = elsewhere.length === 0;
  if (!nowhere && smtpd.auth && onlyAuthenticated(smtpd, undefined)) return [authOnly(smtpd)];
  if (!nowhere && smtpd.services.every(isLoopback)) {
    return [ok("does not ask; only this host can connect to it")];
  }
  if (meant === undefined || lookup === undefined) {
    return [ok("does not ask: a login does not open the relay at this port")];
  }
  const text = `master.cf overrides ${deciding}, and does not ask: a login does not open the relay at this port`;
  const advice = write(deciding, lookup);
  return [nowhere ? problem(text, ...advice) : warning(text, ...advice)];
}

/**
 * A port for SMTP AUTH alone, such as Debian's submission: one of its lists rejects all other
 * clients.
 */
function onlyAuthenticated(smtpd: Smtpd, restriction: Restriction | undefined): boolean {
  const isOnly = (list: readonly Restriction[]) =>
    list.some(({ name }) => name === "permit_sasl_authenticated") &&
    ["reject", "defer"].includes(list.at(-1)?.name ?? "");
  if (!smtpd.auth || smtpd.overridden.size === 0) return false;
  if (restriction === undefined) return isOnly(smtpd.list(decidingList(smtpd)));
  return refusals(smtpd, restriction).some(
    ({ name }) => smtpd.overridden.has(name) && isOnly(smtpd.list(name)),
  );
}

function authOnly({ overridden }: Smtpd): Finding {
  return ok(
    `only SMTP AUTH opens the relay at this port (master.cf: ${[...overridden].join(", ")})`,
  );
}

function isLoopback(service: string): boolean {
  return /^(?:127\.|\[?::1\]?:|localhost:)/.test(service);
}

function lookupsOf(smtpd: Smtpd, config: Config): readonly PostfixLookup[] {
  return findLookups(smtpd, decidingList(smtpd), config);
}

function asksAnywhere(smtpd: Smtpd, config: Config): boolean {
  const lists = [decidingList(smtpd), RECIPIENT, ...OTHERS];
  return lists.some((name) => findLookups(smtpd, name, config).length > 0);
}

/**
 * The restrictions that ask popbsmtp: maps whose query reads the store's table, and the daemon's
 * services.
 */
function findLookups(smtpd: Smtpd, list: string, config: Config): readonly PostfixLookup[] {
  return smtpd.list(list).flatMap((restriction): readonly PostfixLookup[] => {
    const service = readService(restriction, smtpd.policySettings);
    if (service !== undefined) {
      return isDaemons(service, config) ? [{ restriction, asked: service }] : [];
    }
    const { name, argument = "" } = restriction;
    const map = name === "check_client_access" ? readMap(argument) : undefined;
    const store = map === undefined ? undefined : storeOf(map, config);
    return map === undefined || store === undefined ? [] : [{ restriction, asked: { map, store } }];
  });
}

function misplacedFinding(name: string, write: readonly string[]): Finding {
  return problem(
    `asks in ${name}, which since Postfix 2.10 does not control relaying: no client may relay`,
    ...write,
  );
}
