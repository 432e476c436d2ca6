/** The map through which Postfix asks: whether it works, and gives the right answers. */
import { readFileSync } from "node:fs";
import { hasTable, type Config, type TableStoreConfig } from "../../config/config.ts";
import { findAccount, isRoot, type Account } from "../../system/privileges.ts";
import { postfixQuery } from "../../stores/table/postfix-query.ts";
import { runProgram } from "../../system/run-program.ts";
import { becoming, whyNotReadable } from "../findings/becoming.ts";
import { configurationFile } from "../findings/file-modes.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";
import { mapFile } from "./postfix-advice.ts";
import { isOurs, mapFindings, parseMapFile } from "./map-file.ts";
import type { Postfix } from "./postconf.ts";
import { passwordSql } from "../host/store-away.ts";
import type { Subject } from "../findings/subject.ts";
import { groupName, popbsmtp, shellWord } from "../findings/words.ts";

/** A database map, as a restriction names it: `proxy:pgsql:/etc/postfix/popbsmtp.cf`. */
export interface SqlMap {
  readonly text: string;
  readonly proxied: boolean;
  readonly type: TableStoreConfig["driver"];
  readonly path: string;
  /**
   * Whether Postfix looks up whole addresses only: the map is in a pipemap, after a table of
   * patterns (dict_pipe.c).
   */
  readonly whole: boolean;
  /** The contents of the file; undefined if it cannot be read. */
  readonly values: ReadonlyMap<string, string> | undefined;
}

/**
 * An address that belongs to no host (RFC 5737), and so cannot log in, and a host name: Postfix
 * looks up those too.
 */
const NOBODY = ["192.0.2.0", "nobody.example.org"];

/** undefined if `text` does not name a database map. */
export function readMap(text: string): SqlMap | undefined {
  const [, patterns, piped] =
    /^pipemap:\{\s*((?:regexp|pcre):.*?),?\s*(\S+)\s*\}$/s.exec(text) ?? [];
  const name = piped ?? text;
  const [, proxy, type, path] = /^(proxy:)?(pgsql|mysql|sqlite):(\/.*)$/.exec(name) ?? [];
  if (type !== "pgsql" && type !== "mysql" && type !== "sqlite") return undefined;
  if (path === undefined) return undefined;
  return {
    text: name,
    proxied: proxy !== undefined,
    type,
    path,
    whole: patterns !== undefined,
    values: readValues(path),
  };
}

