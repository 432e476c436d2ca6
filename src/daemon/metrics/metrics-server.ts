/** Answers Prometheus over HTTP, on connections that somebody else accepted. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { reasonOf } from "../../lib/errors.ts";
import { CONTENT_TYPE } from "./exposition.ts";

/** A connection carries one request and lives at most so long, whatever comes in on it. Milliseconds. */
const CONNECTION_MS = 10_000;

const HEADER_BYTES = 8 * 1024;

export interface MetricsServer {
  /** Answers what is asked on a connection, and closes it. */
  handle(socket: Socket): void;
}

export interface MetricsServerOptions {
  /** The metrics, in Prometheus' text format. Where it fails the answer is a 500. */
  readonly render: () => Promise<string>;
  /** How long a connection may live. Milliseconds; default 10 s. */
  readonly lifetime?: number;
}

/** A server for `GET /metrics`. It listens nowhere itself: it is given the connections. */
export function createMetricsServer({
  render,
  lifetime = CONNECTION_MS,
}: MetricsServerOptions): MetricsServer {
  const http = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => {
    // the answer may come too late for a connection that is gone; a body is of no interest
    request.resume();
    answer(request, response, render).catch(() => response.destroy());
  });
  return {
    handle: (socket) => {
      // Node's own timeouts are looked after only where an http.Server listens itself
      const timer = setTimeout(() => socket.destroy(), lifetime).unref();
      socket.once("close", () => clearTimeout(timer));
      http.emit("connection", socket);
    },
  };
}

async function answer(
  { method, url = "" }: IncomingMessage,
  response: ServerResponse,
  render: () => Promise<string>,
): Promise<void> {
  const [path] = url.split("?");
  if (path !== "/metrics" && path !== "/") return send(response, 404, "not found\n");
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return send(response, 405, "GET and HEAD only\n");
  }
  if (path === "/") return send(response, 200, "popbsmtp: metrics are at /metrics\n");
  try {
    send(response, 200, await render(), CONTENT_TYPE);
  } catch (error) {
    send(response, 500, `${reasonOf(error)}\n`);
  }
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  type = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(text),
    // a stop then has no idle connections to wait for
    Connection: "close",
  });
  // Node leaves the text out where HEAD was asked
  response.end(text);
}
