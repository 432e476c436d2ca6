/** The steps that make popbsmtp's own files and its database. */
import { existsSync } from "node:fs";
import { DEFAULT_CONFIG_PATH } from "../config/config.ts";
import { shellWord } from "../doctor/findings/words.ts";
import { ConfigError } from "../lib/errors.ts";
import { findAccount } from "../system/privileges.ts";
import { runProgram } from "../system/run-program.ts";
import { keeping, restoring, writing, type Step } from "./step.ts";
import type { StoreChoice } from "./setup-answers.ts";
import { mysqlClient } from "./survey.ts";

const ROLES = ["popbsmtp", "popbsmtp_purger", "popbsmtp_reader"] as const;
const TABLES = ["popbsmtp", "popbsmtp_schema", "popbsmtp_revocations"] as const;
const CONFIG_HOME = "/etc/popbsmtp";
const SPOOL = "/var/spool/popbsmtp";
const SQLITE_HOME = "/var/lib/popbsmtp";

/** The account, and the directories that are missing. */
export function accountSteps(): readonly Step[] {
  const steps: Step[] = [];
  if (findAccount("popbsmtp") === undefined) {
    steps.push({
      name: "10-account",
      title: "Create the account popbsmtp",
      lines:
        "useradd --system --user-group --home-dir /nonexistent --shell /usr/sbin/nologin popbsmtp",
      // the daemon may still be ending
      undo: `tries=0
while id popbsmtp >/dev/null 2>&1 && ! userdel popbsmtp 2>/dev/null; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { userdel popbsmtp; exit 1; }
  sleep 0.2
done`,
    });
  }
  const directories = [
    [CONFIG_HOME, "install -d -o root -g popbsmtp -m 750"],
    [SPOOL, "install -d -o popbsmtp -g popbsmtp -m 700"],
  ] as const;
  const missing = directories.filter(([path]) => !existsSync(path));
  if (missing.length > 0) {
    steps.push({
      name: "15-directories",
      title: `Create ${missing.map(([path]) => path).join(" and ")}`,
      lines: missing.map(([path, command]) => `${command} ${path}`).join("\n"),
      undo: missing.map(([path]) => `rm -rf ${path}`).join("\n"),
    });
  }
  return steps;
}

/**
 * The configuration of a new installation.
 *
 * @param before the text of the file that is replaced, which contains no setting
 */
export function configSteps(text: string, before: string | undefined): readonly Step[] {
  const write = writing(DEFAULT_CONFIG_PATH, text, "0640", "popbsmtp");
  return [
    {
      name: "20-configuration",
      title: `Write the configuration, ${DEFAULT_CONFIG_PATH}`,
      lines: before === undefined ? write : `${keeping(DEFAULT_CONFIG_PATH)}\n${write}`,
      undo: before === undefined ? `rm -f ${DEFAULT_CONFIG_PATH}` : restoring(DEFAULT_CONFIG_PATH),
      file: { path: DEFAULT_CONFIG_PATH, text, before },
    },
  ];
}

/** The section [store] of a new configuration. */
export function storeSection(store: StoreChoice, database: string): string {
  if (store === "sqlite") {
    return `[store]\ndriver = "sqlite"\npath = "${SQLITE_HOME}/popbsmtp.db"\n`;
  }
  const host = store === "pgsql" ? 'host = "localhost"\n' : "";
  const passwordFile = (role: string) => `password-file = "${CONFIG_HOME}/${role}.password"\n`;
  return (
    `[store]\ndriver = "${store}"\n${host}database = "${database}"\nuser = "popbsmtp"\n${passwordFile("popbsmtp")}\n` +
    `[store.purger]\n${passwordFile("popbsmtp_purger")}\n[store.reader]\n${passwordFile("popbsmtp_reader")}`
  );
}

/**
 * The database, its accounts and its tables.
 *
 * @param program the word that runs popbsmtp
 */
export async function databaseSteps(
  store: StoreChoice,
  database: string,
  program: string,
): Promise<readonly Step[]> {
  if (store === "sqlite") return [sqliteStep(program)];
  const server = store === "pgsql" ? await postgres(database) : await mysql(database);
  const passwords = ROLES.map((role) => `${CONFIG_HOME}/${role}.password`);
  return [
    {
      name: "25-passwords",
      title: "Make up passwords for the three database accounts",
      lines: `for role in ${ROLES.join(" ")}; do
  (umask 027; od -An -N24 -tx1 /dev/urandom | tr -d ' \\n' > ${CONFIG_HOME}/$role.password)
  chgrp popbsmtp ${CONFIG_HOME}/$role.password
done`,
      undo: `rm -f ${passwords.join(" ")}`,
    },
    {
      name: "30-database",
      title: `Create the tables and the three accounts in the database ${database}`,
      lines: `cd /
${server.create}
${program} schema print | ${server.client}
${program} schema print --roles | ${server.client}
for role in ${ROLES.join(" ")}; do
  printf "${server.password}\\n" $role "$(cat ${CONFIG_HOME}/$role.password)"
done | ${server.client}`,
      undo: `cd /\n${server.drop}`,
    },
  ];
}

