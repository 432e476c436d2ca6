/** Answers Prometheus over HTTP, on connections that are accepted elsewhere. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { reasonOf } from "../../lib/errors.ts";
import { CONTENT_TYPE } from "./exposition.ts";

/** How long a connection may live, in milliseconds. It carries one request. */
const CONNECTION_MS = 10_000;

const HEADER_BYTES = 8 * 1024;

export interface MetricsServer {
  /** Answers the request on a connection, and closes it. */
  handle(socket: Socket): void;
}

export interface MetricsServerOptions {
  /** The metrics, in Prometheus' text format. The answer is 500 if this fails. */
  readonly render: () => Promise<string>;
  /** How long a connection may live, in milliseconds; default 10 s. */
  readonly lifetime?: number;
}

/** A server for `GET /metrics`. It does not listen: connections are passed to it. */
export function createMetricsServer({
  render,
  lifetime = CONNECTION_MS,
}: MetricsServerOptions): MetricsServer {
  const http = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => {
    // the client may have disconnected before the answer; a body is ignored
    request.resume();
    answer(request, response, render).catch(() => response.destroy());
  });
  return {
    handle: (socket) => {
      // Node enforces its own timeouts only for an http.Server that listens itself
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
    // so that a stop need not wait for idle connections
    Connection: "close",
  });
  // Node omits the body in the answer to HEAD
  response.end(text);
}
