/**
 * The minimal Node services for Dovecot, against which popbsmtp's sockets are measured. Each is a
 * process of its own:
 *
 *     node bench/least.ts dict SOCKET            answers the last_login plugin; records nothing
 *     node bench/least.ts post-login SOCKET ...  makes one upsert for each login, and answers
 */
import { chmodSync, existsSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { startServerProcess } from "../test/support/server-process.ts";
import type { DatabaseServer } from "../test/support/database-server.ts";

/** A minimal service at `socket`. */
export interface Least extends AsyncDisposable {
  readonly socket: string;
}

/** Starts one, with its socket and its log in `directory`. */
export async function startLeast(
  kind: "dict" | "post-login",
  directory: string,
  { socket: host, port, user, database }: DatabaseServer,
): Promise<Least> {
  const socket = join(directory, `least-${kind}`);
  const server = await startServerProcess(
    process.execPath,
    [fileURLToPath(import.meta.url), kind, socket, host, String(port), user, database],
    { logFile: `${socket}.log`, cwd: "/", ready: () => existsSync(socket) },
  );
  return { socket, [Symbol.asyncDispose]: () => server.end("SIGTERM") };
}

/** Answers the C of each transaction. */
function dict(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    for (const [, id = ""] of chunk.toString("latin1").matchAll(/^C(\d+)$/gm)) {
      socket.write(`O${id}\n`);
    }
  });
}

function postLogin(client: Client): (socket: Socket) => void {
  const text = `INSERT INTO least VALUES ($1, now())
    ON CONFLICT (address) DO UPDATE SET last_seen = EXCLUDED.last_seen`;
  return (socket) => {
    let request = "";
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      request += chunk.toString("latin1");
      const [, line, end] = request.split("\n");
      if (line === undefined || end === undefined) return;
      const [, address, ...user] = line.split("\t");
      const answer = () => socket.end(`${user.join("\t")}\n`);
      client.query({ name: "upsert", text, values: [address] }).then(answer, answer);
    });
  };
}

async function main([kind, path, host, port, user, database]: readonly string[]): Promise<void> {
  let handler = dict;
  if (kind === "post-login") {
    const client = new Client({ host, port: Number(port), user, database, ssl: false });
    await client.connect();
    await client.query(
      "CREATE TABLE IF NOT EXISTS least (address text PRIMARY KEY, last_seen timestamptz)",
    );
    handler = postLogin(client);
  }
  createServer(handler).listen({ path, backlog: 4096 }, () => chmodSync(path ?? "", 0o666));
  process.once("SIGTERM", () => process.exit());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
