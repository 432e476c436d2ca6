import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Site } from "./site.ts";

/**
 * Dovecot's own way to write logins to a database, as lines of dovecot.conf: the plugin last_login
 * with an SQL dict, which users wait for
 * (https://doc.dovecot.org/2.3/configuration_manual/lastlogin_plugin/). It records users, not
 * addresses; `rivals` has created the table.
 */
export function lastLogin({ path, owner, postgres }: Site): string {
  const dict = join(path, "last-login.conf");
  writeFileSync(
    dict,
    `connect = host=${postgres.socket} port=${String(postgres.port)} dbname=${postgres.database} user=${postgres.user}
map {
  pattern = shared/last-login/$user
  table = last_login
  value_field = last_access
  value_type = uint
  fields {
    userid = $user
  }
}
`,
  );
  return `
mail_plugins = last_login
dict {
  lastlogin = pgsql:${dict}
}
plugin {
  last_login_dict = proxy::lastlogin
  last_login_key = last-login/%u
}
service dict {
  unix_listener dict {
    user = ${owner.name}
    mode = 0600
  }
}
`;
}

/** The same plugin with another program's dict server at `socket`. */
export function dictListener(socket: string): string {
  return `
mail_plugins = last_login
plugin {
  last_login_dict = proxy:${socket}:popbsmtp
  last_login_key = popbsmtp/%s/%r/%u
  last_login_precision = us
}
`;
}