function sqliteStep(program: string): Step {
  return {
    name: "30-database",
    title: `Create the SQLite database in ${SQLITE_HOME}`,
    lines: `${program} schema install`,
    ...(!existsSync(SQLITE_HOME) && { undo: `rm -rf ${SQLITE_HOME}` }),
  };
}

interface ServerCommands {
  /** Creates the database if it is not there. */
  readonly create: string;
  /** Runs SQL in the database, up to the first error. */
  readonly client: string;
  /** The SQL that sets a password, for printf(1). */
  readonly password: string;
  /** Takes back what was not there before. */
  readonly drop: string;
}

async function postgres(database: string): Promise<ServerCommands> {
  const psql = (of: string) => `runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -d ${of}`;
  const ask = async (of: string, sql: string) => {
    const words = ["-u", "postgres", "--", "psql", "-qAt", "-d", of, "-c", sql];
    return (await runProgram("runuser", words))?.stdout.trim() ?? "";
  };
  refuseAccounts(await ask("postgres", "SELECT rolname FROM pg_roles WHERE rolname ~ '^popbsmtp'"));
  const exists =
    (await ask("postgres", `SELECT 1 FROM pg_database WHERE datname = '${database}'`)) !== "";
  if (exists) {
    refuseTables(
      await ask(database, "SELECT 1 FROM pg_tables WHERE tablename = 'popbsmtp'"),
      database,
    );
  }
  const dropRoles = ROLES.map((role) => `runuser -u postgres -- dropuser --if-exists ${role}`);
  return {
    create: exists ? ":" : `runuser -u postgres -- createdb ${database}`,
    client: psql(database),
    password: "ALTER ROLE %s PASSWORD '%s';",
    drop: [
      ...(exists
        ? [
            `${psql(database)} -c 'DROP TABLE IF EXISTS ${TABLES.join(", ")}'`,
            // what they may do in the schema
            ...ROLES.map((role) => `${psql(database)} -c 'DROP OWNED BY ${role}' || :`),
          ]
        : [`runuser -u postgres -- dropdb --if-exists ${database}`]),
      ...dropRoles,
    ].join("\n"),
  };
}

async function mysql(database: string): Promise<ServerCommands> {
  const client = (await mysqlClient()) ?? "mysql";
  const ask = async (sql: string) => (await runProgram(client, ["-Ne", sql]))?.stdout.trim() ?? "";
  refuseAccounts(await ask("SELECT user FROM mysql.user WHERE user LIKE 'popbsmtp%'"));
  const exists = (await ask(`SHOW DATABASES LIKE '${database}'`)) !== "";
  if (exists) refuseTables(await ask(`SHOW TABLES IN ${database} LIKE 'popbsmtp'`), database);
  const drop = exists
    ? `DROP TABLE IF EXISTS ${TABLES.map((table) => `${database}.${table}`).join(", ")}`
    : `DROP DATABASE IF EXISTS ${database}`;
  const dropUsers = ROLES.map((role) => `DROP USER IF EXISTS ${role}@'%'`);
  return {
    create: `${client} -e 'CREATE DATABASE IF NOT EXISTS ${database}'`,
    client: `${client} ${database}`,
    password: "ALTER USER %s@'%%' IDENTIFIED BY '%s' ACCOUNT UNLOCK;",
    drop: [drop, ...dropUsers].map((sql) => `${client} -e ${shellWord(sql)}`).join("\n"),
  };
}

/** Their passwords would be lost. */
function refuseAccounts(found: string): void {
  if (found === "") return;
  throw new ConfigError([
    `setup: the database server already has the account ${found.split("\n").join(", ")}, but ${DEFAULT_CONFIG_PATH} contains no settings: write it by hand (docs/configuration.md), then run popbsmtp setup again`,
  ]);
}

function refuseTables(found: string, database: string): void {
  if (found === "") return;
  throw new ConfigError([
    `setup: the database ${database} already has a table popbsmtp, but ${DEFAULT_CONFIG_PATH} contains no settings: write it by hand (docs/configuration.md), or choose another database with --database`,
  ]);
}
