/** Debian's Exim and sendmail, unpacked, which run the configurations in the documentation. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireRoot } from "./accounts.ts";
import { Conversation } from "./conversation.ts";
import { freePort } from "./free-port.ts";
import { rcptAt, type Rcpt, type SmtpReply } from "./postfix.ts";
import { run, runOk } from "./run.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** An SMTP server on 127.0.0.1 that accepts mail for example.org. */
export interface OtherMta extends AsyncDisposable {
  rcpt(message: Rcpt): Promise<SmtpReply>;
  /** Its log by name: "panic"; "" if there is none. */
  log(name: string): string;
}

const CACHE = fileURLToPath(new URL("../../.cache/", import.meta.url));
const EXIM = join(CACHE, "exim/usr/sbin/exim4");
const SENDMAIL = join(CACHE, "sendmail/usr/libexec/sendmail/sendmail");
const CF = join(CACHE, "sendmail/usr/share/sendmail/cf");

/**
 * The words of a shell that run a command with `sockets` at /run/popbsmtp: sendmail rejects sockets
 * below a directory that is writable by all, such as /tmp, and waits for a minute if the host has
 * no full name. Debian's Exim exits without the user Debian-exim.
 */
function inside(directory: string, sockets: string): readonly string[] {
  for (const [file, line] of [
    ["passwd", "Debian-exim:x:65533:65533::/nonexistent:/usr/sbin/nologin"],
    ["group", "Debian-exim:x:65533:"],
  ] as const) {
    const path = join(directory, file);
    writeFileSync(path, `${readFileSync(`/etc/${file}`, "utf8")}${line}\n`);
  }
  writeFileSync(join(directory, "hosts"), "127.0.0.1 mail.example.org localhost\n");
  const script = `set -e
hostname mail.example.org
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/popbsmtp
mount --bind "$2" /run/popbsmtp
for file in passwd group hosts; do mount --bind "$1/$file" "/etc/$file"; done
shift 2
exec "$@"`;
  const unshare = [
    "--uts",
    "--mount",
    "--propagation",
    "private",
    "/bin/bash",
    "-c",
    script,
    "bash",
  ];
  return [...unshare, directory, sockets];
}

/**
 * @param stanza lines for the ACL of recipients, in which no other client is permitted to relay
 * @param sockets the contents of /run/popbsmtp
 */
export async function startExim(stanza: string, sockets: string): Promise<OtherMta> {
  requireRoot("Exim");
  if (!existsSync(EXIM)) throw new Error("Exim is not there: run scripts/setup servers");
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const logs = join(path, "spool/log");
  mkdirSync(logs, { recursive: true });
  await runOk("chown", ["-R", "65533:65533", join(path, "spool")]);
  const config = join(path, "exim.conf");
  writeFileSync(
    config,
    `spool_directory = ${path}/spool
log_file_path = ${logs}/%s
primary_hostname = mail.example.org
tls_advertise_hosts =
keep_environment =
domainlist local_domains = example.org
acl_smtp_rcpt = acl_rcpt
begin acl
acl_rcpt:
  accept domains = +local_domains
${stanza}
  deny message = relay not permitted
begin routers
all:
  driver = accept
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
  user = nobody
`,
  );
  const port = await freePort();
  const at = ["-bdf", "-oX", `127.0.0.1.${String(port)}`, "-oP", join(path, "spool/pid")];
  const server = await startServerProcess(
    "unshare",
    [...inside(path, sockets), EXIM, "-C", config, ...at],
    { logFile: join(path, "log"), cwd: path, ready: () => greets(port) },
  );
  stack.defer(() => server.kill());
  const resources = stack.move();
  return {
    rcpt: (message) => rcptAt(port, message),
    log: (name) => (existsSync(join(logs, name)) ? readFileSync(join(logs, name), "utf8") : ""),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** sendmail, and its rules. */
export interface Sendmail extends OtherMta {
  /**
   * The result of Local_check_rcpt for a client's address, as sendmail spells it: "$# OK" permits.
   */
  rule(clientAddress: string): Promise<string>;
}

/**
 * @param lines the end of sendmail.mc
 * @param sockets the contents of /run/popbsmtp
 */
export async function startSendmail(lines: string, sockets: string): Promise<Sendmail> {
  requireRoot("sendmail");
  if (!existsSync(SENDMAIL)) throw new Error("sendmail is not there: run scripts/setup servers");
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const port = await freePort();
  mkdirSync(join(path, "queue"), { mode: 0o700 });
  writeFileSync(join(path, "aliases"), "");
  // no DNS, which would cause delays
  writeFileSync(join(path, "switch"), "hosts files\naliases files\n");
  const mc = `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`mail.example.org')dnl
define(\`QUEUE_DIR', \`${path}/queue')dnl
define(\`confPID_FILE', \`${path}/pid')dnl
define(\`STATUS_FILE', \`${path}/statistics')dnl
define(\`ALIAS_FILE', \`${path}/aliases')dnl
define(\`confSERVICE_SWITCH_FILE', \`${path}/switch')dnl
define(\`confTO_IDENT', \`0')dnl
define(\`confDONT_BLAME_SENDMAIL', \`GroupWritableDirPathSafe')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Addr=127.0.0.1, Port=${String(port)}, Name=MTA')dnl
MAILER(\`smtp')dnl
LOCAL_DOMAIN(\`example.org')dnl
${lines}
`;
  const input = join(path, "sendmail.mc");
  const config = join(path, "sendmail.cf");
  writeFileSync(input, mc);
  writeFileSync(
    config,
    await runOk("m4", [`-I${CF}/`, `-D_CF_DIR_=${CF}/`, join(CF, "m4/cf.m4"), input]),
  );
  const words = [...inside(path, sockets), SENDMAIL, "-C", config];
  const server = await startServerProcess("unshare", [...words, "-bD"], {
    logFile: join(path, "log"),
    cwd: path,
    ready: () => greets(port),
  });
  stack.defer(() => server.kill());
  const resources = stack.move();
  return {
    rcpt: (message) => rcptAt(port, message),
    log: () => readFileSync(join(path, "log"), "utf8"),
    rule: async (clientAddress) => {
      const stdin = `.D{client_addr}${clientAddress}\nLocal_check_rcpt <a@elsewhere.example>\n`;
      const { stdout } = await run("unshare", [...words, "-bt"], { stdin });
      return /Local_check_rcpt +returns: (.*)/.exec(stdout.toString())?.[1]?.trim() ?? "";
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function greets(port: number): Promise<boolean> {
  using conversation = await Conversation.open({ host: "127.0.0.1", port });
  await conversation.expect(/^220 .*\r\n/);
  return true;
}
