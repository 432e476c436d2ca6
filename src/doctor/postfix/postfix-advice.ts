/** The commands that put a restriction into the right place. */
import { join } from "node:path";
import { policyRestriction } from "../../setup/print-postfix-daemon.ts";
import { relayMap } from "../../setup/print-postfix.ts";
import { hasTable, type TableStoreConfig } from "../../config/config.ts";
import { warning, type Finding } from "../findings/finding.ts";
import type { Postfix, Smtpd } from "./postconf.ts";
import {
  corrected,
  parseRestrictions,
  restrictionsText,
  type Restriction,
} from "./restrictions.ts";
import type { Subject } from "../findings/subject.ts";
import { popbsmtp, shellWord } from "../findings/words.ts";

/** The commands that put a lookup into the right place of a list, and remove another. */
export type RestrictionWriter = (
  list: string,
  access: Restriction,
  instead?: Restriction,
) => readonly string[];

/** The commands that set a list to these restrictions. */
export type ListWriter = (list: string, restrictions: readonly Restriction[]) => readonly string[];

export function writer(postfix: Postfix, smtpd: Smtpd): RestrictionWriter {
  const write = listWriter(postfix, smtpd);
  return (name, access, instead) => {
    const others = smtpd.list(name).filter((each) => each !== instead);
    return write(name, corrected(others, access));
  };
}

/**
 * A list that master.cf overrides has to be changed there. The new value goes into a variable of
 * main.cf, because postconf -P takes no blanks.
 */
export function listWriter({ which }: Postfix, { overridden, services }: Smtpd): ListWriter {
  const command = (...words: readonly string[]) => words.map(shellWord).join(" ");
  const postconf = (...words: readonly string[]) => command("postconf", ...which, ...words);
  const reload = command("postfix", ...which, "reload");
  return (name, restrictions) => {
    // postconf has expanded all variables, so any remaining dollar is literal
    const value = restrictionsText(restrictions).replaceAll("$", "$$$$");
    if (!overridden.has(name)) return [postconf("-e", `${name} = ${value}`), reload];
    const [service = ""] = services;
    const variable = `${service.replace(/\/\w+$/, "").replaceAll(/\W/g, "_")}_${name}`;
    return [
      postconf("-e", `${variable} = ${value}`),
      ...services.map((each) => postconf("-P", `${each}/${name}=$${variable}`)),
      reload,
    ];
  };
}

export function ofMap(driver: TableStoreConfig["driver"], path: string): Restriction {
  // as Postfix sees it after parsing main.cf
  const argument = relayMap(driver, path).replaceAll("$$", "$");
  return { name: "check_client_access", argument };
}

/** The daemon's policy service if there is a daemon, or no table; otherwise a map of the store. */
export function usualLookup({ config, daemon, postfixConfig }: Subject): Restriction | undefined {
  const table = config.stores.find(hasTable);
  const policy =
    daemon === undefined && table !== undefined ? undefined : policyRestriction(config.serve);
  if (policy === undefined) return table && ofMap(table.driver, mapPath(postfixConfig));
  const [restriction] = parseRestrictions(policy);
  if (restriction === undefined) throw new Error(`${policy} is a restriction`);
  return restriction;
}

/** The path of the map file. */
function mapPath(postfixConfig = "/etc/postfix"): string {
  return join(postfixConfig, "popbsmtp.cf");
}

/** The commands that write the map file. */
export function mapFile(
  { config }: Pick<Subject, "config">,
  owner: string,
  path: string,
): readonly string[] {
  const word = shellWord(path);
  return [
    `(umask 077; ${popbsmtp(config)} print postfix map > ${word})`,
    `chgrp ${owner} ${word}; chmod 640 ${word}`,
  ];
}

export function notConfigured(
  subject: Subject,
  owner: string,
  write: (usual: Restriction) => readonly string[],
): Finding {
  const usual = usualLookup(subject);
  const isMap = usual?.name === "check_client_access";
  return warning(
    "does not ask whether a client may relay: correct only if another host relays",
    ...(isMap ? mapFile(subject, owner, mapPath(subject.postfixConfig)) : []),
    ...(usual === undefined
      ? ["no store has a table that Postfix could ask: see policy in the section [serve]"]
      : write(usual)),
  );
}
