import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import {
  createMetricsServer,
  type MetricsServerOptions,
} from "../../../../src/daemon/metrics/metrics-server.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const METRICS = "# HELP up Ümläute.\n# TYPE up gauge\nup 1\n";

/** A metrics server behind a Unix socket that somebody else listens on. */
async function listening(options: Partial<MetricsServerOptions> = {}) {
  const directory = temporaryDirectory();
  const path = join(directory.path, "metrics");
  const metrics = createMetricsServer({ render: async () => METRICS, ...options });
  const listener = createServer((socket) => metrics.handle(socket)).listen(path);
  await once(listener, "listening");
  const open = (): Socket => connect(path).on("error", () => undefined);
  return {
    metrics,
    open,
    /** Sends these bytes, and returns all that comes until the connection is closed. */
    ask: async (...parts: readonly string[]): Promise<string> => {
      const socket = open();
      let got = "";
      socket.on("data", (chunk) => (got += chunk.toString()));
      for (const part of parts) socket.write(part);
      // not at its end: a reset, too, says that the server has closed it
      await new Promise((resolve) => socket.once("close", resolve));
      return got;
    },
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

function request(line: string): string {
  return `${line} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
}

test("GET /metrics returns the metrics with Prometheus' media type", async () => {
  await using server = await listening();
  const answer = await server.ask(request("GET /metrics"));
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /\r\nContent-Type: text\/plain; version=0\.0\.4; charset=utf-8\r\n/);
  assert.match(answer, new RegExp(`\r\nContent-Length: ${Buffer.byteLength(METRICS)}\r\n`));
  assert.equal(answer.split("\r\n\r\n")[1], METRICS);
});

test("another HTTP client gets them over TCP", async () => {
  const metrics = createMetricsServer({ render: async () => METRICS });
  const listener = createServer((socket) => metrics.handle(socket)).listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  assert.ok(typeof address === "object" && address !== null);
  const response = await fetch(`http://127.0.0.1:${address.port}/metrics?x=y`);
  assert.equal(await response.text(), METRICS);
  listener.close();
});

test("HEAD returns the same without the metrics", async () => {
  await using server = await listening();
  const answer = await server.ask(request("HEAD /metrics"));
  assert.match(answer, new RegExp(`\r\nContent-Length: ${Buffer.byteLength(METRICS)}\r\n`));
  assert.ok(answer.endsWith("\r\n\r\n"));
});

const answers: readonly (readonly [string, RegExp])[] = [
  ["GET /", /^HTTP\/1\.1 200 OK\r\n[^]*\/metrics\n$/],
  ["GET /metrics/x", /^HTTP\/1\.1 404 /],
  ["GET //metrics", /^HTTP\/1\.1 404 /],
  ["GET http://example.org/metrics", /^HTTP\/1\.1 404 /],
  ["OPTIONS *", /^HTTP\/1\.1 404 /],
  ["DELETE /metrics", /^HTTP\/1\.1 405 [^]*\r\nAllow: GET, HEAD\r\n/],
  ["GARBAGE", /^HTTP\/1\.1 400 /],
];

for (const [line, expected] of answers) {
  test(`${line}: ${expected.source.slice(9, 22)}`, async () => {
    await using server = await listening();
    assert.match(await server.ask(request(line)), expected);
  });
}

test("a request may arrive byte by byte", async () => {
  await using server = await listening();
  const socket = server.open();
  socket.setNoDelay(true);
  for (const byte of request("GET /metrics")) {
    socket.write(byte);
    await new Promise(setImmediate);
  }
  assert.ok((await text(socket)).endsWith(METRICS));
  socket.destroy();
});

test("a connection carries one request, whatever the client asks for", async () => {
  await using server = await listening();
  const keepAlive = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
  const answer = await server.ask(keepAlive, keepAlive);
  assert.equal(answer.match(/^HTTP\/1\.1 /gm)?.length, 1);
  assert.match(answer, /\r\nConnection: close\r\n/);
});

test("malformed or excessive HTTP is rejected, and other clients are answered", async () => {
  await using server = await listening();
  assert.match(await server.ask("\u0000\u0001\u0002\r\n\r\n"), /^HTTP\/1\.1 400 /);
  const long = `GET /metrics HTTP/1.1\r\nX: ${"x".repeat(10_000)}\r\n\r\n`;
  assert.match(await server.ask(long), /^HTTP\/1\.1 431 /);
  assert.match(await server.ask(request("GET /metrics")), /^HTTP\/1\.1 200 /);
});

test("every connection ends: empty, with half a request, or with a body that never arrives", async () => {
  await using server = await listening({ lifetime: 50 });
  const halves = ["", "GET /met", "GET /x HTTP/1.1\r\nHost: l\r\n"];
  assert.deepEqual(await Promise.all(halves.map((half) => server.ask(half))), ["", "", ""]);
  const endless = "POST /metrics HTTP/1.1\r\nHost: l\r\nContent-Length: 1000000\r\n\r\n";
  assert.match(await server.ask(endless), /^HTTP\/1\.1 405 /);
});

test("a failure is a 500, and the next request may succeed", async () => {
  let fails = true;
  await using server = await listening({
    render: async () => {
      if (fails) throw new Error("out of order");
      return METRICS;
    },
  });
  assert.match(await server.ask(request("GET /metrics")), /^HTTP\/1\.1 500 [^]*out of order\n$/);
  fails = false;
  assert.match(await server.ask(request("GET /metrics")), /^HTTP\/1\.1 200 /);
});

test("a client that disconnects before its answer does no harm", async () => {
  const asked = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<string>();
  await using server = await listening({
    render: () => {
      asked.resolve();
      return ready.promise;
    },
  });
  const socket = server.open();
  socket.write(request("GET /metrics"));
  await asked.promise;
  socket.destroy();
  await once(socket, "close");
  ready.resolve(METRICS);
  assert.match(await server.ask(request("GET /metrics")), /^HTTP\/1\.1 200 /);
});
