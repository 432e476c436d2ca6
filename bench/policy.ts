/**
 * The daemon's answers to mail servers: as many as possible, at a fixed rate, and through Postfix,
 * compared with Postfix's own map.
 */
import type { Terminal } from "../src/lib/terminal.ts";
import type { CpuMeter } from "./cpu.ts";
import { load, twoCores, type Load } from "./load.ts";
import { goals, table, type Goal } from "./report.ts";
import type { Site } from "./site.ts";
import { smtp } from "./smtp.ts";

const CONNECTIONS = 50;

/** The fixed rate, in requests a second. */
const OFFERED = 20_000;

/** The number of clients that Postfix asks about; every other one has logged in. */
const CLIENTS = 200;

export interface PolicyOptions {
  /** The number of answers of each kind. */
  readonly answers: number;
  /** The number of SMTP sessions of each contender. */
  readonly sessions: number;
}

interface Measured {
  readonly role: Role;
  readonly most: Load;
  readonly offered: Load;
}

type Role = keyof typeof PROTOCOLS;

const PROTOCOLS = {
  policy: { request: policyRequest, end: "\n\n", name: "policy service" },
  socketmap: { request: socketmapRequest, end: ",", name: "socketmap" },
} as const;

export async function policy(
  site: Site,
  { answers, sessions }: PolicyOptions,
  terminal: Terminal,
  cpu: CpuMeter,
): Promise<string> {
  const [store] = site.stores;
  if (store === undefined) throw new Error("no store");
  await using station = await site.station(store, "policy");
  const [core, clientCore] = twoCores();
  const measured: Measured[] = [];
  {
    await using daemon = await station.serve({ core });
    for (let client = 0; client < CLIENTS; client += 2) {
      await daemon.login(addressOf(client), `u${String(client)}@example.org`);
    }
    for (const role of ["policy", "socketmap"] as const) {
      const { request, end, name } = PROTOCOLS[role];
      const options = {
        requests: Array.from({ length: CLIENTS }, (_, client) => request(addressOf(client))),
        connections: CONNECTIONS,
        end,
        core: clientCore,
      };
      terminal.progress(`policy: ${name}`);
      const socket = daemon.socket(role);
      // warm-up: compiled code, as after a minute on a mail server
      await load(site.load, socket, { ...options, answers: answers / 4 });
      const most = await load(site.load, socket, { ...options, answers });
      const offered = await load(site.load, socket, { ...options, answers, rate: OFFERED });
      measured.push({ role, most, offered });
    }
  }
  return [report(measured, answers), "", await smtp(site, { sessions }, terminal, cpu)].join("\n");
}

function addressOf(client: number): string {
  return `2001:db8::${(client + 1).toString(16)}`;
}

/** A request of Postfix 3.7. */
function policyRequest(address: string): string {
  const attributes = {
    request: "smtpd_access_policy",
    protocol_state: "RCPT",
    protocol_name: "ESMTP",
    client_address: address,
    client_name: "unknown",
    client_port: "49152",
    reverse_client_name: "unknown",
    server_address: "2001:db8::ffff",
    server_port: "25",
    helo_name: "client.example.net",
    sender: "sender@example.com",
    recipient: "recipient@example.net",
    recipient_count: "0",
    queue_id: "",
    instance: "7d2.6564a1b2.c3d4e.0",
    size: "0",
    etrn_domain: "",
    stress: "",
    sasl_method: "",
    sasl_username: "",
    sasl_sender: "",
    ccert_subject: "",
    ccert_issuer: "",
    ccert_fingerprint: "",
    ccert_pubkey_fingerprint: "",
    encryption_protocol: "",
    encryption_cipher: "",
    encryption_keysize: "0",
    policy_context: "",
  };
  const lines = Object.entries(attributes).map(([name, value]) => `${name}=${value}\n`);
  return `${lines.join("")}\n`;
}

function socketmapRequest(address: string): string {
  const question = `relay ${address}`;
  return `${String(question.length)}:${question},`;
}

function report(measured: readonly Measured[], answers: number): string {
  const row = (name: string, { answersPerSecond, median, p99, longest }: Load) => [
    name,
    answersPerSecond.toFixed(0),
    ...[median, p99, longest].map((time) => time.toFixed(2)),
  ];
  return [
    `popbsmtp serve on one core, asked over ${String(CONNECTIONS)} connections about ${String(CLIENTS)} addresses, every second of which may relay (${String(answers)} answers each)`,
    "",
    table(
      ["milliseconds", "answers/s", "median", "p99", "longest"],
      measured.flatMap(({ role, most, offered }) => [
        row(`${PROTOCOLS[role].name}, as many as it can`, most),
        row(`${PROTOCOLS[role].name}, ${String(OFFERED)} a second`, offered),
      ]),
    ),
    "",
    goals(
      measured.flatMap(({ role, most, offered }): Goal[] => [
        {
          what: `${PROTOCOLS[role].name}: answers a second`,
          value: most.answersPerSecond,
          bound: "at least",
          limit: OFFERED,
          unit: "/s",
        },
        {
          what: `${PROTOCOLS[role].name}, ${String(OFFERED)} a second: 99 of 100 answers within`,
          value: offered.p99,
          bound: "at most",
          limit: 2,
          unit: "ms",
        },
      ]),
    ),
  ].join("\n");
}
