import {
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { account, requireRoot } from "./accounts.ts";
import { Conversation } from "./conversation.ts";
import { freePort } from "./free-port.ts";
import { run, runOk } from "./run.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface PostfixOptions {
  /**
   * Further lines of main.cf, which override those below, such as smtpd_relay_restrictions.
   * `$config_directory` is the directory of `files`.
   */
  readonly mainCf?: string;
  /**
   * Map files and others by name. Only root and Postfix can read them, because they contain
   * passwords.
   */
  readonly files?: Readonly<Record<string, string>>;
}

/** A message's envelope up to RCPT TO, and the client's address. */
export interface Rcpt {
  /** The client's address: any of 127.0.0.0/8, or ::1. */
  readonly from: string;
  readonly to: string;
  /** The name in the client's EHLO. Default "client.example.net". */
  readonly helo?: string;
  /**
   * The address to claim (XCLIENT); `mainCf` has to permit it: smtpd_authorized_xclient_hosts =
   * 127.0.0.0/8.
   */
  readonly as?: string;
  /** Default: the port of the server's first service. */
  readonly port?: number;
}

/** The answer of an SMTP server: 250 and the text after it. */
export interface SmtpReply {
  readonly code: number;
  readonly text: string;
}

/** Postfix's SMTP server on 127.0.0.1 and ::1. */
export interface Postfix extends AsyncDisposable {
  readonly port: number;
  /** config_directory: main.cf, master.cf, the files. */
  readonly directory: string;
  /** Sends EHLO, MAIL FROM:<sender@example.com> and RCPT TO; returns the answer to the last. */
  rcpt(message: Rcpt): Promise<SmtpReply>;
  /**
   * Looks up a key in a map, as main.cf names it (`pgsql:$config_directory/relay.cf`), with
   * Postfix's own postmap(1). Undefined if the key is not found; throws if the map does not work.
   */
  postmap(key: string, map: string): Promise<string | undefined>;
  /** Its log so far. */
  log(): string;
  /** Ends it early. */
  stop(): Promise<void>;
}

/**
 * A separate Postfix 3.7 that accepts mail for any recipient at example.org, for no other domain,
 * and delivers none. It trusts no networks, and does not wait for DNS: clients have no name, unless
 * `mainCf` says otherwise.
 */
export async function startPostfix({
  mainCf = "",
  files = {},
}: PostfixOptions = {}): Promise<Postfix> {
  requireRoot("Postfix");
  const port = await freePort();
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  const [config, queue, data] = [join(path, "config"), join(path, "queue"), join(path, "data")];
  const owner = account("postfix");
  mkdirSync(config);
  mkdirSync(join(queue, "pid"), { recursive: true });
  for (const directory of [data, ...queues.map((name) => join(queue, name))]) {
    mkdirSync(directory);
    chownSync(directory, owner.uid, owner.gid);
  }
  const logFile = join(path, "log");
  writeFileSync(
    join(config, "main.cf"),
    `${basics}
queue_directory = ${queue}
data_directory = ${data}
maillog_file = ${logFile}
maillog_file_prefixes = ${path}
${mainCf}
`,
  );
  writeFileSync(join(config, "master.cf"), services(port));
  for (const [name, contents] of Object.entries(files)) {
    writeFileSync(join(config, name), contents, { mode: 0o640 });
    chownSync(join(config, name), 0, owner.gid);
  }
  // Postfix takes a file of the last two seconds for half-written, and would wait
  for (const name of readdirSync(config)) utimesSync(join(config, name), 0, 0);
  const rcpt = (message: Rcpt) => rcptAt(port, message);
  // postfix(1) would first check the whole installation, for two seconds
  const master = join((await runOk("postconf", ["-dh", "daemon_directory"])).trim(), "master");
  const server = await startServerProcess(master, ["-c", config], {
    logFile,
    cwd: path,
    ready: async () => {
      using conversation = await Conversation.open({ host: "127.0.0.1", port });
      await conversation.expect(/^220 .*\r\n/);
      return true;
    },
  });
  stack.defer(() => server.kill());
  const resources = stack.move();
  return {
    port,
    directory: config,
    rcpt,
    postmap: async (key, map) => {
      const name = map.replaceAll("$config_directory", config);
      const { status, stdout, stderr } = await run("postmap", ["-c", config, "-q", key, name]);
      if (stderr.length > 0) throw new Error(`postmap -q ${key} ${map}: ${stderr.toString()}`);
      return status === 0 ? stdout.toString().trimEnd() : undefined;
    },
    log: () => readFileSync(logFile, "utf8"),
    stop: () => server.kill(),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** The same for any SMTP server. */
export async function rcptAt(
  usual: number,
  { from, to, helo = "client.example.net", as, port = usual }: Rcpt,
): Promise<SmtpReply> {
  const host = from.includes(":") ? "::1" : "127.0.0.1";
  using conversation = await Conversation.open({ host, port, localAddress: from });
  const reply = async (): Promise<SmtpReply> => {
    // the last line has a space after the code (RFC 5321, 4.2.1)
    const lines = await conversation.expect(/^\d{3} .*\r\n/m);
    const last = lines.trimEnd().split("\r\n").at(-1) ?? "";
    return { code: Number(last.slice(0, 3)), text: last.slice(4) };
  };
  await reply();
  if (as !== undefined) {
    conversation.send(`XCLIENT NAME=[UNAVAILABLE] ADDR=${as.includes(":") ? "IPV6:" : ""}${as}`);
    const { code, text } = await reply();
    if (code !== 220) throw new Error(`XCLIENT: ${String(code)} ${text}`);
  }
  for (const line of [`EHLO ${helo}`, "MAIL FROM:<sender@example.com>"]) {
    conversation.send(line);
    const { code, text } = await reply();
    if (code !== 250) throw new Error(`${line}: ${String(code)} ${text}`);
  }
  conversation.send(`RCPT TO:<${to}>`);
  // awaited here: the connection ends with this function
  return await reply();
}

const basics = `compatibility_level = 3.6
inet_interfaces = loopback-only
myhostname = mail.example.org
mydestination = example.org
local_recipient_maps =
in_flow_delay = 0
alias_maps =
mynetworks = 192.0.2.254/32
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtputf8_enable = no
`;

const queues = ["active", "incoming", "private", "public"];

/** The services that answering RCPT requires: master(5). */
function services(port: number): string {
  return `
127.0.0.1:${String(port)} inet n - n - - smtpd
[::1]:${String(port)} inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`;
}
