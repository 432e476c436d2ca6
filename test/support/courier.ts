import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireRoot, type Account } from "./accounts.ts";
import type { Endpoint } from "./conversation.ts";
import { freePort } from "./free-port.ts";
import { ImapClient } from "./imap-client.ts";
import { Pop3Client } from "./pop3-client.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface CourierOptions {
  /** The user that reads mail. */
  readonly user: Account;
  /**
   * Lines of shell that run before imapd or pop3d starts, as its parent: `exec popbsmtp ... "$@"`.
   * Default: just exec.
   */
  readonly link?: string;
  /**
   * Log through courierlogger and rsyslog, as on a server, to {@link Courier.mailLog}. Default: to
   * {@link Courier.log} alone.
   */
  readonly syslog?: boolean;
}

/** Debian's Courier, with one mail user. */
export interface Courier extends AsyncDisposable {
  readonly login: { readonly user: string; readonly password: string };
  /** A connection to its IMAP server. Default: from 127.0.0.1. */
  imap(from?: string): Promise<ImapClient>;
  /** A connection to its POP3 server. Default: from 127.0.0.1. */
  pop3(from?: string): Promise<Pop3Client>;
  log(): string;
  /** The file that rsyslog writes. */
  readonly mailLog: string;
}

const COURIER = fileURLToPath(new URL("../../.cache/courier", import.meta.url));
const AUTHDAEMOND = "/usr/lib/courier/courier-authlib/authdaemond";

/**
 * Starts couriertcpd for IMAP and for POP3, and the authentication daemon that knows the mail user.
 *
 * Their paths are compiled in, so they run in a mount namespace with an /etc and a /run of their
 * own.
 */
export async function startCourier({
  user,
  link = 'exec "$@"',
  syslog = false,
}: CourierOptions): Promise<Courier> {
  requireRoot("Courier");
  if (!existsSync(COURIER)) throw new Error("Courier is not there: run scripts/setup servers");
  await using stack = new AsyncDisposableStack();
  // not in /dev/shm: Courier gets a /dev of its own
  const { path } = stack.use(temporaryDirectory({ mode: 0o755, parent: "/tmp" }));
  const login = { user: "bob@example.org", password: "secret" };
  const home = join(path, "home");
  for (const directory of [
    home,
    ...["", "cur", "new", "tmp"].map((d) => join(home, "Maildir", d)),
  ]) {
    mkdirSync(directory);
    chownSync(directory, user.uid, user.gid);
  }
  const fields = [`uid=${user.uid}`, `gid=${user.gid}`, `home=${home}`, `mail=${home}/Maildir`];
  // imaplogin and courierpop3login take one program and one argument
  const imapd = script(path, "imapd", link, join(COURIER, "usr/bin/imapd"));
  const pop3d = script(path, "pop3d", link, join(COURIER, "usr/lib/courier/courier/courierpop3d"));
  const [imapPort, pop3Port] = [await freePort(), await freePort()];
  const logFile = join(path, "log");
  const connect = {
    imap: (from = "127.0.0.1") => ImapClient.connect(endpoint(imapPort, from)),
    pop3: (from = "127.0.0.1") => Pop3Client.connect(endpoint(pop3Port, from)),
  };
  const mailLog = join(path, "mail.log");
  // with -start, as in Debian's scripts, it moves to the background
  const logger = (name: string) =>
    syslog ? `courierlogger -name=${name} -pid='${path}/${name}.pid' -start ` : "";
  const serve = (name: string, port: number, front: string, back: string) =>
    `${logger(name)}${COURIER}/usr/sbin/couriertcpd -address=127.0.0.1 -nodnslookup -noidentlookup -maxprocs=10 -maxperip=10 ${port} ${COURIER}/usr/lib/courier/courier/${front} ${back} Maildir &`;
  const program = `
set -e
cp -a /etc '${path}/etc'
cp -a '${COURIER}/etc/courier' '${path}/etc/courier'
printf '%s\\n' 'authmodulelist="authuserdb"' daemons=1 authdaemonvar=/run/courier/authdaemon >'${path}/etc/courier/authdaemonrc'
password=$(userdbpw <<<'${login.password}')
umask 077
printf '%s\\t%s|imappw=%s|pop3pw=%s\\n' '${login.user}' '${fields.join("|")}' "$password" "$password" >'${path}/etc/courier/userdb'
umask 022
mount --bind '${path}/etc' /etc
mount -t tmpfs tmpfs /run
${syslog ? devLog(path, mailLog) : ""}
mkdir -p /run/courier/authdaemon
makeuserdb
${AUTHDAEMOND} &
set -a
. /etc/courier/imapd
. /etc/courier/pop3d
${serve("imapd", imapPort, "imaplogin", imapd)}
${serve("pop3d", pop3Port, "courierpop3login", pop3d)}
wait
`;
  const server = await startServerProcess(
    "unshare",
    // background processes end with the first process of the namespace
    "--mount --propagation private --pid --fork --mount-proc /bin/bash -c"
      .split(" ")
      .concat(program),
    {
      logFile,
      cwd: path,
      ready: async () => {
        for (const client of await Promise.all([connect.imap(), connect.pop3()])) {
          client[Symbol.dispose]();
        }
        return true;
      },
    },
  );
  stack.defer(() => server.kill());
  const resources = stack.move();
  return {
    login,
    ...connect,
    log: () => readFileSync(logFile, "utf8"),
    mailLog,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function endpoint(port: number, localAddress: string): Endpoint {
  return { host: "127.0.0.1", port, localAddress };
}

/** A separate /dev, whose /dev/log is rsyslog's. */
function devLog(path: string, mailLog: string): string {
  const config = join(path, "rsyslog.conf");
  writeFileSync(
    config,
    [
      `$WorkDirectory ${path}`,
      'module(load="imuxsock")',
      `*.* action(type="omfile" file="${mailLog}" template="RSYSLOG_TraditionalFileFormat")`,
      "",
    ].join("\n"),
  );
  writeFileSync(mailLog, "");
  return `
mkdir '${path}/dev'
mount --rbind /dev '${path}/dev'
mount -t tmpfs tmpfs /dev
for node in null zero full random urandom; do
  touch /dev/$node
  mount --bind '${path}'/dev/$node /dev/$node
done
ln -s /proc/self/fd /dev/fd
rsyslogd -n -f '${config}' -i '${path}/rsyslog.pid' &
until [[ -S /dev/log ]]; do sleep 0.1; done
`;
}

function script(directory: string, name: string, link: string, program: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\nset -- '${program}' "$@"\n${link}\n`);
  chmodSync(path, 0o755);
  return path;
}
