import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNetwork } from "../../../src/login/address.ts";
import { list, type ListOptions } from "../../../src/commands/list-command.ts";
import type { Authorization } from "../../../src/stores/store.ts";
import { address, authorization, MINUTE, NOW } from "./authorization.ts";
import { memoryStore } from "./memory-store.ts";
import { recorder } from "./recorder.ts";

const network = parseNetwork("192.168.0.0/16");
assert.ok(network !== undefined);
const config = { lifetime: 30 * MINUTE, exclude: [network] };

async function listed(
  rows: readonly Authorization[],
  options: ListOptions = {},
  terminal = recorder(),
) {
  await list(memoryStore(rows), config, options, { terminal, now: () => NOW });
  return terminal;
}

test("people get a table with aligned columns", async () => {
  const { printed } = await listed([
    authorization(),
    authorization({
      address: address("2001:db8::25"),
      user: "é@例え.example",
      service: "pop3",
      logins: 12,
      lastSeen: new Date(NOW - 29 * MINUTE),
    }),
  ]);
  assert.deepEqual(printed, [
    "address       user             service  first seen           last seen            logins  valid for",
    "192.0.2.1     bob@example.org  imap     2026-03-03 08:50:00  2026-03-03 09:50:00  3       20m",
    "2001:db8::25  é@例え.example   pop3     2026-03-03 08:50:00  2026-03-03 09:31:00  12      1m",
  ]);
});

test("an unknown value, or a column that a mapped table lacks, is a dash", async () => {
  const { printed } = await listed([
    authorization({ user: "", service: undefined, firstSeen: undefined, logins: undefined }),
  ]);
  assert.equal(
    printed[1],
    "192.0.2.1  -     -        -           2026-03-03 09:50:00  -       20m",
  );
});

test("excluded addresses are marked, and left out of JSON as expired ones are", async () => {
  const rows = [authorization(), authorization({ address: address("192.168.7.7") })];
  const { printed } = await listed(rows);
  assert.match(printed[2] ?? "", /^192\.168\.7\.7 .* excluded$/);
  const addresses = async (options: ListOptions) =>
    JSON.parse((await listed(rows, { ...options, json: true })).printed.join("\n")).map(
      (row: { readonly address: string }) => row.address,
    );
  assert.deepEqual(await addresses({}), ["192.0.2.1"]);
  assert.deepEqual(await addresses({ all: true }), ["192.0.2.1", "192.168.7.7"]);
});

test("expired authorizations are marked, by this host's clock", async () => {
  const terminal = recorder();
  const row = authorization({ lastSeen: new Date(NOW - 30 * MINUTE) });
  await list(memoryStore([row]), config, { all: true }, { terminal, now: () => NOW });
  assert.match(terminal.printed[1] ?? "", / expired$/);
});

const HOSTILE = "\u001B[2J\n\r\t\u0000\u007F\u009B31m\u202E\u2066\u200B\u2028\uD800\uDB40\uDC41x";
const HARMLESS = String.raw`\u001b[2J\u000a\u000d\u0009\u0000\u007f\u009b31m\u202e\u2066\u200b\u2028\ud800\udb40\udc41x`;

test("a user name cannot act on the terminal, or break the table", async () => {
  const { printed } = await listed([authorization({ user: HOSTILE, service: HOSTILE })]);
  assert.equal(printed.length, 2);
  assert.ok(printed[1]?.startsWith(`192.0.2.1  ${HARMLESS}  ${HARMLESS}  2026`));
});

test("JSON is valid, contains every character, and cannot act on the terminal either", async () => {
  const { printed } = await listed([authorization({ user: HOSTILE })], { json: true });
  const text = printed.join("\n");
  assert.ok(!/[\p{C}\p{Zl}\p{Zp}]/u.test(text.replaceAll("\n", "")));
  const [row] = JSON.parse(text);
  assert.equal(row.user, HOSTILE);
});

test("JSON has RFC 3339 times, and null for unknown values", async () => {
  const { printed } = await listed(
    [
      authorization({ firstSeen: new Date("2026-03-03T08:00:00.5Z") }),
      authorization({
        user: undefined,
        service: undefined,
        firstSeen: undefined,
        logins: undefined,
      }),
    ],
    { json: true },
  );
  const lastSeen = new Date(NOW - 10 * MINUTE).toISOString();
  assert.deepEqual(JSON.parse(printed.join("\n")), [
    {
      address: "192.0.2.1",
      user: "bob@example.org",
      service: "imap",
      firstSeen: "2026-03-03T08:00:00.500Z",
      lastSeen,
      logins: 3,
    },
    { address: "192.0.2.1", user: null, service: null, firstSeen: null, lastSeen, logins: null },
  ]);
});

test("an empty list is [] for programs, and a remark on stderr for people", async () => {
  assert.deepEqual((await listed([], { json: true })).printed, ["[]"]);
  const { printed, noted } = await listed([]);
  assert.deepEqual(printed, []);
  assert.deepEqual(noted, ["No address may relay by a login at present."]);
});

test("only a terminal that wants colours gets a bold header", async () => {
  const { printed } = await listed([authorization()], {}, recorder({ color: true }));
  const [header = ""] = printed;
  assert.ok(header.startsWith("\u001B[1maddress "));
  assert.ok(header.endsWith("\u001B[22m"));
});