function readValues(path: string): SqlMap["values"] {
  try {
    return parseMapFile(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** The store that a map reads; undefined if it reads another table. */
export function storeOf(map: SqlMap, { stores }: Config): TableStoreConfig | undefined {
  const tables = stores.filter(hasTable);
  const { values } = map;
  if (values === undefined) return map.path.includes("popbsmtp") ? tables[0] : undefined;
  const named = tables.filter((store) => isOurs(values, store));
  return named.find(({ driver }) => driver === map.type) ?? named[0];
}

/** @param store the result of {@link storeOf} */
export async function lookupFindings(
  map: SqlMap,
  store: TableStoreConfig,
  { config }: Subject,
  postfix: Postfix,
): Promise<readonly Finding[]> {
  const query = postfixQuery(store, config.lifetime);
  const remedy = [`${popbsmtp(config)} print postfix map > ${shellWord(map.path)}`];
  const { owner, which } = postfix;
  const account = isRoot() ? findAccount(owner) : undefined;
  if (map.values === undefined) {
    if (!isRoot()) return [warning(`${map.path}: only root can read it`)];
    return [
      problem(
        `${map.path} is missing or cannot be read: clients that may not relay get a 451`,
        ...mapFile({ config }, owner, map.path),
      ),
    ];
  }
  const found = [
    ...(await typeFindings(map, which)),
    ...proxyFindings(map, postfix),
    ...mode(map, account),
    ...unreadableFindings(map, postfix, account),
    ...mapFindings(map.path, map.values, store, query, remedy),
    ...(account === undefined ? [] : databaseFindings(config, store, owner, account)),
  ];
  // report a fault once
  if (found.some(({ level }) => level === "problem")) return found;
  return [...found, await answers(map, which, account, passwordAdvice(map, store, config))];
}

function mode({ path, values }: SqlMap, account: Account | undefined): readonly Finding[] {
  const secret = values?.has("password") ?? false;
  const finding = configurationFile(path, { secret, account });
  return finding === undefined ? [] : [finding];
}

/** proxymap(8) opens the file as Postfix's user; smtpd(8) opens it as root. */
function unreadableFindings(
  { path, proxied }: SqlMap,
  { owner, which }: Postfix,
  account: Account | undefined,
): readonly Finding[] {
  if (!proxied || account === undefined) return [];
  const why = becoming(owner, account, () => whyNotReadable(path));
  if (why === undefined) return [];
  const word = shellWord(path);
  const group = shellWord(groupName(account.gid));
  return [
    problem(
      `${owner} cannot read ${path} (${why}): clients that may not relay get a 451`,
      `chgrp ${group} ${word}; chmod 640 ${word}    # and x on its directories: namei -l ${word}`,
      ["postfix", ...which, "reload"].map(shellWord).join(" "),
    ),
  ];
}

async function typeFindings(map: SqlMap, which: readonly string[]): Promise<readonly Finding[]> {
  const types = (await runProgram("postconf", [...which, "-m"]))?.stdout.split("\n") ?? [];
  if (types.includes(map.type)) return [];
  return [
    problem(
      `this Postfix does not support ${map.type} maps: clients that may not relay get a 451`,
      `apt-get install postfix-${map.type}`,
    ),
  ];
}

/** Whether proxymap(8) may open a map with `proxy:`. */
export function proxyFindings(
  map: Pick<SqlMap, "text" | "proxied">,
  { which, proxyReadMaps }: Postfix,
): readonly Finding[] {
  if (!map.proxied || proxyReadMaps.includes(map.text)) return [];
  const postconf = ["postconf", ...which].map(shellWord).join(" ");
  return [
    problem(
      `proxy_read_maps does not contain ${map.text}: Postfix refuses to use it`,
      `${postconf} -e "proxy_read_maps = $(${postconf} -h proxy_read_maps) ${map.text}"`,
      ["postfix", ...which, "reload"].map(shellWord).join(" "),
    ),
  ];
}

/** Postfix itself reads the SQLite file and the two files next to it, and cannot create them. */
function databaseFindings(
  config: Config,
  store: TableStoreConfig,
  owner: string,
  account: Account,
): readonly Finding[] {
  if (store.driver !== "sqlite") return [];
  for (const file of ["", "-wal", "-shm"].map((suffix) => store.path + suffix)) {
    const why = becoming(owner, account, () => whyNotReadable(file));
    const group = shellWord(groupName(account.gid));
    const word = shellWord(file);
    if (why === "ENOENT") {
      return [
        problem(
          `${file} is missing, and Postfix cannot create it: clients that may not relay get a 451`,
          file === store.path
            ? `${popbsmtp(config)} schema install`
            : `${popbsmtp(config)} check ${NOBODY[0] ?? ""}    # creates it; use sqlite3 with -readonly only`,
        ),
      ];
    }
    if (why !== undefined) {
      return [
        problem(
          `${owner} cannot read ${file} (${why}): clients that may not relay get a 451`,
          `chgrp ${group} ${word} && chmod g+r ${word}    # and g+x on its directories: namei -l ${word}`,
        ),
      ];
    }
  }
  return [];
}

/** What to do if the server rejects the map's account. */
function passwordAdvice(map: SqlMap, store: TableStoreConfig, config: Config): readonly string[] {
  if (store.driver === "sqlite") return [];
  const account = map.values?.get("user") ?? store.reader.user;
  return [
    `${passwordSql(store, account)}    -- as the database's administrator; or correct password in ${map.path}, and:`,
    `${popbsmtp(config)} print postfix map    # has the one of [store.reader] in it`,
  ];
}

/** Asks with Postfix's privileges: proxymap(8) has none; smtpd(8) opens its maps as root. */
async function answers(
  map: SqlMap,
  which: readonly string[],
  account: Account | undefined,
  onRefusal: readonly string[],
): Promise<Finding> {
  const postmap = [...which, "-q"];
  for (const key of NOBODY) {
    const words = [...postmap, key, `${map.type}:${map.path}`];
    const result = await runProgram("postmap", words, { as: map.proxied ? account : undefined });
    const command = ["postmap", ...words].map(shellWord).join(" ");
    const complaint = result?.complaint ?? "postmap is missing";
    if (complaint !== "") {
      const text = `asking ${map.path} fails: ${complaint}: clients that may not relay get a 451`;
      if (/authentication failed|Access denied/.test(complaint)) {
        return problem(text, ...onRefusal, command);
      }
      return { ...problem(text, command), outage: "symptom" };
    }
    if (result?.ok === true) {
      return problem(
        `${map.path} answers for ${key}, which never logged in: any client may relay`,
        command,
      );
    }
  }
  return ok(`postmap gets the right answer from ${map.path}`);
}
