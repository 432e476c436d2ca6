/**
 * What popbsmtp is compared with: empty shell scripts, and the scripts of the Dovecot wiki
 * (HowTo/PopBSMTPAndDovecot).
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseServer } from "../test/support/database-server.ts";

/** Scripts that run before a program. */
export interface Rivals {
  readonly dash: string;
  readonly bash: string;
  readonly wikiMysql: string;
  readonly wikiPgsql: string;
}

/** Writes the scripts into a directory, and creates the wiki's tables in the databases. */
export async function writeRivals(
  directory: string,
  { mariadb, postgres }: { readonly mariadb: DatabaseServer; readonly postgres: DatabaseServer },
): Promise<Rivals> {
  const script = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o755 });
    return path;
  };
  await mariadb.query(
    "CREATE TABLE wiki (address varchar(39) PRIMARY KEY, last_seen datetime) ENGINE=InnoDB",
  );
  await postgres.query(
    "CREATE TABLE auth (host text PRIMARY KEY, accessed timestamptz);" +
      "CREATE TABLE last_login (userid text PRIMARY KEY, last_access bigint);" +
      `GRANT ALL ON auth, last_login TO ${postgres.user}`,
  );
  const log = join(directory, "wiki.log");
  writeFileSync(log, "");
  chmodSync(log, 0o666);
  return {
    dash: script("dash", '#!/bin/sh\nexec "$@"\n'),
    bash: script("bash", '#!/bin/bash -p\nexec "$@"\n'),
    wikiMysql: script("wiki-mysql", wikiMysql(mariadb, directory)),
    wikiPgsql: script("wiki-pgsql", wikiPgsql(postgres, log)),
  };
}

/**
 * The later and leaner of the wiki's two scripts for MySQL, with the password in $HOME/.my.cnf, as
 * in the other.
 */
function wikiMysql(mariadb: DatabaseServer, directory: string): string {
  const home = join(directory, "wiki-home");
  mkdirSync(home);
  const { socket, user, password, database } = mariadb;
  writeFileSync(
    join(home, ".my.cnf"),
    `[client]\nsocket = ${socket}\nuser = ${user}\npassword = "${password}"\n`,
  );
  return `#!/bin/sh
(
        if [ -n "$IP" ]
        then
                export HOME=${home}
                echo "REPLACE INTO ${database}.wiki (address,last_seen) VALUES ('$IP', NOW( ))" \\
                | mysql > /dev/null 2>&1
        fi
)
exec "$@"
`;
}

/**
 * Without its substring(), which is for addresses that begin with ::ffff:, as Dovecot 1 writes
 * them.
 */
function wikiPgsql({ socket, port, user, database }: DatabaseServer, log: string): string {
  return `#!/bin/sh
(
    if [ -n "$IP" ]
    then
        /usr/bin/psql -h ${socket} -p ${String(port)} -U ${user} -d ${database} -c "begin;update auth set accessed=now() where host='$IP';commit;insert into auth(host, accessed) values('$IP',now());"
    fi

) >> ${log} 2>&1
exec "$@"
`;
}
