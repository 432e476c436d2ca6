import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { account, requireRoot } from "./accounts.ts";
import type { Endpoint } from "./conversation.ts";
import { freePort } from "./free-port.ts";
import { ImapClient } from "./imap-client.ts";
import { Pop3Client } from "./pop3-client.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface DovecotOptions {
  /**
   * The command line that script-login runs before imap or pop3, as in dovecot.conf. Default: no
   * post-login service.
   */
  readonly postLogin?: { readonly imap?: string; readonly pop3?: string };
  /** The user of the post-login service. Default "nobody". */
  readonly postLoginUser?: string;
  /** The post-login service's vsz_limit. Default: Dovecot's, 256 MiB. */
  readonly vszLimit?: string;
  /** Further fields of every user in the user database, such as "namespace/extra/prefix=Extra/". */
  readonly userdbFields?: readonly string[];
  /** Makes it a proxy for that one, which authenticates users. Default: users are its own. */
  readonly proxyTo?: Pick<Dovecot, "imapPort" | "pop3Port">;
  /** Further lines of dovecot.conf. */
  readonly config?: string;
}

/** The client's address: 127.0.0.0/8 or ::1. */
interface From {
  readonly from?: string;
}

/** Dovecot with IMAP and POP3, on 127.0.0.1 and ::1. */
export interface Dovecot extends AsyncDisposable {
  readonly imapPort: number;
  readonly pop3Port: number;
  /** The password of every user; every name is a user's. */
  readonly password: string;
  /** The directory of all its files: dovecot.conf, run/ (base_dir), home/, log. */
  readonly directory: string;
  /** A connection to its IMAP server. Default: from 127.0.0.1. */
  imap(options?: From): Promise<ImapClient>;
  /** A connection to its POP3 server. Default: from 127.0.0.1. */
  pop3(options?: From): Promise<Pop3Client>;
  /** Its log so far. */
  log(): string;
  /** Ends it early. */
  stop(): Promise<void>;
}

/**
 * A separate Dovecot 2.3, sized for 50 concurrent logins. Any user name may log in, with the same
 * password, and owns an empty mailbox. Mail belongs to the account "nobody".
 */
export async function startDovecot(options: DovecotOptions = {}): Promise<Dovecot> {
  requireRoot("Dovecot");
  const password = "secret";
  const [imapPort, pop3Port] = [await freePort(), await freePort()];
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const home = join(path, "home");
  const owner = account("nobody");
  mkdirSync(home);
  chownSync(home, owner.uid, owner.gid);
  const configFile = join(path, "dovecot.conf");
  const logFile = join(path, "log");
  writeFileSync(
    configFile,
    [
      `base_dir = ${path}/run`,
      `state_dir = ${path}/state`,
      `log_path = ${logFile}`,
      basics,
      options.proxyTo === undefined
        ? users(password, `${home}/%Mu`, owner, options.userdbFields ?? [])
        : proxied(options.proxyTo),
      service("imap", imapPort, options.postLogin?.imap, options),
      service("pop3", pop3Port, options.postLogin?.pop3, options),
      options.config ?? "",
    ].join("\n"),
  );
  const imap = ({ from }: From = {}) => ImapClient.connect(endpoint(imapPort, from));
  const pop3 = ({ from }: From = {}) => Pop3Client.connect(endpoint(pop3Port, from));
  const server = await startServerProcess("dovecot", ["-F", "-c", configFile], {
    logFile,
    cwd: path,
    ready: async () => {
      for (const client of await Promise.all([imap(), pop3()])) client[Symbol.dispose]();
      return true;
    },
  });
  stack.defer(() => server.kill());
  const resources = stack.move();
  return {
    imapPort,
    pop3Port,
    password,
    directory: path,
    imap,
    pop3,
    log: () => readFileSync(logFile, "utf8"),
    stop: () => server.kill(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function endpoint(port: number, from = "127.0.0.1"): Endpoint {
  return { host: from.includes(":") ? "::1" : "127.0.0.1", port, localAddress: from };
}

// auth_username_*: names must arrive as they were sent
const basics = `
listen = 127.0.0.1, ::1
protocols = imap pop3
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
auth_username_chars =
auth_username_format =
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
default_process_limit = 200
default_client_limit = 2000
`;

function users(
  password: string,
  home: string,
  { uid, gid }: { uid: number; gid: number },
  fields: readonly string[],
): string {
  const answer = [`uid=${String(uid)}`, `gid=${String(gid)}`, `home=${home}`, ...fields];
  return `
passdb {
  driver = static
  args = password=${password}
}
userdb {
  driver = static
  args = allow_all_users=yes ${answer.join(" ")}
}
`;
}

/** https://doc.dovecot.org/2.3/configuration_manual/proxy/ */
function proxied({ imapPort, pop3Port }: Pick<Dovecot, "imapPort" | "pop3Port">): string {
  const port = `%{if;%s;eq;imap;${String(imapPort)};${String(pop3Port)}}`;
  return `
passdb {
  driver = static
  args = nopassword=y proxy=y host=127.0.0.1 port=${port}
}
`;
}

/** https://doc.dovecot.org/2.3/admin_manual/post_login_scripting/ */
function service(
  protocol: "imap" | "pop3",
  port: number,
  postLogin: string | undefined,
  { postLoginUser = "nobody", vszLimit }: DovecotOptions,
): string {
  const login = `
service ${protocol}-login {
  service_count = 0
  client_limit = 500
  process_min_avail = 1
  process_limit = 2
  inet_listener ${protocol} {
    port = ${String(port)}
  }
  inet_listener ${protocol}s {
    port = 0
  }
}
`;
  if (postLogin === undefined) return login;
  return `${login}
service ${protocol} {
  executable = ${protocol} ${protocol}-postlogin
}
service ${protocol}-postlogin {
  executable = script-login ${postLogin}
  user = ${postLoginUser}
  ${vszLimit === undefined ? "" : `vsz_limit = ${vszLimit}`}
  unix_listener ${protocol}-postlogin {
  }
}
`;
}
