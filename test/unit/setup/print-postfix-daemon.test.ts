import assert from "node:assert/strict";
import { test } from "node:test";
import { policyLines, socketmapLines } from "../../../src/setup/print-postfix-daemon.ts";
import type { Endpoint } from "../../../src/config/config.ts";

const RUN = { path: "/run/popbsmtp/policy" };
const QUEUE = { path: "/var/spool/postfix/popbsmtp/policy" };
const PORT = { host: "127.0.0.1", port: 10_040 };

/** The one restriction that is popbsmtp's. */
function restriction(lines: readonly string[]): string {
  return lines.at(-2)?.trim() ?? "";
}

function policy(...endpoints: readonly Endpoint[]): readonly string[] {
  return policyLines({ policy: endpoints });
}

function speaksOfChroot(lines: readonly string[]): boolean {
  return lines.some((line) => line.includes("smtp/inet/chroot"));
}

test("Postfix asks after permit_auth_destination, so never about inbound mail, and silence means DUNNO", () => {
  assert.deepEqual(
    policy(RUN).filter((line) => !line.startsWith("#")),
    [
      "smtpd_relay_restrictions =",
      "    permit_mynetworks,",
      "    permit_sasl_authenticated,",
      "    permit_auth_destination,",
      "    check_policy_service { unix:/run/popbsmtp/policy, timeout=2s, default_action=DUNNO },",
      "    defer_unauth_destination",
    ],
  );
});

test("a socket in the queue directory is named relative to it, for smtpd with and without chroot", () => {
  const lines = policy(QUEUE);
  assert.match(restriction(lines), /\{ unix:popbsmtp\/policy,/);
  assert.ok(!speaksOfChroot(lines));
});

test("a port is written as Postfix splits it", () => {
  assert.match(restriction(policy(PORT)), /\{ inet:127\.0\.0\.1:10040,/);
  assert.match(restriction(policy({ host: "::1", port: 10_040 })), /\{ inet:\[::1\]:10040,/);
  assert.ok(!speaksOfChroot(policy(PORT)));
});

test("of several endpoints, one that a chrooted smtpd can reach is chosen", () => {
  assert.match(restriction(policy(RUN, PORT)), /inet:/);
  assert.match(restriction(policy(RUN, QUEUE)), /unix:popbsmtp/);
});

test("an endpoint that no other local user can take over is preferred, and others cause a warning", () => {
  const warns = (lines: readonly string[]) =>
    lines.some((line) => line.includes("any local user can listen there and open the relay"));
  assert.match(restriction(policy(PORT, QUEUE)), /unix:popbsmtp/);
  assert.ok(!warns(policy(PORT, QUEUE)));
  assert.match(
    restriction(policy(PORT, { host: "127.0.0.1", port: 811 })),
    /inet:127\.0\.0\.1:811/,
  );
  assert.ok(warns(policy(PORT)));
  assert.ok(warns(policy({ path: "/tmp/policy" })));
  assert.ok(warns(socketmapLines({ socketmap: [PORT] })));
});

test("without one, the lines explain what to do about the chroot", () => {
  assert.ok(speaksOfChroot(policy(RUN)));
});

test("the socketmap is asked through proxymap, which is not chrooted", () => {
  const lines = socketmapLines({ socketmap: [{ path: "/run/popbsmtp/socketmap" }] });
  assert.equal(
    restriction(lines),
    "check_client_access proxy:socketmap:unix:/run/popbsmtp/socketmap:relay,",
  );
  assert.ok(!speaksOfChroot(lines));
  assert.equal(
    restriction(socketmapLines({ socketmap: [PORT] })),
    "check_client_access proxy:socketmap:inet:127.0.0.1:10040:relay,",
  );
});

test("lines for a service that is disabled are an error", () => {
  const nowhere = (key: string) => ({
    exitStatus: 78,
    message: `serve.${key}: false: the daemon has no socket for it`,
  });
  assert.throws(() => policyLines({ policy: [] }), nowhere("policy"));
  assert.throws(() => socketmapLines({ socketmap: [] }), nowhere("socketmap"));
});
