/** The map file through which Postfix asks: pgsql_table(5), mysql_table(5), sqlite_table(5). */
import type { TableStoreConfig } from "../../config/config.ts";
import { ok, problem, warning, type Finding } from "../findings/finding.ts";

/** Parses `name = value` lines; a line that begins with a blank continues the one before. */
export function parseMapFile(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const lines = text
    .split("\n")
    .filter((line) => !/^\s*(?:#|$)/.test(line))
    .join("\n")
    .replaceAll(/\n\s+/g, " ");
  for (const line of lines.split("\n")) {
    const [, name, value] = /^([^\s=]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, value);
  }
  return values;
}

/** Whether a map's query reads the store's table. */
export function isOurs(map: ReadonlyMap<string, string>, { table }: TableStoreConfig): boolean {
  const name = table.slice(table.lastIndexOf(".") + 1);
  return new RegExp(`\\bFROM\\s+\\S*\\b${name}\\b`, "i").test(map.get("query") ?? "");
}

/**
 * Whether the map asks the store that logins are written to, and for live rows only.
 *
 * @param query the query of `print postfix`
 * @param remedy how to write the file again
 */
export function mapFindings(
  path: string,
  map: ReadonlyMap<string, string>,
  store: TableStoreConfig,
  query: string,
  remedy: readonly string[],
): readonly Finding[] {
  const theirs = plain(map.get("query") ?? "");
  const findings = placeFindings(path, map, store, remedy);
  if (!theirs.includes(store.columns.lastSeen)) {
    findings.push(
      problem(
        `${path}: the query does not check ${store.columns.lastSeen}: an address that logged in once may relay for ever`,
        ...remedy,
      ),
    );
  } else if (/::\s*inet|cast\s*\(/i.test(theirs)) {
    findings.push(
      problem(
        `${path}: the query casts the key, which may be a host name: then every client gets a 451`,
        ...remedy,
      ),
    );
  } else if (theirs !== plain(query)) {
    findings.push(
      warning(`${path}: the query is not the one for this configuration (lifetime?)`, ...remedy),
    );
  }
  return findings.length > 0 ? findings : [ok(`${path} asks the store`)];
}

function placeFindings(
  path: string,
  map: ReadonlyMap<string, string>,
  store: TableStoreConfig,
  remedy: readonly string[],
): Finding[] {
  const differs = (name: string, expected: string) =>
    problem(
      `${path}: ${name} is ${map.get(name) ?? "not set"}, and logins are written to ${expected}`,
      ...remedy,
    );
  if (store.driver === "sqlite") {
    return map.get("dbpath") === store.path ? [] : [differs("dbpath", store.path)];
  }
  const database = map.get("dbname") ?? "";
  // or a connection string of libpq, with the name in quotes
  const [, named = database] = /\bdbname\s*=\s*'?([^'\s]+)/.exec(database) ?? [];
  const findings = named === store.database ? [] : [differs("dbname", store.database)];
  const hosts = (map.get("hosts") ?? "").split(/[\s,]+/).map(bareHost);
  if (!store.hosts.some((host) => hosts.includes(host))) {
    const text = `${path}: hosts is ${map.get("hosts") ?? "not set"}, and logins are written to ${store.hosts.join(", ")}`;
    findings.push(warning(text, ...remedy));
  }
  return findings;
}

/** "inet:db.example.org:5432" and "unix:/run/x", reduced to the name. */
function bareHost(host: string): string {
  const [, path] = /^(?:unix:)?(\/.*)$/.exec(host) ?? [];
  return path ?? host.replace(/^inet:/, "").replace(/:\d+$/, "");
}

function plain(query: string): string {
  return query.trim().replaceAll(/\s+/g, " ").replace(/;$/, "");
}
