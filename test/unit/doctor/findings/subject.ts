import type { Subject } from "../../../../src/doctor/findings/subject.ts";
import { configWith, serveWith, serverWith, sqliteWith } from "../../../support/config.ts";

export const sqlite = sqliteWith();

export const pgsql = serverWith({
  hosts: ["db.example.org", "2001:db8::1", "/run/postgresql"],
  reader: { user: "popbsmtp_reader", password: undefined },
});

export const config = configWith({
  serve: serveWith({
    imap: { path: "/run/popbsmtp/imap" },
    pop3: { path: "/run/popbsmtp/pop3" },
    purgeInterval: 3_600_000,
  }),
});

export const subject: Subject = {
  config,
  program: "/bin/true",
  passwordFiles: [],
  account: undefined,
  daemon: undefined,
  now: 0,
  dovecotConfig: undefined,
  postfixConfig: undefined,
};
