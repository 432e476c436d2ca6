import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireRoot } from "./accounts.ts";
import { run, type RunResult } from "./run.ts";
import { startServerProcess } from "./server-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** A client with an address of its own, whose user is at the mail server. */
export type Client = "192.0.2.10" | "192.0.2.11" | "192.0.2.12";

/**
 * The mail server mail.example.org as it is before popbsmtp comes: Debian's Dovecot, Postfix and
 * rsyslog, at their own ports and paths, and PostgreSQL and MariaDB, which are not started. It is
 * this machine in namespaces of its own, with an overlay on the root directory: what is changed
 * there is gone at dispose.
 */
export interface Machine extends AsyncDisposable {
  /**
   * Runs lines of a shell as root in a checkout of popbsmtp, /root/popbsmtp, up to the first that
   * fails.
   */
  run(lines: string): Promise<RunResult>;
  /** The same for lines that have to succeed; returns what they wrote to stdout. */
  shell(lines: string): Promise<string>;
  write(file: string, text: string): Promise<void>;
  /** Reads mail over IMAP. Default user: bob@example.org. */
  readMail(from: Client, user?: string): Promise<void>;
  /**
   * Sends a message to another server. What Postfix said where it would not have it: "454 4.7.1
   * ...".
   */
  send(from: Client): Promise<string>;
}

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const ENV = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
  HOME: "/root",
};

export async function startMachine(): Promise<Machine> {
  requireRoot("a machine of its own");
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryDirectory({ mode: 0o755 }));
  mkdirSync(join(path, "layers"));
  const namespaces = "--mount --propagation private --uts --ipc --net --pid --fork --kill-child";
  const start = ["/bin/bash", join(CHECKOUT, "test/support/machine/start.bash"), path, CHECKOUT];
  const server = await startServerProcess("unshare", [...namespaces.split(" "), ...start], {
    logFile: join(path, "log"),
    cwd: "/",
    ready: async () => (await run("test", ["-e", join(path, "ready")])).status === 0,
  });
  stack.defer(() => server.kill());
  const init = (await run("pgrep", ["--parent", String(server.pid)])).stdout.toString().trim();
  const enter = ["--target", init, "--mount", "--uts", "--ipc", "--net", "--pid", "--root"];
  const inside = (lines: string) =>
    run(
      "nsenter",
      [...enter, "/bin/bash", "--norc", "-c", `umask 022\ncd /root/popbsmtp\nset -e\n${lines}`],
      {
        env: ENV,
        timeout: 120_000,
      },
    );
  const shell = async (lines: string) => {
    const { status, stdout, stderr } = await inside(lines);
    if (status === 0) return stdout.toString();
    throw new Error(`${lines}\n${String(status)}: ${stdout.toString()}${stderr.toString()}`);
  };
  const resources = stack.move();
  return {
    run: inside,
    shell,
    write: async (file, text) => {
      await shell(
        `mkdir -p "$(dirname '${file}')"\ncat >'${file}' <<'END OF FILE'\n${text}END OF FILE\n`,
      );
    },
    readMail: async (from, user = "bob@example.org") => {
      await shell(`${curl(from)} imaps://mail.example.org/INBOX --user '${user}:secret'`);
    },
    send: async (from) => {
      const { status, stderr } = await inside(
        `printf 'Subject: popbsmtp\\n\\nHello.\\n' | ${curl(from)} -v smtp://mail.example.org --mail-from bob@example.org --mail-rcpt alice@example.net --upload-file -`,
      );
      return status === 0
        ? ""
        : (/^< ([45].*?)\r?$/m.exec(stderr.toString())?.[1] ?? stderr.toString());
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function curl(from: Client): string {
  return `curl -sS --cacert /etc/dovecot/private/dovecot.pem --interface ${from}`;
}
